//! `podwire get`.

use podwire_client::{Client, v1};

use super::{netns, node};
use crate::{
    arguments::{Get, Kind},
    exit::Failure,
    output::Output,
    state,
    table::Table,
    view,
};

/// Lists what is there.
pub(super) async fn run(client: &Client, arguments: Get, output: &mut Output) -> Result<(), Failure> {
    let wanted = arguments.name.as_deref();
    let everywhere = arguments.namespace.as_deref();
    let namespace = everywhere.unwrap_or("default");
    let of = arguments.topology.as_deref();
    match arguments.kind {
        Kind::Topologies => {
            let topologies = client.list_topologies(everywhere).await?;
            let topologies = named(topologies, "topology", wanted, |topology| &topology.name)?;
            write(output, "ListTopologiesResponse", &v1::ListTopologiesResponse { topologies }, |list| {
                topology_table(&list.topologies)
            })
        }
        Kind::Bridges => {
            let bridges = client.list_bridges(namespace, of).await?;
            let bridges =
                named(bridges, "bridge", wanted, |item| item.bridge.as_ref().map_or("", |bridge| &bridge.name))?;
            write(output, "ListBridgesResponse", &v1::ListBridgesResponse { bridges }, |list| {
                bridge_table(&list.bridges)
            })
        }
        Kind::Links => {
            let links = client.list_links(namespace, of).await?;
            let links = named(links, "link", wanted, |item| item.link.as_ref().map_or("", |link| &link.name))?;
            write(output, "ListLinksResponse", &v1::ListLinksResponse { links }, |list| link_table(&list.links))
        }
        Kind::Attachments => {
            let attachments = client.list_attachments(namespace, of).await?;
            let attachments = named(attachments, "attachment", wanted, |item| {
                item.attachment.as_ref().map_or("", |attachment| &attachment.name)
            })?;
            write(output, "ListAttachmentsResponse", &v1::ListAttachmentsResponse { attachments }, |list| {
                attachment_table(&list.attachments)
            })
        }
        Kind::Pods => {
            let pods = named(client.list_pods(everywhere).await?, "pod", wanted, |pod| &pod.name)?;
            write(output, "ListPodsResponse", &v1::ListPodsResponse { pods }, |list| pod_table(&list.pods))
        }
        Kind::Netns => {
            let all = client.list_netns().await?;
            netns::list(named(all, "network namespace", wanted, |netns| &netns.name)?, output)
        }
        Kind::NetworkStatus => {
            let pod = wanted.ok_or(Failure::Unnamed("pod"))?;
            // It is JSON whatever `-o` says: a program passes it on as it is.
            output.bytes(format!("{}\n", client.network_status(namespace, pod).await?).as_bytes())
        }
        Kind::Node => {
            let answer = client.get_node().await?;
            if !output.is_table() {
                return output.document("GetNodeResponse", &answer);
            }
            let width = Output::width();
            output.text(&format!("{}\n\n{}", node::summary(&answer, width), node::capabilities(&answer, width)))
        }
    }
}

/// Those of the wanted name, at least one.
fn named<T>(
    mut items: Vec<T>,
    kind: &'static str,
    wanted: Option<&str>,
    name: impl Fn(&T) -> &str,
) -> Result<Vec<T>, Failure> {
    if let Some(wanted) = wanted {
        items.retain(|item| name(item) == wanted);
        if items.is_empty() {
            return Err(Failure::Missing { kind, name: wanted.to_owned() });
        }
    }
    Ok(items)
}

fn write<M: prost::Message>(
    output: &mut Output,
    message: &'static str,
    list: &M,
    table: impl Fn(&M) -> Table,
) -> Result<(), Failure> {
    if !output.is_table() {
        return output.document(message, list);
    }
    let table = table(list);
    if table.is_empty() {
        return output.text("none");
    }
    output.text(&table.render(Output::width()))
}

