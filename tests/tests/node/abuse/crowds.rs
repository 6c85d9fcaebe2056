//! More calls at once than there may be.

use podwire_proto::v1::{WatchTopologiesRequest, topology_service_client::TopologyServiceClient};
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use super::{Bounds, Siege, Way};
use crate::{door::wire::channel, private};

/// As many as the issue of the project asks for.
const REQUESTS: usize = 10_000;
/// By so many connections of two peers.
const CONNECTIONS: usize = 80;
/// Calls of one peer that the agent has under way.
const OF_ONE: usize = 1024;

#[test]
fn ten_thousand_requests_in_flight() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let door = siege.door.as_ref().unwrap();
        let pairs = ["evil.example", "worse.example"].map(|name| door.authority.issue(&[name]));
        // 16 KiB of each call that is let in, several of that for each connection, and the refusals on their way.
        let bounds = Bounds { memory: 128, descriptors: CONNECTIONS };
        let (mut held, mut refused) = (0, Vec::new());
        siege
            .endure("10000 requests in flight", bounds, async {
                // Less than 128 for each connection, or the last ones would wait in this process for the first to end.
                let channels = (0..CONNECTIONS).map(|number| channel(&door.authority, Some(&pairs[number % 2])));
                let channels: Vec<_> = channels.collect();
                let call = |number: usize| {
                    let mut client = TopologyServiceClient::new(channels[number % CONNECTIONS].clone());
                    async move {
                        let request = WatchTopologiesRequest { namespace: "attack".into(), ..Default::default() };
                        client.watch_topologies(request).await.map(tonic::Response::into_inner)
                    }
                };
                let mut streams: Vec<Streaming<_>> = Vec::new();
                let mut calls = tokio::task::JoinSet::new();
                for number in 0..REQUESTS {
                    calls.spawn(call(number));
                }
                while let Some(done) = calls.join_next().await {
                    match done.unwrap() {
                        Ok(stream) => streams.push(stream),
                        Err(status) => refused.push(status),
                    }
                }
                held = streams.len();
                streams
            })
            .await;
        assert_eq!(held, 2 * OF_ONE, "as many as two peers may have");
        assert_eq!(refused.len(), REQUESTS - held);
        for status in refused {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            let details = status.get_error_details();
            assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("OVERLOADED"));
            assert!(details.retry_info().and_then(|info| info.retry_delay).is_some(), "when to come back");
        }
    });
}
