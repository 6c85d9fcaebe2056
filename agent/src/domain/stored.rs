//! Values as they are stored: names and addresses as the text that a caller writes. Reading goes by the same parsers, so
//! that nothing on a disk makes a value that no caller could have asked for.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    bridge::MOST_AGEING_SECONDS,
    device::netns_file,
    if_name::IfName,
    impairment::{Netem, Rate},
    mac::Mac,
    mtu::Mtu,
    name::{ElementName, Namespace, PodName, PodUid, TopologyName},
    spec::{End, InterfaceId},
};

macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(stringify!($name), &String::deserialize(deserializer)?)
            }
        }
    )+};
}

as_text!(ElementName, IfName, Mac, Namespace, PodName, PodUid, TopologyName);

fn parsed<T: FromStr<Err: Display>, E: Error>(kind: &str, text: &str) -> Result<T, E> {
    text.parse().map_err(|error| E::custom(format_args!("`{text}` is no {kind}: {error}")))
}

impl Serialize for Mtu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.bytes())
    }
}

impl<'de> Deserialize<'de> for Mtu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(u32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl From<InterfaceId> for String {
    fn from(id: InterfaceId) -> Self {
        id.to_string()
    }
}

/// The inverse of its `Display`: element names have no dot.
impl TryFrom<String> for InterfaceId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (element, end) = match text.split_once('.') {
            None => (text.as_str(), End::Only),
            Some((element, "a")) => (element, End::A),
            Some((element, "b")) => (element, End::B),
            Some(_) => return Err(format!("`{text}` names no end of an element: only .a and .b do")),
        };
        let element = element.parse().map_err(|error| format!("`{text}` is no interface of an element: {error}"))?;
        Ok(Self { element, end })
    }
}

/// A network without host bits.
pub(super) fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNetwork, D::Error> {
    let network = IpNetwork::deserialize(deserializer)?;
    if network.ip() == network.network() {
        Ok(network)
    } else {
        Err(D::Error::custom(format_args!("network `{network}` has host bits")))
    }
}

/// A file name below the netns directory that is not a panel's.
pub(super) fn netns_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match netns_file(&name) {
        Ok(()) => Ok(name),
        Err(why) => Err(D::Error::custom(format_args!("`{name}` is no name of a network namespace: {why}"))),
    }
}

/// A process id: 1 to 2^31 - 1 (`pid_t`).
pub(super) fn process<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let pid = u32::deserialize(deserializer)?;
    if i32::try_from(pid).is_ok_and(|pid| pid > 0) {
        Ok(pid)
    } else {
        Err(D::Error::custom(format_args!("{pid} is no process id")))
    }
}

/// What netem does, as it can be asked for.
pub(super) fn netem<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Netem>, D::Error> {
    sound(Option::deserialize(deserializer)?, Netem::is_sound, "netem")
}

/// A rate as it can be asked for.
pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rate>, D::Error> {
    sound(Option::deserialize(deserializer)?, Rate::is_sound, "rate")
}

fn sound<T: Debug, E: Error>(value: Option<T>, is_sound: fn(&T) -> bool, kind: &str) -> Result<Option<T>, E> {
    match value {
        Some(value) if !is_sound(&value) => {
            Err(E::custom(format_args!("{value:?} is no {kind} that can be asked for")))
        }
        value => Ok(value),
    }
}

/// Seconds that a bridge remembers an address.
pub(super) fn ageing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(seconds) if seconds > MOST_AGEING_SECONDS => {
            Err(D::Error::custom(format_args!("{seconds} is no ageing in seconds, 0 to {MOST_AGEING_SECONDS}")))
        }
        ageing => Ok(ageing),
    }
}

/// Whether a value is its type's default. Fields that came later are not written where they are, so that records that
/// have no use for them stay what they were.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The default of a switch that is on.
pub(super) fn on() -> bool {
    true
}

/// Whether a switch is on.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
pub(super) fn is_on(on: &bool) -> bool {
    *on
}
