//! What is wrong within an IPAM.

use ipnetwork::IpNetwork;

use crate::domain::{
    ipam::{Block, contains, gateway, number},
    spec::{IpamSpec, RouteSpec, SubnetSpec, TopologySpec},
    violation::Violation,
};

use super::routes::is_link_local;

/// Subnets, ranges, gateways, excludes and routes of every IPAM of a spec.
pub(super) fn check(spec: &TopologySpec, found: &mut Vec<Violation>) {
    let bridges = spec.bridges.iter().enumerate().map(|(i, b)| (b.ipam.as_ref(), format!("bridges[{i}].ipam")));
    let links = spec.links.iter().enumerate().map(|(i, l)| (l.ipam.as_ref(), format!("links[{i}].ipam")));
    let devices = spec.attachments.iter().enumerate();
    let devices = devices.map(|(i, a)| (a.target.ipam(), format!("attachments[{i}].device.ipam")));
    for (ipam, path) in bridges.chain(links).chain(devices) {
        if let Some(ipam) = ipam {
            check_ipam(ipam, &path, found);
        }
    }
}

fn check_ipam(ipam: &IpamSpec, path: &str, found: &mut Vec<Violation>) {
    if ipam.subnets.is_empty() {
        found.push(Violation::new(
            format!("{path}.subnets"),
            "there is none: give one at least, or leave `ipam` out".to_owned(),
        ));
    }
    let blocks = ipam.subnets.iter().map(|subnet| (subnet.cidr.is_ipv4(), Block::of(&subnet.cidr))).collect();
    for (i, other) in overlaps(blocks) {
        found.push(Violation::new(
            format!("{path}.subnets[{i}].cidr"),
            format!(
                "`{}` overlaps with `{}` of `{path}.subnets[{other}]`: an interface gets one address of each subnet, so \
                 they must be apart",
                ipam.subnets[i].cidr, ipam.subnets[other].cidr
            ),
        ));
    }
    for (i, subnet) in ipam.subnets.iter().enumerate() {
        let path = format!("{path}.subnets[{i}]");
        check_ranges(subnet, &path, found);
        check_gateway(subnet, &path, found);
        for (e, exclude) in subnet.exclude.iter().enumerate() {
            let inside =
                exclude.is_ipv4() == subnet.cidr.is_ipv4() && Block::of(&subnet.cidr).covers(Block::of(exclude));
            if !inside {
                found.push(Violation::new(
                    format!("{path}.exclude[{e}]"),
                    format!("`{exclude}` does not lie in `{}`: exclude what is in the subnet", subnet.cidr),
                ));
            }
        }
    }
    for (r, route) in ipam.routes.iter().enumerate() {
        if let Some(problem) = route_problem(ipam, route) {
            found.push(Violation::new(format!("{path}.routes[{r}]{}", problem.0), problem.1));
        }
    }
    super::routes::twice(&ipam.routes, path, found);
}

fn check_ranges(subnet: &SubnetSpec, path: &str, found: &mut Vec<Violation>) {
    let cidr = &subnet.cidr;
    let mut sound = Vec::with_capacity(subnet.ranges.len());
    for (r, (start, end)) in subnet.ranges.iter().enumerate() {
        let problem = if !contains(cidr, *start) || !contains(cidr, *end) {
            format!("`{start}` to `{end}` does not lie in `{cidr}`: take both ends from the subnet")
        } else if number(*start) > number(*end) {
            format!("`{start}` to `{end}` runs backwards: swap `start` and `end`")
        } else {
            sound.push((r, Block { first: number(*start), last: number(*end) }));
            continue;
        };
        found.push(Violation::new(format!("{path}.ranges[{r}]"), problem));
    }
    for (i, other) in overlaps(sound.iter().map(|(_, block)| (true, *block)).collect()) {
        let (r, other) = (sound[i].0, sound[other].0);
        let (start, end) = subnet.ranges[r];
        found.push(Violation::new(
            format!("{path}.ranges[{r}]"),
            format!("`{start}` to `{end}` overlaps with `{path}.ranges[{other}]`: make them one, or keep them apart"),
        ));
    }
}

fn check_gateway(subnet: &SubnetSpec, path: &str, found: &mut Vec<Violation>) {
    let Some(gateway) = subnet.gateway else { return };
    let block = Block::of(&subnet.cidr);
    let edge = |at| !block.is_point_to_point() && number(gateway) == at;
    let problem = if !contains(&subnet.cidr, gateway) {
        "does not lie in"
    } else if edge(block.first) {
        "is the network address of"
    } else if gateway.is_ipv4() && edge(block.last) {
        "is the broadcast address of"
    } else {
        return;
    };
    found.push(Violation::new(
        format!("{path}.gateway"),
        format!("`{gateway}` {problem} `{}`: take an address that an interface could have", subnet.cidr),
    ));
}

/// What is wrong with the next hop of an IPAM's route: the field below the route, and the sentence.
fn route_problem(ipam: &IpamSpec, route: &RouteSpec) -> Option<(&'static str, String)> {
    let RouteSpec { destination, via, .. } = route;
    let Some(via) = via else {
        let Some(subnet) = ipam.subnets.iter().find(|s| s.cidr.is_ipv4() == destination.is_ipv4()) else {
            let family = if destination.is_ipv4() { "IPv4" } else { "IPv6" };
            return Some((
                "",
                format!("there is no {family} subnet whose gateway `{destination}` could use: add one, or write `via`"),
            ));
        };
        return gateway(subnet).is_none().then(|| {
            let cidr = subnet.cidr;
            ("", format!("`{destination}` needs a gateway, and `{cidr}` is too small to have one: write `via`"))
        });
    };
    let problem = if via.is_ipv4() != destination.is_ipv4() {
        format!("`{via}` is not of the family of `{destination}`: take a next hop of the same")
    } else if !is_link_local(*via) && !ipam.subnets.iter().any(|s| contains(&s.cidr, *via)) {
        let subnets = list(ipam.subnets.iter().map(|s| &s.cidr));
        format!("`{via}` cannot be reached: it does not lie in {subnets}")
    } else {
        return None;
    };
    Some((".via", problem))
}

/// Networks for a sentence, each once: "`10.0.0.0/24` or `fd00::/64`"; of many the first ones.
pub(super) fn list<'a>(networks: impl Iterator<Item = &'a IpNetwork>) -> String {
    const SHOWN: usize = 4;
    let mut all: Vec<String> = Vec::with_capacity(SHOWN + 1);
    for network in networks {
        let text = format!("`{}/{}`", network.network(), network.prefix());
        if all.contains(&text) {
            continue;
        }
        if all.len() == SHOWN {
            all.push("any other".to_owned());
            break;
        }
        all.push(text);
    }
    if all.is_empty() { "any subnet".to_owned() } else { all.join(" or ") }
}

/// Blocks that overlap, each told once: the later one of two and the other. The flag is the family.
fn overlaps(blocks: Vec<(bool, Block)>) -> Vec<(usize, usize)> {
    let mut sorted: Vec<(bool, Block, usize)> = blocks.into_iter().enumerate().map(|(i, (v4, b))| (v4, b, i)).collect();
    sorted.sort_unstable();
    let mut found = Vec::new();
    let mut widest: Option<(bool, Block, usize)> = None;
    for (v4, block, i) in sorted {
        match widest {
            Some((family, before, other)) if family == v4 && block.first <= before.last => {
                found.push((i.max(other), i.min(other)));
                if block.last > before.last {
                    widest = Some((v4, block, i));
                }
            }
            _ => widest = Some((v4, block, i)),
        }
    }
    found.sort_unstable();
    found
}
