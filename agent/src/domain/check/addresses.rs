//! Static addresses: each on one interface only, and where there is IPAM, in its subnets.

use std::{collections::HashMap, net::IpAddr};

use crate::domain::{
    ipam::{contains, refuses},
    violation::Violation,
};

use super::{
    segment::{Plug, Segment},
    subnets::list,
};

/// Addresses given twice, outside of the subnets, or never to be given.
pub(super) fn check(plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    let mut on_segment: HashMap<(Segment<'_>, IpAddr), &str> = HashMap::new();
    for plug in plugs {
        let mut own: HashMap<IpAddr, usize> = HashMap::new();
        for (i, network) in plug.interface.addresses.iter().enumerate() {
            let address = network.ip();
            let mut tell =
                |problem: String| found.push(Violation::new(format!("{}.addresses[{i}]", plug.path), problem));
            if let Some(problem) = unfit(plug, address) {
                tell(problem);
            }
            if let Some(other) = own.get(&address) {
                tell(format!("`{address}` is `{}.addresses[{other}]` already: leave one of them out", plug.path));
                continue;
            }
            own.insert(address, i);
            let Some(segment) = plug.segment else { continue };
            let other = *on_segment.entry((segment, address)).or_insert(&plug.path);
            if other != plug.path {
                tell(format!("`{address}` is an address of `{other}` on the same wire already: choose another one"));
            }
        }
    }
}

/// Why the IPAM of its wire does not let an interface have an address.
fn unfit(plug: &Plug<'_>, address: IpAddr) -> Option<String> {
    let subnets = &plug.ipam?.subnets;
    let Some(subnet) = subnets.iter().find(|subnet| contains(&subnet.cidr, address)) else {
        // Without a subnet the IPAM itself is what is wrong.
        let cidrs = list(subnets.iter().map(|subnet| &subnet.cidr));
        return (!subnets.is_empty()).then(|| {
            format!("`{address}` does not lie in {cidrs} of `{}`: take an address from there", plug.ipam_path)
        });
    };
    let reason = refuses(subnet, address)?;
    Some(format!("`{address}` of `{}` cannot be used: {reason}", subnet.cidr))
}
