//! `podwire watch`.

use podwire_client::{Client, WatchRequest, v1};

use crate::{exit::Failure, output::Output, state};

/// Prints changes as they happen.
pub(super) async fn run(
    client: &Client,
    topology: Option<String>,
    namespace: Option<String>,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = match (namespace, topology) {
        (namespace, Some(name)) => WatchRequest::topology(namespace.unwrap_or_else(|| "default".to_owned()), name),
        (Some(namespace), None) => WatchRequest::namespace(namespace),
        (None, None) => WatchRequest::all(),
    };
    let mut watch = client.watch(request).await?;
    while let Some(event) = watch.next().await {
        let event = event?;
        if output.is_table() {
            output.text(&line(&event))?;
        } else {
            output.event("WatchTopologiesResponse", &event)?;
        }
    }
    output.note("the agent ended the watch");
    Ok(())
}

/// One event on one line, and a line for each interface that is not READY.
fn line(event: &v1::WatchTopologiesResponse) -> String {
    let word = match event.event() {
        v1::TopologyEvent::Unspecified => "unknown",
        v1::TopologyEvent::Snapshot => "is there",
        v1::TopologyEvent::Synced => "in sync",
        v1::TopologyEvent::Changed => "changed",
        v1::TopologyEvent::Deleted => "deleted",
    };
    let time = event.time.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut line = format!("{time}  {word:<8}");
    if let Some(topology) = &event.topology {
        line.extend([format!("  {}/{}", topology.namespace, topology.name)]);
        if let Some(status) = &topology.status {
            let (ready, all) = (status.interfaces_ready, status.interfaces);
            line.extend([format!("  {}  {ready}/{all}", state::word(status.state))]);
            if !status.reason.is_empty() {
                line.extend([format!("  {}", status.reason)]);
            }
        }
    }
    if !event.cause.is_empty() {
        line.extend([format!("  ({})", event.cause)]);
    }
    line
}
