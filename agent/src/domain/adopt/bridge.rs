//! What a bridge was asked to be, from its options and those of its ports.

use crate::domain::bridge::{AGEING_SECONDS, BridgeOptions, BridgePort, L2Profile, MOST_AGEING_SECONDS};

/// Hundredths of a second in a second.
const HUNDREDTHS: u32 = 100;

/// The profile that most of its ports have; in doubt the default. A bridge without ports that remembers nothing is a hub.
pub(super) fn profile(options: BridgeOptions, ports: impl Iterator<Item = BridgePort>) -> L2Profile {
    let mut fitting = [(L2Profile::Standard, 0), (L2Profile::Hub, 0), (L2Profile::Transparent, 0)];
    let mut any = false;
    for port in ports {
        any = true;
        for (profile, count) in &mut fitting {
            let shall = profile.port(options.stp);
            if (port.learning, port.group_fwd_mask) == (shall.learning, shall.group_fwd_mask) {
                *count += 1;
            }
        }
    }
    if !any && options.ageing == 0 {
        return L2Profile::Hub;
    }
    // The last of several is taken.
    fitting.into_iter().max_by_key(|(_, count)| *count).map(|(profile, _)| profile).unwrap_or_default()
}

/// Seconds that it remembers addresses, where that is not what follows from the profile.
pub(super) fn ageing(options: BridgeOptions, profile: L2Profile) -> Option<u32> {
    let seconds = (options.ageing / HUNDREDTHS).min(MOST_AGEING_SECONDS);
    (profile != L2Profile::Hub && seconds != AGEING_SECONDS).then_some(seconds)
}
