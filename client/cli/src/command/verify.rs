//! `podwire verify`.

use podwire_client::{Client, Error, v1};

use crate::{exit::Failure, output::Output, table::Table, view};

/// Tries out the links of a topology and says what passes.
pub(super) async fn run(
    client: &Client,
    namespace: &str,
    topology: &str,
    link: Option<&str>,
    output: &mut Output,
) -> Result<(), Failure> {
    // That there is no such topology shall not look like one without links.
    let links = client.get_topology(namespace, topology).await?.links;
    let links: Vec<_> = links.into_iter().filter(|each| link.is_none_or(|name| name == each.name)).collect();
    if let (Some(name), true) = (link, links.is_empty()) {
        return Err(Failure::Missing { kind: "link", name: name.to_owned() });
    }
    let mut table =
        Table::new(["LINK", "FROM", "TO", "PASSES", "RTT", "LARGEST", "TAGGED", "GROUP ADDRESSES 01:80:c2:00:00:…"]);
    let (mut ailing, count) = (0, links.len());
    for link in links {
        let found = client.verify_link(namespace, topology, &link.name).await;
        match found {
            Ok(found) => {
                ailing += usize::from(!is_well(&found));
                if output.is_table() {
                    rows(&mut table, &link, &found);
                } else {
                    output.document("VerifyLinkResponse", &found)?;
                }
            }
            Err(error) if is_about_the_link(&error) => {
                ailing += 1;
                output.warning(&format!("link {}: {error}", link.name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if output.is_table() {
        if count == 0 {
            output.text("no links")?;
        } else if !table.is_empty() {
            output.text(&table.render(Output::width()))?;
        }
    }
    match ailing {
        0 => Ok(()),
        1 => Err(Failure::Ailing("1 link that does not pass everything".to_owned())),
        _ => Err(Failure::Ailing(format!("{ailing} links that do not pass everything"))),
    }
}

/// Whether the other links can be tried out all the same.
fn is_about_the_link(error: &Error) -> bool {
    error.is_precondition() || error.is_not_found() || error.is_gone()
}

fn rows(table: &mut Table, link: &v1::Link, found: &v1::VerifyLinkResponse) {
    let end = |interface: Option<&v1::Interface>| interface.map(view::name).unwrap_or_default();
    let b = link.far_end.as_ref().map(|v1::link::FarEnd::B(b)| b);
    let (a, b) = (end(link.a.as_ref()), end(b));
    let time = |time: &Option<prost_types::Duration>| time.as_ref().map(shown).unwrap_or_default();
    let rtt = match (time(&found.rtt_min), time(&found.rtt_median)) {
        (min, median) if !min.is_empty() => format!("{min} ({median})"),
        _ => String::new(),
    };
    let mut row = |name: &str, from: &str, to: &str, rtt: String, direction: Option<&v1::LinkDirection>| {
        let Some(direction) = direction else { return };
        let passes = if direction.passes { "yes" } else { "no" };
        table.row([
            name.to_owned(),
            from.to_owned(),
            to.to_owned(),
            passes.to_owned(),
            rtt,
            direction.largest_payload.to_string(),
            direction.largest_tagged_payload.to_string(),
            groups(&direction.group_addresses),
        ]);
    };
    row(&link.name, &a, &b, rtt, found.a_to_b.as_ref());
    row("", &b, &a, String::new(), found.b_to_a.as_ref());
}

/// All, none, or which do not.
fn groups(passed: &[u32]) -> String {
    let missing: Vec<String> =
        (0..16).filter(|last| !passed.contains(last)).map(|last: u32| format!(":{last:02x}")).collect();
    match missing.len() {
        0 => "all 16".to_owned(),
        16 => "none".to_owned(),
        _ => format!("all but {}", missing.join(" ")),
    }
}

fn is_well(found: &v1::VerifyLinkResponse) -> bool {
    let directions = [(&found.a_to_b, found.mtu_a.min(found.mtu_b)), (&found.b_to_a, found.mtu_a.min(found.mtu_b))];
    directions.into_iter().all(|(direction, mtu)| {
        direction.as_ref().is_some_and(|direction| {
            direction.passes
                && direction.group_addresses.len() == 16
                && direction.largest_payload >= mtu
                && direction.largest_tagged_payload >= mtu
        })
    })
}

/// A round trip: `18 µs`, `2.31 ms`.
fn shown(time: &prost_types::Duration) -> String {
    let nanoseconds = time.seconds * 1_000_000_000 + i64::from(time.nanos);
    match nanoseconds / 1000 {
        microseconds @ 0..1000 => format!("{microseconds} µs"),
        microseconds => format!("{}.{:02} ms", microseconds / 1000, microseconds % 1000 / 10),
    }
}
