//! `podwire graph`.

use podwire_client::Client;

use crate::{
    arguments::{Drawing, Graph},
    exit::Failure,
    output::Output,
    picture::{Picture, dot, mermaid, svg},
};

/// Draws a topology.
pub(super) async fn run(client: &Client, graph: Graph, output: &mut Output) -> Result<(), Failure> {
    if !output.is_table() {
        let problem = "a drawing is neither JSON nor YAML".to_owned();
        let hint = "`podwire show TOPOLOGY -o json` has what is drawn; `--format` says how to draw it".to_owned();
        return Err(Failure::Usage { problem, hint });
    }
    let topology = client.get_topology(graph.namespace, graph.topology).await?;
    let picture = Picture::new(&topology);
    let drawing = match graph.format {
        Drawing::Svg => svg(&picture),
        Drawing::Mermaid => mermaid(&picture),
        Drawing::Dot => dot(&picture),
    };
    let Some(path) = graph.write else { return output.bytes(drawing.as_bytes()) };
    std::fs::write(&path, drawing).map_err(|source| Failure::Written { path, source })
}
