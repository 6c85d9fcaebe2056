//! Captures: what is refused, and how they end.

use std::time::Instant;

use podwire_client::CaptureRequest;
use podwire_proto::v1::{
    BpfInstruction, CaptureInterface, CaptureRequest as Message, LinkMode, capture_interface::Owner,
    capture_request::Target, capture_service_client::CaptureServiceClient,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, topology},
    film::{Film, footprint},
    lab::agent::{Agent, refused},
    netns::inside,
};
use tonic::Code;

use crate::{
    capture::{lan, of_a, quiet, wire},
    private,
};

async fn why(agent: &Agent, request: CaptureRequest) -> podwire_client::Error {
    match Film::start(agent, request).await {
        Ok(film) => panic!("not refused: {film:?}"),
        Err(error) => error,
    }
}

#[test]
fn what_is_not_there_is_told_apart_from_what_waits() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        assert!(why(&agent, of_a()).await.is_not_found(), "no topology has it");
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let link = |name: &str| CaptureRequest::link("lessons", "12", name);
        for request in [
            link("w2"),
            CaptureRequest::link("lessons", "13", "w1"),
            CaptureRequest::link("other", "12", "w1"),
            CaptureRequest::bridge("lessons", "12", "w1"),
            CaptureRequest::interface("lessons", "a", "net9"),
            CaptureRequest::interface("lessons", "a", "lo"),
            CaptureRequest::interface("other", "a", "net1"),
        ] {
            let error = why(&agent, request.clone()).await;
            assert!(error.is_not_found() || error.is_invalid(), "{request:?}: {error}");
        }
        let error = why(&agent, CaptureRequest::interface("lessons", "b", "net1")).await;
        assert!(error.is_precondition() && error.reason() == Some("NOT_PLUGGED"), "{error}");
        println!("{error}");
        // Of a link the end that is there is captured, and the other one when it comes.
        let mut film = Film::start(&agent, link("w1")).await.unwrap();
        let b = lab.pod("b");
        eventually("the interface is there", async || holds(b.interfaces() == ["net1"], "not yet")).await;
        eventually("the end that came is captured", async || {
            b.tap("net1").send([0xff; 6], b"\x88\xb6").map_err(|error| error.to_string())?;
            film.glance().await;
            holds(film.frames() > 0, "no frame")
        })
        .await;
    });
}

#[test]
fn bad_requests_are_refused_with_every_field() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let mut service = CaptureServiceClient::new(agent.channel());
        let interface = CaptureInterface { owner: Some(Owner::Pod("a".into())), name: "net1".into() };
        let good =
            Message { namespace: "lessons".into(), target: Some(Target::Interface(interface)), ..Message::default() };
        let op = |code, jt, jf, k| BpfInstruction { code, jt, jf, k };
        let filter = |filter: Vec<BpfInstruction>| Message { filter, ..good.clone() };
        let time =
            |seconds, nanos| Message { duration: Some(prost_types::Duration { seconds, nanos }), ..good.clone() };
        let nobody = CaptureInterface { owner: None, name: String::new() };
        for (message, field) in [
            (Message { target: None, ..good.clone() }, "target"),
            (Message { target: Some(Target::Interface(nobody)), ..good.clone() }, "interface.pod"),
            (Message { target: Some(Target::Link("?".into())), ..good.clone() }, "link"),
            (Message { namespace: "/".into(), ..good.clone() }, "namespace"),
            (Message { snap_length: 262_145, ..good.clone() }, "snap_length"),
            (time(-1, 0), "duration"),
            (time(86_401, 0), "duration"),
            (time(0, -1), "duration"),
            (filter(vec![op(40, 0, 0, 12), op(21, 0, 200, 1), op(6, 0, 0, 0)]), "filter[1]"),
            (filter(vec![op(40, 0, 0, 12)]), "filter[0]"),
            (filter(vec![op(70_000, 0, 0, 12), op(6, 0, 0, 0)]), "filter[0]"),
            (filter(vec![op(6, 0, 0, 0); 4092]), "filter[4091]"),
        ] {
            let status = refused(service.capture(message)).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
            assert!(status.message().contains(field), "{field}: {status}");
        }
        // Only the kernel sees that this loads a memory word that was never stored.
        let status = refused(service.capture(filter(vec![op(0x60, 0, 0, 3), op(6, 0, 0, 1)]))).await;
        println!("{status}");
        assert!(status.code() == Code::InvalidArgument && status.message().contains("filter"), "{status}");
        // The longest program is taken, also with the instructions that podwire puts before it.
        let longest = vec![op(6, 0, 0, 1); 4091];
        for target in [good.target.clone(), Some(Target::Link("w1".into()))] {
            let message = Message { topology: "12".into(), target, ..filter(longest.clone()) };
            service.capture(message).await.unwrap();
        }
    });
}

#[test]
fn a_capture_ends_with_what_it_captures() {
    private(async |lab| {
        let pods = quiet(lab, ["a", "b", "c"]);
        let agent = lab.agent().start().await;
        let gone = async |film: Film, words: &str| {
            let (_, frames, _, error) = film.until_end().await;
            let error = error.expect("an error");
            println!("{error}");
            assert!(error.is_gone() && error.message().contains(words), "{error}");
            assert_eq!(frames, 1, "what was seen before came");
        };
        let send = || pods[0].tap("net1").send([0xff; 6], b"\x88\xb6").unwrap();
        agent.apply(lan()).await.unwrap();
        let film = Film::start(&agent, CaptureRequest::bridge("lessons", "12", "lan")).await.unwrap();
        send();
        agent
            .apply({
                let mut other = topology("12");
                other.bridges.push(bridge("other"));
                other
            })
            .await
            .unwrap();
        gone(film, "bridge lan").await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let films =
            [Film::start(&agent, of_a()).await, Film::start(&agent, CaptureRequest::link("lessons", "12", "w1")).await];
        send();
        agent.delete("12").await.unwrap();
        for film in films {
            gone(film.unwrap(), "topology").await;
        }
        eventually("its panel goes", async || holds(lab.panels().is_empty(), format!("{:?}", lab.panels()))).await;
    });
}

