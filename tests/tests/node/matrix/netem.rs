//! netem: what is measured against what was asked, within what statistics allow.

use std::{collections::BTreeSet, time::Duration};

use podwire_proto::v1::{DelayDistribution, GilbertElliott, Impairment, Rate, State, impairment::LossModel};
use podwire_tests::{
    condition::{eventually, holds},
    elements::state,
    lab::{Lab, agent::Agent, pod::Pod},
    volley::{Arrival, Volley, middle, span},
};

use crate::{
    impairments::{direction, one_wire, update},
    private,
};

const PACED: Volley =
    Volley { frames: 2000, bytes: 100, gap: Duration::from_millis(1), patience: Duration::from_secs(2) };

fn ms(milliseconds: u64) -> Option<prost_types::Duration> {
    Duration::from_millis(milliseconds).try_into().ok()
}

/// A wire from `a` to `b`.
struct Wire {
    a: Pod,
    b: Pod,
    _agent: Agent,
}

impl Wire {
    /// What comes of a volley.
    fn run(&self, volley: Volley) -> Vec<Arrival> {
        volley.run(&self.a.tap("net1"), &self.b.tap("net1")).unwrap()
    }

    /// Whether what comes of one of five fits: a busy machine is late now and then, and never early.
    fn best_of_five(&self, volley: Volley, mut fits: impl FnMut(&[Arrival]) -> bool) -> bool {
        (0..5).any(|_| fits(&self.run(volley)))
    }
}

