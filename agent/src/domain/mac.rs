//! MAC addresses, and what is derived from names so that it is the same after every restart.

use std::{fmt, hash::Hasher, str::FromStr};

use siphasher::sip::SipHasher13;

/// A unicast MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// Why a string or some bytes are not a unicast MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not six octets.
    #[error("it is not six hexadecimal octets with colons, as in 02:00:00:00:00:01")]
    Shape,
    /// A group address; no interface can have one.
    #[error("it is a group address: the lowest bit of its first octet is set")]
    Group,
    /// Nobody's.
    #[error("it is all zeroes")]
    Zero,
}

impl Mac {
    /// Takes six octets.
    ///
    /// # Errors
    ///
    /// Anything but a unicast address.
    pub fn new(octets: [u8; 6]) -> Result<Self, MacError> {
        if octets == [0; 6] {
            Err(MacError::Zero)
        } else if octets[0] & 1 == 1 {
            Err(MacError::Group)
        } else {
            Ok(Self(octets))
        }
    }

    /// A locally administered address that follows from `parts` and from nothing else.
    pub fn derived(parts: &[&str]) -> Self {
        let hash = stable_hash(parts).to_be_bytes();
        let mut octets = [0; 6];
        octets.copy_from_slice(&hash[..6]);
        // IEEE 802: bit 1 of the first octet set is "locally administered", bit 0 clear is "individual".
        octets[0] = (octets[0] | 0x02) & 0xfe;
        Self(octets)
    }

    /// The six octets.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = part.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or(MacError::Shape)?;
        }
        if parts.next().is_some() {
            return Err(MacError::Shape);
        }
        Self::new(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02x}")?;
        }
        Ok(())
    }
}

/// A hash of `parts` that is the same in every build and on every node: SipHash-1-3 with a zero key.
pub(super) fn stable_hash(parts: &[&str]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_derived_address_never_changes() {
        let mac = Mac::derived(&["lessons", "12", "bb1", "net1"]);
        assert_eq!(mac.to_string(), Mac::derived(&["lessons", "12", "bb1", "net1"]).to_string());
        assert_ne!(mac, Mac::derived(&["lessons", "12", "bb1n", "et1"]));
    }

    proptest! {
        #[test]
        fn what_is_derived_is_local_and_unicast_and_reads_back(parts in proptest::collection::vec(".*", 0..4)) {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let mac = Mac::derived(&parts);
            prop_assert_eq!(mac.octets()[0] & 3, 2);
            prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
        }

        #[test]
        fn any_string_is_an_address_or_an_error(text in any::<String>()) {
            let _ = text.parse::<Mac>();
        }
    }
}
