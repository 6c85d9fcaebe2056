//! What is wrong with a spec as a whole: whatever no single value of it shows.

mod addresses;
mod elements;
mod impairments;
mod mtus;
mod pods;
mod routes;
#[cfg(test)]
pub(crate) mod sample;
pub(super) mod segment;
mod subnets;
mod uplinks;

use std::collections::HashMap;

use super::{
    spec::{Target, TopologySpec},
    violation::Violation,
};

/// Most bridges, links and attachments of one topology.
pub const MAX_ELEMENTS: usize = 4096;

/// Most attachments of one bridge: `BR_MAX_PORTS` of net/bridge/br_private.h, less port 0, which is none.
pub const MAX_PORTS_PER_BRIDGE: usize = 1023;

/// Everything that is wrong with a spec, at once. Empty: it can be assigned.
pub fn check(spec: &TopologySpec) -> Vec<Violation> {
    let plugs = segment::plugs(spec);
    let mut found = Vec::new();
    elements::check(spec, &mut found);
    pods::check(spec, &plugs, &mut found);
    mtus::check(spec, &plugs, &mut found);
    uplinks::check(spec, &mut found);
    impairments::check(spec, &plugs, &mut found);
    subnets::check(spec, &mut found);
    addresses::check(&plugs, &mut found);
    routes::check(&plugs, &mut found);
    found
}

/// The first limit that a spec exceeds: of what there is too much, where, and how many may be.
pub fn limits(spec: &TopologySpec) -> Option<(&'static str, String, usize)> {
    if spec.elements() > MAX_ELEMENTS {
        return Some(("elements", format!("topology {}", spec.key), MAX_ELEMENTS));
    }
    let mut ports = HashMap::new();
    for attachment in &spec.attachments {
        if let Target::Bridge(name) = &attachment.target {
            *ports.entry(name).or_insert(0) += 1;
        }
    }
    let full = spec.bridges.iter().find(|b| ports.get(&b.name).is_some_and(|ports| *ports > MAX_PORTS_PER_BRIDGE))?;
    Some(("attachments", format!("bridge {}", full.name), MAX_PORTS_PER_BRIDGE))
}

#[cfg(test)]
mod tests;
