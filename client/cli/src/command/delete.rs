//! `podwire delete`.

use podwire_client::Client;

use super::{fenced, question};
use crate::{arguments::Delete, exit::Failure, output::Output, progress, view};

/// Removes a topology.
pub(super) async fn run(client: &Client, arguments: Delete, output: &mut Output) -> Result<(), Failure> {
    let (namespace, name) = (&arguments.namespace, &arguments.topology);
    let there = match client.get_topology(namespace, name).await {
        Ok(topology) => Some(view::interfaces(&topology).count()),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(interfaces) = there {
        let question = format!("remove topology {namespace}/{name} with {}?", counted(interfaces));
        question::ask(&question, arguments.yes, output)?;
    }
    // An absent one too: a delete leaves its generation behind.
    let change = fenced!(client.delete_topology(namespace, name), client, &arguments.fence, false);
    progress::during("removing", change.into_future()).await?;
    output.note(&match there {
        Some(interfaces) => format!("topology {namespace}/{name} is removed with {}", counted(interfaces)),
        None => format!("the agent knows no topology {namespace}/{name}{}", elsewhere(client, name).await),
    });
    Ok(())
}

/// Where a topology of this name is: whoever forgot the namespace finds it here.
async fn elsewhere(client: &Client, name: &str) -> String {
    let others = client.list_topologies(None).await.unwrap_or_default();
    let mut found = others.iter().filter(|topology| topology.name == name);
    found.next().map_or_else(String::new, |topology| {
        format!("\nhint: there is {}/{name}: -n {}", topology.namespace, topology.namespace)
    })
}

fn counted(interfaces: usize) -> String {
    format!("{interfaces} {}", if interfaces == 1 { "interface" } else { "interfaces" })
}
