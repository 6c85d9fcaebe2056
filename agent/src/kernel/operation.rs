//! What a request is called where it fails.

use netlink_packet_route::RouteNetlinkMessage;

/// The name of a request, as linux/rtnetlink.h has it.
pub(super) fn operation(message: &RouteNetlinkMessage) -> &'static str {
    match message {
        RouteNetlinkMessage::NewLink(_) => "RTM_NEWLINK",
        RouteNetlinkMessage::DelLink(_) => "RTM_DELLINK",
        RouteNetlinkMessage::GetLink(_) => "RTM_GETLINK",
        RouteNetlinkMessage::SetLink(_) => "RTM_SETLINK",
        RouteNetlinkMessage::NewLinkProp(_) => "RTM_NEWLINKPROP",
        RouteNetlinkMessage::DelLinkProp(_) => "RTM_DELLINKPROP",
        RouteNetlinkMessage::NewAddress(_) => "RTM_NEWADDR",
        RouteNetlinkMessage::DelAddress(_) => "RTM_DELADDR",
        RouteNetlinkMessage::GetAddress(_) => "RTM_GETADDR",
        RouteNetlinkMessage::NewRoute(_) => "RTM_NEWROUTE",
        RouteNetlinkMessage::DelRoute(_) => "RTM_DELROUTE",
        RouteNetlinkMessage::GetRoute(_) => "RTM_GETROUTE",
        RouteNetlinkMessage::NewQueueDiscipline(_) => "RTM_NEWQDISC",
        RouteNetlinkMessage::DelQueueDiscipline(_) => "RTM_DELQDISC",
        RouteNetlinkMessage::GetQueueDiscipline(_) => "RTM_GETQDISC",
        RouteNetlinkMessage::NewTrafficFilter(_) => "RTM_NEWTFILTER",
        RouteNetlinkMessage::DelTrafficFilter(_) => "RTM_DELTFILTER",
        RouteNetlinkMessage::GetTrafficFilter(_) => "RTM_GETTFILTER",
        RouteNetlinkMessage::GetNsId(_) => "RTM_GETNSID",
        _ => "rtnetlink",
    }
}
