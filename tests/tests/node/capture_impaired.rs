//! What a capture sees of frames that an impairment loses.

use std::time::Duration;

use podwire_client::CaptureRequest;
use podwire_proto::v1::{Impairment, LinkMode, Rate};
use podwire_tests::{
    condition::{eventually, holds},
    film::Film,
    volley::Volley,
};

use crate::{
    capture::{of_a, quiet, wire, with_readers},
    impairments::update,
};

#[test]
fn frames_are_seen_before_the_impairment_where_they_enter_and_after_it_where_they_leave() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        // A slow line with a short queue loses most of a burst.
        let rate = Some(Rate { bits_per_second: 1_000_000, burst_bytes: 1518, queue_bytes: 15_180 });
        agent.links().update_link(update(Some(Impairment { rate, ..Impairment::default() }))).await.unwrap();
        let of_b = CaptureRequest::interface("lessons", "b", "net1");
        let of_link = CaptureRequest::link("lessons", "12", "w1");
        let mut films = Vec::new();
        for request in [of_a(), of_b, of_link] {
            films.push(Film::start(&agent, request).await.unwrap());
        }
        let volley = Volley { frames: 200, bytes: 1500, gap: Duration::ZERO, patience: Duration::from_secs(1) };
        let came = u64::try_from(volley.run(&a.tap("net1"), &b.tap("net1")).unwrap().len()).unwrap();
        assert!((1..150).contains(&came), "{came} came");
        for (film, (what, expected)) in films.iter_mut().zip([("a", 200), ("b", came), ("the link", 200)]) {
            eventually(&format!("the capture of {what} has {expected} frames"), async || {
                film.glance().await;
                holds(film.frames() == expected, film.frames())
            })
            .await;
        }
    });
}
