//! `podwire plan`.

use podwire_client::v1;

use super::{connect, fenced, reading};
use crate::{
    arguments::{Agent, Plan},
    exit::Failure,
    output::Output,
    progress,
    table::Table,
};

/// Shows the steps that an apply would take.
pub(super) async fn run(agent: &Agent, arguments: Plan, output: &mut Output) -> Result<(), Failure> {
    let topology = reading::topology(&arguments.manifests, output)?;
    let client = connect(agent).await?;
    let change = fenced!(client.plan(topology), &client, &arguments.manifests.fence, false);
    let plan = progress::during("planning", change.into_future()).await?;
    if !output.is_table() {
        let response = v1::PlanTopologyResponse { steps: plan.steps, topology: Some(plan.topology) };
        return output.document("PlanTopologyResponse", &response);
    }
    if plan.steps.is_empty() {
        return output.text("nothing to do");
    }
    let mut table = Table::new(["ACTION", "OBJECT", "DETAIL"]);
    let count = plan.steps.len();
    for step in plan.steps {
        table.row([step.action, step.object, step.detail]);
    }
    let steps = if count == 1 { "step" } else { "steps" };
    output.text(&format!("{}\n\n{count} {steps}", table.render(Output::width())))
}
