//! The node as tables: for `podwire get node` and `podwire doctor`.

use podwire_client::v1;

use crate::table::Table;

/// Version, name, kernel, limits.
pub(super) fn summary(node: &v1::GetNodeResponse, width: Option<u16>) -> String {
    let limits = node.limits.unwrap_or_default();
    let devices = if node.node_devices.is_empty() { "none".to_owned() } else { node.node_devices.join(", ") };
    let rows = [
        ("agent", node.version.clone()),
        ("node", node.node_name.clone()),
        ("kernel", node.kernel.clone()),
        ("pods by", node.pods.clone()),
        ("panels in", node.netns_dir.clone()),
        ("node devices", devices),
        ("message", format!("at most {} bytes", limits.message_bytes)),
        ("topologies", format!("at most {}", limits.topologies)),
        ("elements", format!("at most {} of one topology", limits.elements_per_topology)),
        ("attachments", format!("at most {} of one bridge", limits.attachments_per_bridge)),
    ];
    let mut table = Table::new(["NODE", ""]);
    for (name, value) in rows {
        table.row([name.to_owned(), value]);
    }
    table.render(width)
}

/// What the kernel can do.
pub(super) fn capabilities(node: &v1::GetNodeResponse, width: Option<u16>) -> String {
    let mut table = Table::new(["CAPABILITY", "IS", "FOR", "WHY NOT"]);
    for capability in &node.capabilities {
        let is = if capability.available { "there" } else { "missing" };
        let row = [capability.name.clone(), is.to_owned(), capability.used_for.clone(), capability.reason.clone()];
        table.row(row);
    }
    table.render(width)
}
