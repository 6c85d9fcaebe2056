//! A small central scheduler: places one lesson of three pods on the emptiest node and keeps it for a minute.
//!
//! ```text
//! cargo run -p podwire-client --example scheduler -- node1=unix:///run/podwire/agent.sock node2=tcp://10.0.0.2:7411
//! ```
//!
//! The pods are `bb1`, `bb2` and `bb3` of namespace `lessons`. Those that are not there yet are plugged when they come.
//! Killed and started again, it finds its lesson and goes on; killed for good, the lease ends the lesson.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use podwire_client::{
    Attachment, Bridge, Client, Interface, Link, Renewal, Topology, Watch, WatchRequest, interfaces,
    v1::{self, RenewResult, interface::Owner, renew_leases_response::Item},
};

const NAMESPACE: &str = "lessons";
const LESSON: &str = "12";
const LEASE: Duration = Duration::from_secs(30);
const USAGE: &str = "no node answers; usage: scheduler NODE=TARGET...";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (node, client) = choose().await?;
    // Seconds since 1970: a scheduler that was started later fences an earlier one that is still about.
    let generation = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    println!("{node}: placing lesson {LESSON}, generation {generation}");
    tokio::select! {
        kept = keep(&client, generation) => kept?,
        followed = follow(&client) => followed?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    let delete = client.delete_topology(NAMESPACE, LESSON);
    delete.generation(generation).await?;
    println!("{node}: lesson {LESSON} is gone");
    Ok(())
}

/// The node that has the lesson already, else the one with the fewest topologies.
async fn choose() -> anyhow::Result<(String, Client)> {
    let mut nodes = Vec::new();
    for argument in std::env::args().skip(1) {
        let (node, target) = argument.split_once('=').context(USAGE)?;
        match look(target).await {
            Ok((client, there)) => {
                let here = there.iter().any(|t| (&*t.namespace, &*t.name) == (NAMESPACE, LESSON));
                println!("{node}: {} topologies, lesson here: {here}", there.len());
                nodes.push(((!here, there.len()), node.to_owned(), client));
            }
            Err(error) => println!("{node} is left out: {error}"),
        }
    }
    let best = nodes.into_iter().min_by_key(|(rank, ..)| *rank);
    best.map(|(_, node, client)| (node, client)).context(USAGE)
}

async fn look(target: &str) -> anyhow::Result<(Client, Vec<v1::Topology>)> {
    let client = Client::connect(target).await?;
    let there = client.list_topologies(None).await?;
    Ok((client, there))
}

/// Three pods on one LAN, and a wire from the first to the second.
fn lesson(generation: u64) -> Topology {
    let plug = |pod| {
        let attachment = Attachment::new(format!("{pod}-lan1")).pod(pod);
        attachment.interface("net1").bridge("lan1")
    };
    Topology::new(NAMESPACE, LESSON)
        .bridge(Bridge::new("lan1").subnet("10.0.0.0/24"))
        .attach_all(["bb1", "bb2", "bb3"].map(plug))
        .link(Link::new("w1").between(
            Interface::pod("bb1").name("net2").address("10.1.0.1/30"),
            Interface::pod("bb2").name("net2").address("10.1.0.2/30"),
        ))
        .lease(LEASE)
        .generation(generation)
}

/// Places the lesson and renews its lease six times.
async fn keep(client: &Client, generation: u64) -> anyhow::Result<()> {
    place(client, generation).await?;
    for _ in 0..6 {
        tokio::time::sleep(LEASE / 3).await;
        let renewal = Renewal::new(NAMESPACE, LESSON).generation(generation);
        match client.renew_leases([renewal]).await {
            Ok(answers) => match answers.first().map(Item::result) {
                Some(RenewResult::Renewed) => println!("renewed"),
                // The lease ended while the agent could not be reached.
                Some(RenewResult::NotFound) => place(client, generation).await?,
                other => bail!("the lease cannot be renewed: {other:?}"),
            },
            Err(error) if error.is_retryable() => println!("not renewed, once more later: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn place(client: &Client, generation: u64) -> anyhow::Result<()> {
    match client.apply(lesson(generation)).until_ready().await {
        Ok(_) => println!("placed: all is ready"),
        // What was asked stays, and the watch tells when the pods have come.
        Err(error) if error.is_retryable() => println!("not ready yet: {error}"),
        Err(error) if error.is_fenced() => bail!("another scheduler has the lesson: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Prints what becomes of the lesson, for ever.
async fn follow(client: &Client) -> anyhow::Result<()> {
    loop {
        let lesson = WatchRequest::topology(NAMESPACE, LESSON);
        match client.watch(lesson).await {
            Ok(watch) => show(watch).await,
            Err(error) if error.is_retryable() => println!("cannot watch: {error}"),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn show(mut watch: Watch) {
    while let Some(event) = watch.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => return println!("the watch broke: {error}"),
        };
        println!("{}: {}", event.event().as_str_name(), event.cause);
        for interface in event.topology.iter().flat_map(interfaces) {
            if let (Some(Owner::Pod(pod)), Some(status)) = (&interface.owner, &interface.status) {
                let (name, addresses) = (&interface.name, status.addresses.join(" "));
                let state = status.state().as_str_name();
                println!("  {pod} {name} {addresses} {state}");
            }
        }
    }
}
