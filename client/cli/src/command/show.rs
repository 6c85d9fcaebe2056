//! `podwire show`.

use podwire_client::{Client, v1};

use crate::{exit::Failure, output::Output, view};

/// Shows one panel or all.
pub(super) async fn run(
    client: &Client,
    topology: Option<String>,
    namespace: Option<String>,
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(name) = topology {
        let topology = client.get_topology(namespace.unwrap_or_default(), name).await?;
        if output.is_table() {
            return output.text(&view::panel(&topology, Output::width()));
        }
        return output.document("Topology", &topology);
    }
    let topologies = client.list_topologies(namespace.as_deref()).await?;
    if !output.is_table() {
        return output.document("ListTopologiesResponse", &v1::ListTopologiesResponse { topologies });
    }
    if topologies.is_empty() {
        return output.text("no topologies");
    }
    let width = Output::width();
    let panels: Vec<_> = topologies.iter().map(|topology| view::panel(topology, width)).collect();
    output.text(&panels.join("\n\n\n"))
}
