//! Interfaces and their owners.

use podwire_proto::v1::{self, interface::Owner};

use crate::{
    api::limits::ADDRESSES_PER_INTERFACE,
    domain::{
        device::netns_file,
        mtu::Mtu,
        spec::{InterfaceSpec, NetnsRef, PodOwner},
    },
};

use super::{
    address,
    findings::{Findings, Quoted},
    ipam::routes,
    place::Place,
};

/// An interface, which has to be there.
pub(super) fn interface(found: &mut Findings, at: Place<'_>, message: Option<v1::Interface>) -> Option<InterfaceSpec> {
    let Some(mut message) = message else {
        found.add(at, "an interface is required");
        return None;
    };
    let in_netns = matches!(message.owner, Some(Owner::Netns(_)));
    let owner = owner(found, at, message.owner);
    let uid = found.optional(at.field("uid"), &message.uid, "a pod's UID");
    if in_netns && !message.uid.is_empty() {
        found.add(at.field("uid"), "only a pod has a UID: leave it empty beside `netns`");
    }
    let name = found.optional(at.field("name"), &message.name, "an interface name");
    let order = u16::try_from(message.order).ok();
    if order.is_none() {
        found.add(at.field("order"), format_args!("`{}` is not 0 to 65535", message.order));
    }
    let mac = found.optional(at.field("mac"), &message.mac, "a MAC address");
    let mtu = mtu(found, at, message.mtu);
    found.most(at.field("addresses"), &mut message.addresses, ADDRESSES_PER_INTERFACE);
    let addresses = message.addresses.iter().enumerate();
    let addresses: Vec<_> =
        addresses.map(|(i, text)| address::interface(found, at.item("addresses", i), text)).collect();
    let routes = routes(found, at, message.routes);
    let tx_checksum = toggle(found, at.field("tx_checksum"), message.tx_checksum);
    Some(InterfaceSpec {
        owner: owner?,
        uid: uid.flatten(),
        name: name.flatten(),
        order: order.unwrap_or_default(),
        mac: mac.flatten(),
        mtu: mtu.flatten(),
        addresses: addresses.into_iter().collect::<Option<_>>().unwrap_or_default(),
        routes: routes.unwrap_or_default(),
        tx_checksum: tx_checksum.flatten().unwrap_or(true),
    })
}

/// A switch. `Some(None)`: the default of its field.
#[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
pub(super) fn toggle(found: &mut Findings, at: Place<'_>, number: i32) -> Option<Option<bool>> {
    found.choice(at, number, "TOGGLE_ON and TOGGLE_OFF").map(|toggle| match toggle {
        v1::Toggle::Unspecified => None,
        v1::Toggle::On => Some(true),
        v1::Toggle::Off => Some(false),
    })
}

/// The MTU in field `mtu`; 0 is none.
#[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
pub(super) fn mtu(found: &mut Findings, at: Place<'_>, bytes: u32) -> Option<Option<Mtu>> {
    match Mtu::try_from(bytes) {
        _ if bytes == 0 => Some(None),
        Ok(mtu) => Some(Some(mtu)),
        Err(error) => {
            found.add(at.field("mtu"), error);
            None
        }
    }
}

pub(super) fn owner(found: &mut Findings, at: Place<'_>, message: Option<Owner>) -> Option<PodOwner> {
    match message {
        None => {
            found.add(at.field("pod"), "either `pod` or `netns` is required");
            None
        }
        Some(Owner::Pod(text)) => found.text(at.field("pod"), &text, "a pod name").map(PodOwner::Pod),
        Some(Owner::Netns(text)) => match netns(&text) {
            Ok(netns) => Some(PodOwner::Netns(netns)),
            Err(problem) => {
                found.add(at.field("netns"), format_args!("{} is not a network namespace: {problem}", Quoted(&text)));
                None
            }
        },
    }
}

/// A file name, or `/proc/<pid>/ns/net`. Never a path of the caller's choice: the agent would open it as root.
fn netns(text: &str) -> Result<NetnsRef, &'static str> {
    if let Some(pid) = text.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/ns/net")) {
        let plain = !pid.starts_with('0') && pid.bytes().all(|b| b.is_ascii_digit());
        let number = pid.parse().ok().filter(|pid| plain && i32::try_from(*pid).is_ok());
        return number.map(NetnsRef::Process).ok_or("its process id is not a number");
    }
    netns_file(text).map(|()| NetnsRef::Name(text.to_owned()))
}
