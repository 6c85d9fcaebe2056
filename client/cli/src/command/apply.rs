//! `podwire apply`.

use podwire_client::{Client, v1};

use super::{connect, fenced, question, reading};
use crate::{
    arguments::{Agent, Apply},
    exit::Failure,
    output::Output,
    progress, view,
};

/// Reads the manifests, says what goes, and applies.
pub(super) async fn run(agent: &Agent, arguments: Apply, output: &mut Output) -> Result<(), Failure> {
    let topology = reading::topology(&arguments.manifests, output)?;
    let client = connect(agent).await?;
    removals(&client, &topology, &arguments, output).await?;
    let mut change = fenced!(client.apply(topology), &client, &arguments.manifests.fence, arguments.until_ready);
    if arguments.until_ready {
        change = change.until_ready();
    }
    let what = if arguments.until_ready { "waiting for READY" } else { "applying" };
    let topology = progress::during(what, change.into_future()).await?;
    if output.is_table() {
        output.text(&view::panel(&topology, Output::width()))?;
    } else {
        output.document("Topology", &topology)?;
    }
    for skipped in view::skipped_routes(&topology) {
        output.warning(&skipped);
    }
    Ok(())
}

/// Says what an apply would remove, and asks.
async fn removals(
    client: &Client,
    topology: &v1::Topology,
    arguments: &Apply,
    output: &mut Output,
) -> Result<(), Failure> {
    let plan = fenced!(client.plan(topology.clone()), client, &arguments.manifests.fence, false).await?;
    let removals: Vec<_> = plan.steps.iter().filter(|step| step.action == "remove").collect();
    if removals.is_empty() {
        return Ok(());
    }
    output.note(&format!("this removes from topology {}/{}:", plan.topology.namespace, plan.topology.name));
    for step in removals {
        let detail = if step.detail.is_empty() { String::new() } else { format!("  {}", step.detail) };
        output.note(&format!("  {}{detail}", step.object));
    }
    question::ask("go on?", arguments.yes, output)
}