fn topology_table(topologies: &[v1::Topology]) -> Table {
    let mut table = Table::new([
        "NAMESPACE",
        "NAME",
        "STATE",
        "SINCE",
        "INTERFACES",
        "BRIDGES",
        "LINKS",
        "OWNER",
        "GENERATION",
        "LEASE",
        "REASON",
    ]);
    for topology in topologies {
        let status = topology.status.clone().unwrap_or_default();
        table.row([
            topology.namespace.clone(),
            topology.name.clone(),
            state::word(status.state),
            state::ago(status.since.as_ref()).unwrap_or_default(),
            format!("{}/{}", status.interfaces_ready, status.interfaces),
            topology.bridges.len().to_string(),
            topology.links.len().to_string(),
            state::owner(status.owner).to_owned(),
            if topology.generation == 0 { String::new() } else { topology.generation.to_string() },
            state::until(status.lease_expires.as_ref()).unwrap_or_default(),
            status.reason,
        ]);
    }
    table
}

fn bridge_table(bridges: &[v1::list_bridges_response::Item]) -> Table {
    let mut table = Table::new(["TOPOLOGY", "NAME", "SUBNETS", "MAC", "MTU", "PORTS ARE", "STATE", "REASON"]);
    for item in bridges {
        let bridge = item.bridge.clone().unwrap_or_default();
        let kinds = [(bridge.hairpin, "hairpin"), (bridge.isolated, "isolated")];
        let kinds: Vec<_> = kinds.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        let status = bridge.status.clone().unwrap_or_default();
        table.row([
            item.topology.clone(),
            bridge.name,
            view::subnets(bridge.ipam.as_ref()),
            bridge.mac,
            view::number(bridge.mtu),
            kinds.join(", "),
            state::word(status.state),
            status.reason,
        ]);
    }
    table
}

fn link_table(links: &[v1::list_links_response::Item]) -> Table {
    let mut table = Table::new(["TOPOLOGY", "NAME", "A", "B", "MODE", "CABLE", "STATE", "REASON"]);
    for item in links {
        let link = item.link.clone().unwrap_or_default();
        let status = link.status.clone().unwrap_or_default();
        let mode = if link.mode() == v1::LinkMode::Direct { "direct" } else { "stitched" };
        let cable = if link.up() == v1::Toggle::Off { "pulled" } else { "plugged" };
        table.row([
            item.topology.clone(),
            link.name.clone(),
            link.a.as_ref().map(view::name).unwrap_or_default(),
            view::far(&link).map(view::name).unwrap_or_default(),
            mode.to_owned(),
            cable.to_owned(),
            state::word(status.state),
            status.reason,
        ]);
    }
    table
}

fn attachment_table(attachments: &[v1::list_attachments_response::Item]) -> Table {
    let mut table = Table::new(["TOPOLOGY", "NAME", "INTERFACE", "TO", "ADDRESSES", "MAC", "STATE", "REASON"]);
    for item in attachments {
        let attachment = item.attachment.clone().unwrap_or_default();
        let interface = attachment.interface.unwrap_or_default();
        let status = interface.status.clone().unwrap_or_default();
        let target = match attachment.target {
            Some(v1::attachment::Target::Bridge(bridge)) => format!("bridge {bridge}"),
            Some(v1::attachment::Target::Device(device)) => view::node_device(&device),
            None => String::new(),
        };
        table.row([
            item.topology.clone(),
            attachment.name,
            view::name(&interface),
            target,
            view::addresses(&interface),
            interface.mac,
            state::word(status.state),
            status.reason,
        ]);
    }
    table
}

fn pod_table(pods: &[v1::Pod]) -> Table {
    let mut table = Table::new(["NAMESPACE", "NAME", "UID", "SANDBOX", "NETNS", "CANNOT BE PLUGGED"]);
    for pod in pods.iter().cloned() {
        table.row([pod.namespace, pod.name, pod.uid, pod.sandbox_id, pod.netns_path, pod.problem]);
    }
    table
}
