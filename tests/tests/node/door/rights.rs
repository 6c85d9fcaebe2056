//! What one sees and what one does not, and what becomes of streams whose right is taken away.

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use podwire_client::{CaptureRequest, Watch, WatchEvent, WatchRequest};
use podwire_proto::v1::{
    ApplyTopologyRequest, Bridge, Topology, TopologyEvent, Uplink, WatchTopologiesRequest, WatchTopologiesResponse,
    topology_service_client::TopologyServiceClient,
};
use podwire_tests::{
    condition::PATIENCE,
    elements::{bridge, link, nic, nic_of_netns, plug, topology},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tonic::{Code, transport::Endpoint};
use tower::service_fn;

use super::{
    Door, assert_denied, end_of, rules,
    wire::{channel_by, connector},
};
use crate::private;

fn of(namespace: &str, name: &str) -> Topology {
    Topology { namespace: namespace.to_owned(), bridges: vec![bridge("lan")], ..topology(name) }
}

async fn next(watch: &mut Watch) -> Result<WatchEvent, podwire_client::Error> {
    timeout(PATIENCE, watch.next()).await.expect("the watch says something").expect("the watch goes on")
}

/// The topologies of a snapshot.
async fn snapshot(watch: &mut Watch) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = next(watch).await.unwrap();
        if event.event() == TopologyEvent::Synced {
            return seen;
        }
        seen.push(key(&event));
    }
}

fn key(event: &WatchTopologiesResponse) -> String {
    event.topology.as_ref().map(|it| format!("{}/{}", it.namespace, it.name)).unwrap_or_default()
}

#[test]
fn one_sees_ones_own_and_nothing_tells_whether_there_is_more() {
    private(async |lab| {
        let policy = rules([("mine.example", "mine", "read, write, capture"), ("root.example", "*", "read, write")]);
        let door = Door::open(lab, &policy).await;
        let (root, mine) = (door.client("root.example").await, door.client("mine.example").await);
        for (namespace, name) in [("mine", "a"), ("yours", "b")] {
            root.apply(of(namespace, name)).await.unwrap();
        }
        let keys =
            |all: Vec<Topology>| all.into_iter().map(|it| format!("{}/{}", it.namespace, it.name)).collect::<Vec<_>>();
        assert_eq!(keys(root.list_topologies(None).await.unwrap()), ["mine/a", "yours/b"]);
        assert_eq!(keys(mine.list_topologies(None).await.unwrap()), ["mine/a"]);
        assert_denied(&mine.list_topologies(Some("yours")).await.unwrap_err(), "mine.example", "read", "yours");

        // What is there is refused in the same words as what is not.
        let refused = |error: podwire_client::Error, name: &str| {
            assert_denied(&error, "mine.example", "read", "yours");
            error.to_string().replace(name, "NAME")
        };
        let there = refused(mine.get_topology("yours", "b").await.unwrap_err(), "`b`");
        let not_there = refused(mine.get_topology("yours", "c").await.unwrap_err(), "`c`");
        assert_eq!(there, not_there);
        assert_denied(&mine.delete_topology("yours", "b").await.unwrap_err(), "mine.example", "write", "yours");
        assert_denied(&mine.apply(of("yours", "b")).await.unwrap_err(), "mine.example", "write", "yours");

        let mut watch = mine.watch(WatchRequest::all()).await.unwrap();
        assert_eq!(snapshot(&mut watch).await, ["mine/a"]);
        root.delete_topology("yours", "b").await.unwrap();
        root.apply(of("yours", "c")).await.unwrap();
        root.delete_topology("mine", "a").await.unwrap();
        assert_eq!(key(&next(&mut watch).await.unwrap()), "mine/a", "nothing of the other namespace came before it");

        // Named namespaces are pods of every namespace: who was there first is not told.
        lab.pods(["shared", "x", "y"]);
        let wire = |namespace: &str, other: &str| Topology {
            links: vec![link("w", nic("shared", "net7"), nic(other, "net1"))],
            ..of(namespace, "wire")
        };
        root.apply(wire("yours", "x")).await.unwrap();
        let error = mine.apply(wire("mine", "y")).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, Some("NAME_TAKEN")));
        assert!(error.to_string().contains("net7") && !error.to_string().contains("yours"), "{error}");
        assert!(root.apply(wire("mine", "y")).await.unwrap_err().to_string().contains("yours/wire"));
        let node = mine.get_node().await.unwrap();
        assert_eq!((node.netns_dir.as_str(), node.node_devices.len()), ("", 0));
    });
}

