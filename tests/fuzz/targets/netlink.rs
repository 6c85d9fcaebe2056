//! What the kernel says: answers and notifications of rtnetlink, answers of ethtool, options of netem.
//!
//! Names, marks and queues in it are those that a pod with NET_ADMIN chose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_agent::{
    domain::queue::Egress,
    kernel::fuzzing::{datagram, features, netem, netem_options, notifications},
};
use podwire_cli::fuzzing::devices;

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

fuzz_target!(|data: &[u8]| {
    let most = data.len() / HEADER_BYTES;
    assert!(notifications(data) <= most);
    let sequence = data.get(8..12).map_or(0, |bytes| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    assert!(features(data, sequence).unwrap_or_default() <= most);
    let (names, marked) = devices(data);
    assert!(marked <= names.len() && names.len() <= most);
    match datagram(data) {
        Ok(read) => {
            assert!(read.entries <= most && read.egress.len() <= read.entries);
            // The agent leaves out the settings of IPv4 and IPv6, which may be what does not parse.
            let unseen = names.iter().find(|name| !read.names.contains(name));
            assert_eq!(unseen, None, "a device that the command sees and the agent does not");
            for egress in read.egress.values() {
                if let Egress::Queue { netem: Some(queue), .. } = egress {
                    let options = netem_options(queue);
                    assert!(!options.is_empty());
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // What netem shows is what it is told to do.
    if let Some(shown) = netem(data) {
        assert_eq!(netem(&netem_options(&shown)), Some(shown));
    }
});
