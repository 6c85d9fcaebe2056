//! Stitches: tc filters that hand everything that comes in at one port out of another.
//!
//! `cls_u32` with a key that matches everything and the action `mirred egress redirect`, under the ingress hook of
//! `clsact`: all three are in every distribution's kernel, which `matchall` and `flower` are not.

use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{
        TcAction, TcActionAttribute, TcActionGeneric, TcActionMirror, TcActionMirrorOption, TcActionOption,
        TcActionType, TcAttribute, TcFilterU32, TcFilterU32Option, TcHandle, TcMessage, TcMirror, TcMirrorActionType,
        TcOption, TcU32Key, TcU32Selector, TcU32SelectorFlags,
    },
};

use crate::domain::observed::Redirect;

use super::socket::{Mode, Request};

/// `ETH_P_ALL` of include/uapi/linux/if_ether.h, in network byte order as `tcm_info` has it.
const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();

/// Preference of the one filter.
const PRIORITY: u16 = 1;

fn message(index: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(i32::try_from(index).unwrap_or(i32::MAX));
    message.header.parent = parent;
    message
}

fn ingress() -> TcHandle {
    TcHandle { major: 0xffff, minor: TcHandle::MIN_INGRESS }
}

/// Gives a port the hook that filters stand under.
pub(super) fn add_hook(index: u32) -> Request {
    let mut message = message(index, TcHandle::CLSACT);
    message.header.handle = TcHandle { major: 0xffff, minor: 0 };
    message.attributes.push(TcAttribute::Kind("clsact".to_owned()));
    Request { message: RouteNetlinkMessage::NewQueueDiscipline(message), mode: Mode::Create }
}

/// Takes the hook and every filter away.
pub(super) fn remove_hook(index: u32) -> Request {
    let mut message = message(index, TcHandle::CLSACT);
    message.header.handle = TcHandle { major: 0xffff, minor: 0 };
    Request { message: RouteNetlinkMessage::DelQueueDiscipline(message), mode: Mode::Change }
}

/// Redirects everything that comes in at one port out of another.
pub(super) fn redirect(from: u32, to: u32) -> Request {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.nkeys = 1;
    selector.keys = vec![TcU32Key::default()];
    let mut mirror = TcMirror::default();
    mirror.generic = TcActionGeneric::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = to;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))]),
    ];
    let mut message = message(from, ingress());
    message.header.info = u32::from(TcHandle { major: PRIORITY, minor: ALL_PROTOCOLS });
    message.attributes = vec![
        TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(selector)),
            TcOption::U32(TcFilterU32Option::Action(vec![action])),
        ]),
    ];
    Request { message: RouteNetlinkMessage::NewTrafficFilter(message), mode: Mode::Create }
}

/// Asks for the filters of a port.
pub(super) fn get_filters(index: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetTrafficFilter(message(index, ingress()))
}

/// What the filters of a port do. Besides the filter itself the kernel lists its hash tables, which match nothing.
pub(super) fn redirect_of(filters: &[RouteNetlinkMessage]) -> Redirect {
    let mut found = Redirect::Nowhere;
    for filter in filters {
        let RouteNetlinkMessage::NewTrafficFilter(filter) = filter else { continue };
        found = match (found, one_filter(filter)) {
            (found, Redirect::Nowhere) => found,
            (Redirect::Nowhere, one) => one,
            (Redirect::To(_) | Redirect::Unknown, _) => Redirect::Unknown,
        };
    }
    found
}

fn one_filter(filter: &TcMessage) -> Redirect {
    let mut everything = None;
    let mut to = None;
    for attribute in &filter.attributes {
        match attribute {
            TcAttribute::Kind(kind) if kind != TcFilterU32::KIND => return Redirect::Unknown,
            TcAttribute::Options(options) => {
                for option in options {
                    match option {
                        TcOption::U32(TcFilterU32Option::Selector(selector)) => {
                            everything = Some(selector.keys.iter().all(|key| key.mask == 0 && key.val == 0));
                        }
                        TcOption::U32(TcFilterU32Option::Action(actions)) => to = redirect_target(actions),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    match (everything, to) {
        (None, _) => Redirect::Nowhere,
        (Some(true), Some(to)) => Redirect::To(to),
        (Some(_), _) => Redirect::Unknown,
    }
}

fn redirect_target(actions: &[TcAction]) -> Option<u32> {
    let [action] = actions else { return None };
    action.attributes.iter().find_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => options.iter().find_map(|option| match option {
            TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))
                if mirror.eaction == TcMirrorActionType::EgressRedir =>
            {
                Some(mirror.ifindex)
            }
            _ => None,
        }),
        _ => None,
    })
}