#[test]
fn who_is_refused_time_and_again_keeps_his_connection() {
    private(async |lab| {
        let door = Door::open(lab, "rules: []").await;
        // One connection that is never made anew, unlike that of the client.
        let pair = door.authority.issue(&["a.example"]);
        let stream = TcpStream::connect(super::ADDRESS).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector(&door.authority, Some(&pair)).connect(name, stream).await.unwrap();
        let mut stream = Some(TokioIo::new(stream));
        let once = service_fn(move |_| {
            let stream = stream.take();
            async move { stream.ok_or_else(|| io::Error::other("the connection was cut")) }
        });
        let channel = Endpoint::from_static("http://agent").connect_with_connector(once).await.unwrap();
        let mut raw = TopologyServiceClient::new(channel);
        let plugs = (0..2000).map(|at| plug(&format!("p{at}"), nic(&format!("pod-{at}"), "net1"), "lan"));
        let large = Topology { attachments: plugs.collect(), ..of("mine", "t") };
        for call in 0..50 {
            let request = ApplyTopologyRequest { topology: Some(large.clone()), ..Default::default() };
            let status = raw.apply_topology(request).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "call {call}: {status}\n{}", door.agent.log());
        }
    });
}

#[test]
fn a_watch_ends_when_its_right_is_taken_away() {
    private(async |lab| {
        let both = [("a.example", "mine", "read"), ("a.example", "ours", "read"), ("w.example", "*", "write")];
        let door = Door::open(lab, &rules(both)).await;
        let (reader, writer) = (door.client("a.example").await, door.client("w.example").await);
        writer.apply(of("mine", "t")).await.unwrap();
        let mut one = reader.watch(WatchRequest::namespace("mine")).await.unwrap();
        let mut all = reader.watch(WatchRequest::all()).await.unwrap();
        let mut other = reader.watch(WatchRequest::namespace("ours")).await.unwrap();
        assert_eq!(snapshot(&mut one).await, ["mine/t"]);
        assert_eq!(snapshot(&mut all).await, ["mine/t"]);
        assert_eq!(snapshot(&mut other).await, [""; 0]);

        door.change_policy(&rules([("a.example", "ours", "read"), ("w.example", "*", "write")])).await;
        assert_denied(&next(&mut one).await.unwrap_err(), "a.example", "read", "mine");
        let ended = next(&mut all).await.unwrap_err();
        assert!(ended.is_token_expired() && ended.reason() == Some("POLICY_CHANGED"), "{ended}");
        writer.apply(of("mine", "secret")).await.unwrap();
        writer.apply(of("ours", "u")).await.unwrap();
        assert_eq!(key(&next(&mut other).await.unwrap()), "ours/u", "what is still allowed goes on");

        let mut all = reader.watch(WatchRequest::all()).await.unwrap();
        assert_eq!(snapshot(&mut all).await, ["ours/u"]);
        door.change_policy("rules: []").await;
        assert_denied(&next(&mut all).await.unwrap_err(), "a.example", "read", "any namespace");
        assert_denied(&next(&mut other).await.unwrap_err(), "a.example", "read", "ours");
    });
}

#[test]
fn a_snapshot_on_its_way_ends_when_its_right_is_taken_away() {
    const TOPOLOGIES: usize = 24;
    private(async |lab| {
        let door = Door::open(lab, &rules([("a.example", "mine", "read"), ("w.example", "*", "write")])).await;
        let writer = door.client("w.example").await;
        for number in 0..TOPOLOGIES {
            // Of pods that are not there: they make no work, and much to tell.
            let plugs = (0..400).map(|at| plug(&format!("p{at}"), nic(&format!("pod-{number}-{at}"), "net1"), "lan"));
            writer.apply(Topology { attachments: plugs.collect(), ..of("mine", &format!("t{number}")) }).await.unwrap();
        }
        // Who has little room takes little ahead: most of the snapshot is not made yet when the first of it is read.
        let endpoint = Endpoint::from_static("http://agent").initial_stream_window_size(65_535);
        let pair = door.authority.issue(&["a.example"]);
        let mut raw = TopologyServiceClient::new(channel_by(&endpoint, &door.authority, Some(&pair)));
        let mut watches = Vec::new();
        for namespace in ["mine", ""] {
            let request = WatchTopologiesRequest { namespace: namespace.to_owned(), ..Default::default() };
            let mut watch = raw.watch_topologies(request).await.unwrap().into_inner();
            watch.message().await.unwrap().unwrap();
            watches.push(watch);
        }
        door.change_policy(&rules([("a.example", "elsewhere", "read"), ("w.example", "*", "write")])).await;
        for (mut watch, code) in watches.into_iter().zip([Code::PermissionDenied, Code::OutOfRange]) {
            let mut more = 0;
            let ended = async {
                loop {
                    match watch.message().await {
                        Ok(_) => more += 1,
                        Err(status) => break status,
                    }
                }
            };
            let ended = timeout(PATIENCE, ended).await.expect("it ends");
            assert_eq!(ended.code(), code, "{ended}");
            assert!(more < TOPOLOGIES / 3, "{more} topologies were told after the right was gone");
        }
    });
}

