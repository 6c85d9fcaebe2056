//! `podwire wait`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    arguments::Wait,
    exit::Failure,
    netlink::{Device, Netlink},
    output::Output,
    table::Table,
    wanted::{self, Waited},
};

/// Waits for interfaces of the own network namespace, and prints them.
pub(super) fn run(arguments: &Wait, output: &mut Output) -> Result<(), Failure> {
    // First it listens, then it looks: no change falls between.
    let mut netlink = Netlink::open()?;
    // A year stands for ever.
    let until = Instant::now() + arguments.timeout.min(Duration::from_secs(365 * 24 * 3600));
    let mut said = Vec::new();
    let mut devices = loop {
        let devices = netlink.devices()?;
        let missing = wanted::missing(&arguments.interfaces, &devices);
        if missing.is_empty() {
            break devices;
        }
        if missing != said {
            output.note(&format!("waiting: {}", wanted::list(&missing)));
        }
        if !netlink.changed(until)? {
            return Err(Waited::new(arguments.timeout, &missing).into());
        }
        said = missing;
    };
    if !arguments.print {
        return Ok(());
    }
    netlink.add_addresses(&mut devices)?;
    let shown: Vec<Shown> = devices.iter().filter_map(Shown::of).collect();
    if !output.is_table() {
        return output.value("the interfaces", &shown);
    }
    if shown.is_empty() {
        return output.text("none");
    }
    let mut table = Table::new(["INTERFACE", "MAC", "MTU", "ADDRESSES", "CARRIER", "TOPOLOGY", "ELEMENT", "PEER"]);
    for each in shown {
        table.row([
            each.name.to_owned(),
            each.mac.to_owned(),
            each.mtu.to_string(),
            each.addresses.join(" "),
            if each.carrier { "up" } else { "down" }.to_owned(),
            if each.topology.is_empty() { String::new() } else { format!("{}/{}", each.namespace, each.topology) },
            each.element,
            each.peer.unwrap_or_default(),
        ]);
    }
    output.text(&table.render(Output::width()))
}

/// An interface as it is printed for programs.
#[derive(Serialize)]
struct Shown<'a> {
    index: u32,
    name: &'a str,
    mac: &'a str,
    /// In bytes.
    mtu: u32,
    /// CIDR.
    addresses: &'a [String],
    up: bool,
    /// Whether the far end is there.
    carrier: bool,
    namespace: String,
    topology: String,
    /// Link or attachment.
    element: String,
    /// `element.end` at the other end of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
}

impl<'a> Shown<'a> {
    /// `None`: the device is not podwire's, or not complete.
    fn of(device: &'a Device) -> Option<Self> {
        let mark = wanted::mark(device)?;
        Some(Self {
            index: device.index,
            name: &device.name,
            mac: &device.mac,
            mtu: device.mtu,
            addresses: &device.addresses,
            up: device.up,
            carrier: device.carrier,
            peer: mark.peer(),
            namespace: mark.namespace,
            topology: mark.topology,
            element: mark.element,
        })
    }
}
