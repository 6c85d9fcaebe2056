//! What calls send and return.

use podwire_client::{Client, Code, Renewal, Topology, WatchRequest};
use tokio_stream::StreamExt;

use crate::agent::{Agent, GetNode};

async fn client() -> (Agent, Client) {
    let agent = Agent::start(GetNode::Answer);
    let client = Client::connect(agent.target.clone()).await.unwrap();
    (agent, client)
}

#[tokio::test]
async fn an_apply_carries_its_options() {
    let (_agent, client) = client().await;
    let plain = client.apply(Topology::new("lessons", "12").generation(7)).await.unwrap();
    assert_eq!((plain.name.as_str(), plain.generation), ("12", 7));
    assert_eq!(plain.status.unwrap().reason, "force false, until_ready false");
    let forced = client.apply(Topology::new("lessons", "12")).until_ready().force().generation(8).await.unwrap();
    assert_eq!(forced.generation, 8);
    assert_eq!(forced.status.unwrap().reason, "force true, until_ready true");
}

#[tokio::test]
async fn a_plan_has_steps_and_the_topology() {
    let (_agent, client) = client().await;
    let plan = client.plan(Topology::new("lessons", "12")).await.unwrap();
    assert_eq!((plan.steps[0].action.as_str(), plan.topology.namespace.as_str()), ("create", "lessons"));
}

#[tokio::test]
async fn an_answer_without_its_message_is_an_error() {
    let (_agent, client) = client().await;
    let error = client.get_topology("lessons", "12").await.unwrap_err();
    assert_eq!(error.message(), "the agent's answer has no topology");
}

#[tokio::test]
async fn a_large_answer_is_read() {
    let (_agent, client) = client().await;
    let all = client.list_topologies(Some("lessons")).await.unwrap();
    assert_eq!((all[0].namespace.as_str(), all[0].name.len()), ("lessons", 5 << 20));
}

#[tokio::test]
async fn a_fenced_delete_says_so() {
    let (_agent, client) = client().await;
    let error = client.delete_topology("lessons", "12").generation(3).await.unwrap_err();
    assert!(error.is_fenced());
    assert_eq!(error.to_string(), "generation 3");
    client.delete_topology("lessons", "12").force().await.unwrap();
}

#[tokio::test]
async fn leases_are_renewed_by_many_notations() {
    let (_agent, client) = client().await;
    let topology = client.apply(Topology::new("lessons", "14").generation(9)).await.unwrap();
    let answers = client
        .renew_leases([
            Renewal::from(("lessons", "12")),
            Renewal::new("lessons", "13").generation(2),
            (&topology).into(),
        ])
        .await
        .unwrap();
    let names: Vec<_> = answers.iter().map(|answer| answer.name.as_str()).collect();
    assert_eq!(names, ["12 0", "13 2", "14 9"]);
    assert_eq!(client.renew_leases([("lessons", "12")]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_watch_is_a_stream_too() {
    let (_agent, client) = client().await;
    let watch = client.watch(WatchRequest::topology("lessons", "12")).await.unwrap();
    let tokens: Vec<_> = watch.take(1).map(|event| event.unwrap().resume_token).collect().await;
    assert_eq!(tokens, ["1"]);
}

#[tokio::test]
async fn a_service_that_the_agent_lacks_is_unimplemented() {
    let (_agent, client) = client().await;
    assert!(client.list_netns().await.unwrap_err().is_unimplemented());
}

#[tokio::test]
async fn a_request_that_is_too_large_hears_why() {
    let (_agent, client) = client().await;
    let large = Topology::new("lessons", "x".repeat(64 << 20));
    let error = client.apply(large).await.unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange, "{error:?}");
    client.get_node().await.unwrap();
}

#[tokio::test]
async fn many_calls_go_at_once() {
    let (_agent, client) = client().await;
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.get_node().await }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}
