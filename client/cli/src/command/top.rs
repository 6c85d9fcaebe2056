//! `podwire top`.

use std::{collections::BTreeMap, time::Instant};

use podwire_client::{Client, v1};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    arguments::Top,
    exit::Failure,
    output::Output,
    table::Table,
    view::{far, impairment, name},
};

/// Cursor to the top left, and everything away.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// A direction: its topology and its two ends.
type Way = (String, String);

/// Shows rates again and again.
pub(super) async fn run(client: &Client, top: Top, output: &mut Output) -> Result<(), Failure> {
    let mut before: BTreeMap<Way, v1::Counters> = BTreeMap::new();
    let mut at = Instant::now();
    // Of 0 there is no interval.
    let mut ticks = interval(top.interval.max(std::time::Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0;
    loop {
        ticks.tick().await;
        let topologies = match &top.topology {
            Some(name) => vec![client.get_topology(top.namespace.clone().unwrap_or_default(), name).await?],
            None => client.list_topologies(top.namespace.as_deref()).await?,
        };
        let seconds = at.elapsed().as_secs_f64();
        at = Instant::now();
        let now: Vec<_> = topologies.iter().flat_map(directions).collect();
        if !output.is_table() {
            output.event("ListTopologiesResponse", &v1::ListTopologiesResponse { topologies })?;
        } else if looks > 0 || top.count == Some(1) {
            if Output::width().is_some() {
                output.bytes(CLEAR)?;
            }
            output.text(&table(&now, &before, seconds).render(Output::width()))?;
        }
        before = now.into_iter().filter_map(|(way, status)| Some((way, status.counters?))).collect();
        looks += 1;
        if top.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
    }
}

/// What each direction of a topology does.
fn directions(topology: &v1::Topology) -> Vec<(Way, v1::DirectionStatus)> {
    let mut found = Vec::new();
    let place = format!("{}/{}", topology.namespace, topology.name);
    let mut add = |way: String, status: Option<&v1::DirectionStatus>| {
        found.extend(status.map(|status| ((place.clone(), way), *status)));
    };
    for link in &topology.links {
        let Some((a, b)) = link.a.as_ref().zip(far(link)).map(|(a, b)| (name(a), name(b))) else { continue };
        add(format!("{a} to {b}"), link.a_to_b_status.as_ref());
        add(format!("{b} to {a}"), link.b_to_a_status.as_ref());
    }
    for plug in &topology.attachments {
        let Some(interface) = plug.interface.as_ref().map(name) else { continue };
        let Some(v1::attachment::Target::Bridge(bridge)) = &plug.target else { continue };
        add(format!("{interface} to {bridge}"), plug.from_interface_status.as_ref());
        add(format!("{bridge} to {interface}"), plug.to_interface_status.as_ref());
    }
    found
}

fn table(now: &[(Way, v1::DirectionStatus)], before: &BTreeMap<Way, v1::Counters>, seconds: f64) -> Table {
    let mut table = Table::new(["TOPOLOGY", "WAY", "FRAMES/S", "RATE", "DROPS/S", "DROPPED", "ERRORS", "IMPAIRED"]);
    for (way, status) in now {
        let is = status.counters.unwrap_or_default();
        let was = before.get(way).copied().unwrap_or(is);
        // A new port begins with 0 again.
        let rate = |is: u64, was: u64| per_second(is.saturating_sub(was), seconds);
        let passed = |it: v1::Counters| {
            if it.frames_out > 0 { (it.frames_out, it.bytes_out) } else { (it.frames_in, it.bytes_in) }
        };
        let ((frames, bytes), (frames_before, bytes_before)) = (passed(is), passed(was));
        table.row([
            way.0.clone(),
            way.1.clone(),
            rate(frames, frames_before).to_string(),
            impairment::bits(rate(bytes, bytes_before).saturating_mul(8)),
            rate(is.dropped, was.dropped).to_string(),
            is.dropped.to_string(),
            is.errors.to_string(),
            status.impairment.as_ref().map(impairment::describe).unwrap_or_default(),
        ]);
    }
    table
}

fn per_second(count: u64, seconds: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people, neither negative nor beyond what a wire carries"
    )]
    let rate = (count as f64 / seconds.max(0.001)).round() as u64;
    rate
}
