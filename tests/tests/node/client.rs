//! The typed client, as a scheduler uses it.

use std::time::Duration;

use podwire_client::{Attachment, Bridge, Client, Interface, Link, Topology};
use tonic::Code;

use crate::private;

fn lesson() -> Topology {
    Topology::new("lessons", "12")
        .bridge(Bridge::new("lan1").subnet("10.0.0.0/24"))
        .attach(Attachment::new("a-lan1").pod("a").interface("net1").bridge("lan1"))
        .attach(Attachment::new("b-lan1").pod("b").interface("net1").bridge("lan1"))
        .link(Link::new("w1").between(
            Interface::pod("a").name("net2").address("10.1.0.1/30"),
            Interface::pod("b").name("net2").address("10.1.0.2/30"),
        ))
}

#[test]
fn a_scheduler_places_a_lesson_and_takes_it_away() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let client = agent.client().await;
        let placed = client.apply(lesson()).until_ready().await.unwrap();
        assert_eq!(placed.status.unwrap().interfaces_ready, 4);
        a.ping(b.address("net1"));
        a.ping("10.1.0.2".parse().unwrap());
        client.delete_topology("lessons", "12").await.unwrap();
        assert!(a.interfaces().is_empty());
    });
}

#[test]
fn an_error_has_its_violations_and_its_kind() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let client = agent.client().await;
        let bad =
            lesson().bridge(Bridge::new("br%d")).attach(Attachment::new("x").pod("a").interface("a/b").bridge("no"));
        let error = client.apply(bad).await.unwrap_err();
        assert!(error.is_invalid(), "{error}");
        let fields: Vec<String> = error.violations().iter().map(ToString::to_string).collect();
        assert!(fields.len() >= 3, "{fields:?}");
        let error = client.get_topology("lessons", "none").await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}

#[test]
fn a_deadline_ends_a_call_with_the_agents_reasons() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let client = agent.client().await;
        let error = client.apply(lesson()).until_ready().deadline(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
        assert!(error.message().contains("b-lan1"), "which interface waits: {error}");
    });
}

#[test]
fn an_agent_that_is_not_there_is_said_to_be_so() {
    private(async |_| {
        let error = Client::connect("unix:///run/nobody.sock").await.unwrap_err();
        assert!(error.to_string().contains("/run/nobody.sock"), "{error}");
    });
}