/// A wire that shows the impairment that was asked for.
async fn through(lab: &Lab, impairment: Impairment) -> Wire {
    let [a, b] = lab.pods(["a", "b"]);
    let agent = lab.agent().start().await;
    let made = agent.apply(one_wire(impairment)).await.unwrap();
    assert_eq!(state(&made), State::Ready);
    let seen = direction(&agent).await;
    let asked = Impairment { queue_packets: seen.queue_packets, gap: seen.gap, ..impairment };
    assert_eq!(podwire_tests::volley::close(&seen, &asked), None, "what the kernel shows");
    Wire { a, b, _agent: agent }
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn frames_come_as_late_as_was_asked() {
    private(async |lab| {
        let wire = through(lab, Impairment { delay: ms(80), ..Impairment::default() }).await;
        let on_time = wire.best_of_five(PACED, |came| {
            assert_eq!(came.len(), 2000);
            let (middle, width) = middle(came);
            println!("delay 80 ms: half of them within {middle:.3} ms, {width:.3} ms wide");
            assert!(came.iter().all(|it| it.took() >= Duration::from_millis(80)), "none comes early");
            middle < 95.0
        });
        assert!(on_time);
    });
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn delays_spread_as_was_asked() {
    private(async |lab| {
        // The middle and the width of the middle half that follow from the formulas.
        let shapes = [
            (DelayDistribution::Uniform, 100.0, 20.0),
            (DelayDistribution::Normal, 100.0, 26.98),
            (DelayDistribution::Pareto, 94.46, 11.24),
            (DelayDistribution::Paretonormal, 95.84, 15.18),
        ];
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one_wire(Impairment::default())).await.unwrap();
        for (distribution, shall, wide) in shapes {
            let (delay, jitter) = (ms(100), ms(20));
            let asked = Impairment { delay, jitter, distribution: distribution.into(), ..Impairment::default() };
            agent.links().update_link(update(Some(asked))).await.unwrap();
            assert_eq!(direction(&agent).await.distribution(), distribution);
            // A busy machine is late now and then, which moves and widens; it makes nothing narrower. So the best of ten.
            let volley = Volley { frames: 1000, patience: Duration::from_millis(500), ..PACED };
            let fits = (0..10).any(|_| {
                let came = volley.run(&a.tap("net1"), &b.tap("net1")).unwrap();
                assert_eq!(came.len(), 1000);
                let (is, width) = middle(&came);
                println!("{distribution:?}: middle {is:.2} of {shall} ms, width {width:.2} of {wide} ms");
                // Four standard errors of a median and of a width.
                let moved = (shall - 2.5..shall + 3.5).contains(&is);
                moved && (wide * 0.85..wide * 1.15).contains(&width)
            });
            assert!(fits, "{distribution:?}");
        }
    });
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn as_many_are_lost_as_was_asked() {
    private(async |lab| {
        let loss_model = Some(LossModel::Loss(10.0));
        let volley = Volley { frames: 6000, gap: Duration::from_micros(200), ..PACED };
        let came = through(lab, Impairment { loss_model, ..Impairment::default() }).await.run(volley);
        let lost = 6000 - came.len();
        println!("loss 10 %: {lost} of 6000");
        // Four standard deviations of a binomial distribution: 93.
        assert!((507..=693).contains(&lost), "{lost}");
    });
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn bursts_are_lost_as_was_asked() {
    private(async |lab| {
        // In the bad state for 5 frames on average, in the good one for 20: a fifth is lost.
        let chain = GilbertElliott { p: 5.0, r: 20.0, one_minus_h: 100.0, one_minus_k: 0.0 };
        let loss_model = Some(LossModel::GilbertElliott(chain));
        let volley = Volley { frames: 6000, gap: Duration::from_micros(200), ..PACED };
        let came = through(lab, Impairment { loss_model, ..Impairment::default() }).await.run(volley);
        let lost = 6000 - came.len();
        let bursts = came.windows(2).filter(|pair| pair[1].number > pair[0].number + 1).count();
        println!("Gilbert-Elliott: {lost} of 6000 in {bursts} bursts");
        // The chain remembers 0.75 of a state, so the variance is 7 times that of a binomial distribution.
        assert!((872..=1528).contains(&lost), "{lost}");
        assert!((180..=300).contains(&bursts), "{bursts}");
    });
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn frames_come_twice_flipped_and_early_as_was_asked() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one_wire(Impairment::default())).await.unwrap();
        let run = async |impairment: Impairment| {
            agent.links().update_link(update(Some(impairment))).await.unwrap();
            PACED.run(&a.tap("net1"), &b.tap("net1")).unwrap()
        };
        let came = run(Impairment { duplicate: 25.0, ..Impairment::default() }).await;
        let numbers: BTreeSet<u32> = came.iter().map(|it| it.number).collect();
        println!("duplicate 25 %: {} of 2000 came twice", came.len() - 2000);
        assert_eq!(numbers.len(), 2000);
        assert!((422..=578).contains(&(came.len() - 2000)), "{}", came.len());
        let came = run(Impairment { corrupt: 25.0, ..Impairment::default() }).await;
        let flipped = came.iter().filter(|it| it.flipped == 1).count();
        println!("corrupt 25 %: {flipped} of 2000 with a bit flipped");
        assert!(came.iter().all(|it| it.flipped <= 1));
        assert!((400..=578).contains(&flipped), "{flipped}");
        let reorder = Impairment { delay: ms(100), reorder: 25.0, gap: 1, ..Impairment::default() };
        let came = run(reorder).await;
        let early = came.iter().filter(|it| it.took() < Duration::from_millis(100)).count();
        println!("reorder 25 %: {early} of 2000 early");
        assert_eq!(came.len(), 2000);
        assert!((422..=578).contains(&early), "{early}");
    });
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn a_rate_stands_behind_the_delay() {
    private(async |lab| {
        let rate = Some(Rate { bits_per_second: 2_000_000, burst_bytes: 45_000, queue_bytes: 2_000_000 });
        let impairment = Impairment { delay: ms(50), rate, queue_packets: 5000, ..Impairment::default() };
        let volley = Volley { frames: 300, bytes: 1500, gap: Duration::ZERO, patience: Duration::from_secs(4) };
        let as_fast = through(lab, impairment).await.best_of_five(volley, |came| {
            assert_eq!(came.len(), 300);
            // A bucket of 30 frames: a machine that stumbles for less than their 180 ms loses nothing.
            let bytes = 270.0 * 1500.0 / span(came);
            println!("2 Mbit/s: {:.0} bit/s, first after {:?}", bytes * 8.0, came[0].took());
            assert!(bytes < 262_500.0, "{bytes} bytes/s");
            assert!(came[0].took() >= Duration::from_millis(50));
            bytes > 200_000.0
        });
        assert!(as_fast);
    });
}

#[test]
#[ignore = "needs netem: cargo kernel-matrix"]
fn an_impairment_is_healed_and_goes() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let (delay, jitter, distribution) = (ms(50), ms(5), DelayDistribution::Pareto.into());
        let rate = Some(Rate { bits_per_second: 2_000_000, ..Rate::default() });
        let all = Impairment { delay, jitter, distribution, rate, ..Impairment::default() };
        agent.apply(one_wire(all)).await.unwrap();
        let [panel] = lab.panels().try_into().unwrap();
        let shown = || lab.run(&format!("tc -n {panel} qdisc show")).replace("refcnt 2 ", "");
        let disciplines = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().filter(|line| line.contains("netem") || line.contains("tbf"));
            // The seed is another one each time.
            lines.map(|line| line.split(" seed").next().unwrap_or(line).trim().to_owned()).collect()
        };
        let before = disciplines(&shown());
        assert_eq!(before.len(), 2, "{before:?}");
        let line = before.iter().find(|line| line.contains("netem")).unwrap();
        let port = line.split(' ').nth(4).unwrap().to_owned();
        let damages = [
            "del dev PORT root",
            "del dev PORT parent 7003:1",
            "change dev PORT handle 7003: root netem delay 1ms",
            "replace dev PORT root netem loss 50%",
            "replace dev PORT root fq_codel",
        ];
        for damage in damages {
            lab.run(&format!("tc -n {panel} qdisc {}", damage.replace("PORT", &port)));
            eventually("it is back", async || holds(disciplines(&shown()) == before, shown())).await;
        }
        agent.links().update_link(update(Some(Impairment { rate: None, ..all }))).await.unwrap();
        assert_eq!(disciplines(&shown()).len(), 1);
        agent.links().update_link(update(Some(Impairment { rate, ..Impairment::default() }))).await.unwrap();
        assert_eq!(disciplines(&shown()).len(), 1);
        agent.links().update_link(update(Some(Impairment::default()))).await.unwrap();
        assert_eq!(disciplines(&shown()).len(), 0);
    });
}