#[test]
fn a_capture_ends_when_its_right_is_taken_away_and_a_bad_policy_takes_nothing() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let rights = [("a.example", "lessons", "write, capture")];
        let door = Door::open(lab, &rules(rights)).await;
        let client = door.client("a.example").await;
        let wire = Topology { links: vec![link("w", nic("a", "net1"), nic("b", "net1"))], ..topology("12") };
        client.apply(wire).until_ready().await.unwrap();
        let mut film = client.capture(CaptureRequest::link("lessons", "12", "w")).await.unwrap();
        timeout(PATIENCE, film.next()).await.unwrap().unwrap().unwrap();

        super::write(&super::policy_file(lab), "rules: [{identities: [a.example], namespaces: [x], verb: [read]}]");
        podwire_tests::condition::eventually("the bad policy is refused", async || {
            anyhow::ensure!(door.agent.log().contains("a new policy is refused"), "{}", door.agent.log());
            Ok(())
        })
        .await;
        let log = door.agent.log();
        assert!(log.contains("verb") && log.contains("policy.yaml"), "{log}");
        client.capture(CaptureRequest::link("lessons", "12", "w")).await.unwrap();

        door.change_policy(&rules([("a.example", "lessons", "write")])).await;
        assert_denied(&end_of(&mut film).await, "a.example", "capture", "lessons");
    });
}

#[test]
fn devices_of_the_node_and_namespaces_by_name_take_a_verb_of_their_own() {
    private(async |lab| {
        lab.ip("link add up0 type veth peer name far0");
        let mine = "mine.example";
        let writes = rules([(mine, "lessons", "read, write")]);
        let door =
            Door::open_with(lab, &writes, |agent| agent.arg("--node-device").arg("up0").arg("--allow-netns")).await;
        let client = door.client(mine).await;
        let on_device = crate::devices::on("a", podwire_proto::v1::MacvlanMode::Bridge);
        let device = || Topology { attachments: vec![on_device.clone()], ..topology("d") };
        let by_name = || Topology {
            bridges: vec![bridge("lan")],
            attachments: vec![plug("p", nic_of_netns("n", "net1"), "lan")],
            ..topology("n")
        };
        assert!(client.get_node().await.unwrap().node_devices.is_empty());
        assert_denied(&client.apply(device()).await.unwrap_err(), mine, "node-device", "lessons");
        assert_denied(&client.plan(device()).await.unwrap_err(), mine, "node-device", "lessons");
        let uplink = Some(Uplink { parent: "up0".to_owned(), vlan: Some(7), ..Uplink::default() });
        let uplinked = || Bridge { uplink: uplink.clone(), ..bridge("lan") };
        let segment = || Topology { bridges: vec![uplinked()], ..topology("s") };
        assert_denied(&client.apply(segment()).await.unwrap_err(), mine, "node-device", "lessons");
        assert_denied(
            &client.create_bridge("lessons", "s", uplinked()).await.unwrap_err(),
            mine,
            "node-device",
            "lessons",
        );
        assert_denied(&client.apply(by_name()).await.unwrap_err(), mine, "netns", "lessons");
        let attach = podwire_proto::v1::AttachRequest {
            namespace: "lessons".to_owned(),
            attachment: Some(on_device.clone()),
            ..Default::default()
        };
        let pair = door.authority.issue(&[mine]);
        let channel = super::wire::channel(&door.authority, Some(&pair));
        let mut raw = podwire_proto::v1::attachment_service_client::AttachmentServiceClient::new(channel);
        assert_eq!(raw.attach(attach).await.unwrap_err().code(), Code::PermissionDenied);

        door.change_policy(&rules([(mine, "lessons", "read, write, node-device, netns")])).await;
        assert_eq!(client.get_node().await.unwrap().node_devices, ["up0"]);
        client.apply(device()).deadline(Duration::from_secs(30)).await.unwrap();
        client.apply(by_name()).await.unwrap();
    });
}