#[test]
fn a_capture_follows_its_port_over_a_restart_of_the_pod() {
    private(async |lab| {
        let [_, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let mut film = Film::start(&agent, of_a()).await.unwrap();
        for round in 1..=2 {
            lab.ip("netns del a");
            eventually("the port is gone", async || {
                let there = lab.link_names("podwire.lessons.12");
                holds(!there.contains(&"a.net1".to_owned()), format!("{there:?}"))
            })
            .await;
            let a = lab.pod("a");
            eventually("it is plugged again", async || holds(a.interfaces() == ["net1"], "not yet")).await;
            let before = film.frames();
            eventually("its frames are seen", async || {
                a.tap("net1").send(b.tap("net1").mac(), b"\x88\xb6").map_err(|error| error.to_string())?;
                film.glance().await;
                holds(film.frames() > before, format!("round {round}"))
            })
            .await;
        }
    });
}

/// Cookie of a named network namespace.
fn cookie(name: &str) -> String {
    let inode = inside(name, || Ok(std::fs::read_link("/proc/thread-self/ns/net")?)).unwrap();
    inode.display().to_string()
}

#[test]
fn a_capture_inside_a_pod_ends_with_the_sandbox_and_lets_it_die() {
    private(async |lab| {
        let [_, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Direct)).await.unwrap();
        // One that is read, and one whose reader sleeps.
        let film = Film::start(&agent, of_a()).await.unwrap();
        let asleep = Film::start(&agent, CaptureRequest::link("lessons", "12", "w1")).await.unwrap();
        println!("{}", cookie("a"));
        let begin = Instant::now();
        lab.ip("netns del a");
        // The far end of its veth goes only when the namespace does, and that never does while a socket is open in it.
        eventually("the namespace dies", async || holds(b.interfaces().is_empty(), format!("{:?}", b.interfaces())))
            .await;
        println!("the namespace died {:?} after its name", begin.elapsed());
        for film in [film, asleep] {
            let (_, _, _, error) = film.until_end().await;
            let error = error.expect("an error");
            println!("{error}");
            assert!(error.is_gone() && error.message().contains("sandbox"), "{error}");
        }
        // And where the pod comes again at once, under the same name.
        lab.pod("a");
        eventually("it is plugged again", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(podwire_tests::elements::state(&now) == podwire_proto::v1::State::Ready, format!("{now:?}"))
        })
        .await;
        let film = Film::start(&agent, of_a()).await.unwrap();
        lab.ip("netns del a");
        lab.pod("a");
        let (_, _, _, error) = film.until_end().await;
        assert!(error.as_ref().is_some_and(podwire_client::Error::is_gone), "{error:?}");
    });
}

#[test]
fn a_cable_that_is_pulled_ends_nothing() {
    private(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let mut film = Film::start(&agent, of_a()).await.unwrap();
        let client = agent.client().await;
        for up in [false, true] {
            client.update_link("lessons", "12", "w1").up(up).await.unwrap();
        }
        eventually("carrier is back", async || holds(a.link("net1")["operstate"] == "UP", a.link("net1"))).await;
        a.tap("net1").send(b.tap("net1").mac(), b"\x88\xb6").unwrap();
        film.until_frames(1).await;
    });
}

#[test]
fn captures_end_with_their_callers_and_leave_no_descriptor() {
    private(async |lab| {
        let [a, _] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let at_a = a.tap("net1");
        let before = footprint(&agent);
        for round in 0..100 {
            let request = match round % 3 {
                0 => of_a(),
                1 => CaptureRequest::link("lessons", "12", "w1"),
                _ => of_a().max_frames(1),
            };
            let film = Film::start(&agent, request).await.unwrap();
            at_a.send([0xff; 6], b"\x88\xb6").unwrap();
            if round % 3 == 2 {
                film.until_end().await;
            }
        }
        let after = eventually("every descriptor is closed", async || {
            let now = footprint(&agent);
            holds(now.1 <= before.1, format!("{before:?} {now:?}")).map(|()| now)
        })
        .await;
        println!("resident kB and descriptors: {before:?}, after 100 captures {after:?}");
        assert!(after.0 < before.0 + 32 * 1024, "memory: {before:?} {after:?}");
    });
}

#[test]
fn the_33rd_capture_is_refused_and_a_place_is_free_at_once() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let mut films = Vec::new();
        for _ in 0..32 {
            films.push(Film::start(&agent, of_a()).await.unwrap());
        }
        let error = why(&agent, of_a()).await;
        assert!(error.is_exhausted() && error.message().contains("32"), "{error}");
        films.pop();
        eventually("a place is free", async || Film::start(&agent, of_a()).await.map(drop)).await;
    });
}

#[test]
fn an_agent_that_leaves_says_so_to_those_who_capture() {
    private(async |lab| {
        let [a, _] = quiet(lab, ["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let film = Film::start(&agent, of_a()).await.unwrap();
        a.tap("net1").send([0xff; 6], b"\x88\xb6").unwrap();
        let (ended, left) = tokio::join!(film.until_end(), agent.terminate());
        assert!(left.success());
        let (_, frames, _, error) = ended;
        assert!(frames == 1 && error.as_ref().is_some_and(podwire_client::Error::is_unavailable), "{frames} {error:?}");
    });
}
