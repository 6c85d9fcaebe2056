//! All that the kernel shows of its networks, to compare before and after.

use std::{collections::BTreeSet, fmt, fs};

use serde_json::Value;

use crate::{
    lab::{Lab, flag, json, links_of},
    netns,
};

/// What runs by itself, whoever does or does not do anything.
const RESTLESS: [&str; 9] = [
    "hello_timer",
    "tcn_timer",
    "topology_change_timer",
    "gc_timer",
    "message_age_timer",
    "forward_delay_timer",
    "hold_timer",
    "tentative",
    "expires",
];

/// Links, addresses, routes, filters and mounts of all named network namespaces and of the node, one fact a line.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

impl Lab {
    /// The whole network state of this kernel, as it is now.
    ///
    /// # Panics
    ///
    /// A tool of iproute2 fails.
    pub fn snapshot(&self) -> Snapshot {
        let mut facts = BTreeSet::new();
        for name in std::iter::once(String::new()).chain(self.namespaces()) {
            let at = flag(&name);
            let place = if name.is_empty() { "the node" } else { &name };
            let mut look = |what: &str, program: &str, args: &str| {
                // A stale netns path is a fact of its own.
                let shown = json(program, &format!("-j {args}")).unwrap_or_else(|_| "unreadable".into());
                let items = if let Value::Array(items) = shown { items } else { vec![shown] };
                for mut item in items.into_iter().filter(|item| !awaits_detection(item)) {
                    calm(&mut item);
                    calm_linkwatch(&mut item);
                    if name.starts_with("podwire.") {
                        // A bridge without ports goes down a moment after it was made.
                        calm_carrier(&mut item);
                    }
                    facts.insert(format!("{place}: {what}: {item}"));
                }
            };
            look("link", "ip", &format!("{at}-d link show"));
            look("address", "ip", &format!("{at}address show"));
            look("route", "ip", &format!("{at}-4 route show table all"));
            look("route", "ip", &format!("{at}-6 route show table all"));
            look("neighbour", "ip", &format!("{at}neighbour show nud permanent"));
            look("port", "bridge", &format!("{at}-d link show"));
            look("queue", "tc", &format!("{at}qdisc show"));
            if name.starts_with("podwire.") {
                for device in links_of(&name).unwrap_or_default().iter().filter_map(|link| link["ifname"].as_str()) {
                    look("filter", "tc", &format!("{at}filter show dev {device} ingress"));
                }
            }
        }
        for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
            let mut fields = line.split(' ').skip(3);
            if let (Some(root), Some(target)) = (fields.next(), fields.next())
                && target.starts_with(netns::DIRECTORY)
            {
                facts.insert(format!("mount: {target} {root}"));
            }
        }
        for name in self.namespaces() {
            facts.insert(format!("file: {name}"));
        }
        Snapshot(facts)
    }
}

impl Snapshot {
    /// Compares with a later one.
    ///
    /// # Panics
    ///
    /// They differ; says in what.
    #[track_caller]
    pub fn assert_same(&self, later: &Self) {
        let gone: Vec<&String> = self.0.difference(&later.0).collect();
        let came: Vec<&String> = later.0.difference(&self.0).collect();
        assert!(gone.is_empty() && came.is_empty(), "the kernel is not as it was\ngone: {gone:#?}\ncame: {came:#?}");
    }

    /// Only what is in the named network namespace `name`.
    pub fn of(&self, name: &str) -> Self {
        let prefix = format!("{name}: ");
        Self(self.0.iter().filter(|fact| fact.starts_with(&prefix)).cloned().collect())
    }

    /// Without what a device gets anew when it is made anew: indexes, ids and handles.
    pub fn without_indexes(&self) -> Self {
        Self(self.0.iter().filter(|fact| !fact.starts_with("mount: ")).map(|fact| without_index(fact)).collect())
    }

    /// What is only here and what is only in the other one.
    pub fn difference(&self, other: &Self) -> String {
        let (here, there) = (self.0.difference(&other.0), other.0.difference(&self.0));
        format!("only before: {:#?}\nonly after: {:#?}", here.collect::<Vec<_>>(), there.collect::<Vec<_>>())
    }

    /// Without what names the device `device`.
    pub fn without(&self, device: &str) -> Self {
        let name = format!("\"{device}\"");
        Self(self.0.iter().filter(|fact| !fact.contains(&name)).cloned().collect())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fact| writeln!(f, "{fact}"))
    }
}

/// Whether it is the route to a link-local address: it comes when nobody answered to the address for a second.
fn awaits_detection(item: &Value) -> bool {
    item["table"] == "local" && item["dst"].as_str().is_some_and(|dst| dst.starts_with("fe80::"))
}

/// Removes what the kernel says of a device's carrier when it has the time to (linkwatch); `LOWER_UP` says it at once.
fn calm_linkwatch(item: &mut Value) {
    if let Value::Object(fields) = item {
        fields.remove("operstate");
    }
    without_flag(item, "NO-CARRIER");
}

/// Removes what follows from the state of other devices, a moment later.
fn calm_carrier(item: &mut Value) {
    without_flag(item, "LOWER_UP");
}

fn without_flag(item: &mut Value, flag: &str) {
    if let Some(flags) = item.get_mut("flags").and_then(Value::as_array_mut) {
        flags.retain(|each| each != flag);
    }
}

/// What a device gets anew when it is made anew; and what a bridge keeps of ports that it had (`tso_max_size`).
const ANEW: [&str; 10] = [
    "ifindex",
    "link",
    "link_index",
    "link_netnsid",
    "designated_port",
    "no",
    "index",
    "root_port",
    "id",
    "tso_max_size",
];

fn without_index(fact: &str) -> String {
    let Some((head, Ok(mut item))) = fact.split_once(": {").map(|(head, rest)| (head, format!("{{{rest}").parse()))
    else {
        return fact.to_owned();
    };
    forget(&mut item);
    if head.starts_with("podwire.")
        && let Value::Object(fields) = &mut item
        && fields.get("ifname").is_some_and(|name| name.as_str().is_some_and(|name| name.contains('.')))
    {
        // Nobody asked for the MAC of a port.
        fields.remove("address");
    }
    format!("{head}: {item}")
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !ANEW.contains(&name.as_str()));
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

/// Removes what changes by itself.
fn calm(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !RESTLESS.contains(&name.as_str()));
            fields.values_mut().for_each(calm);
        }
        Value::Array(items) => items.iter_mut().for_each(calm),
        _ => {}
    }
}
