//! What was acknowledged is there, or comes back by itself, and nothing else is: the agent is killed at any moment.
//!
//! `PODWIRE_KILLS` sets the rounds of each of four tests, `PODWIRE_SEED` repeats one. Seed and figures are printed.

mod checker;
mod load;

use std::{env, time::Duration};

use podwire_tests::{
    condition::{eventually, holds},
    lab::{Lab, agent::Agent},
    private::measured,
    random::{self, Random},
};

use self::{
    checker::{Figures, Resources},
    load::Load,
};
use crate::private;

/// Rounds of each test: 200 in all four.
const ROUNDS: u64 = 50;

fn rounds() -> u64 {
    env::var("PODWIRE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// What happens between two runs of the agent.
async fn end(agent: &mut Agent, random: &mut Random) {
    if random.once_in(10) {
        agent.terminate().await;
    } else {
        agent.kill();
    }
}

/// One in four starts is cut short too, at any moment of it.
async fn begin(lab: &Lab, random: &mut Random) -> Agent {
    while random.once_in(4) {
        let mut agent = lab.agent().spawn();
        tokio::time::sleep(Duration::from_micros(random.within(0..60_000))).await;
        agent.kill();
    }
    lab.agent().start().await
}

fn killed_at_any_moment(stream: u64) {
    private(async |lab| {
        let mut random = Random::of(stream);
        let mut agent = lab.agent().start().await;
        let before = lab.snapshot();
        let mut load = Load::new(lab);
        let fresh = Resources::of(&agent);
        let mut figures = Figures::default();
        for _ in 0..rounds() {
            let time = Duration::from_micros(random.within(0..150_000));
            load.run(&agent, &mut random, tokio::time::sleep(time)).await;
            end(&mut agent, &mut random).await;
            load.finish(&mut figures).await;
            if random.once_in(4) {
                load::restart_a_pod(lab, &mut random);
            }
            agent = begin(lab, &mut random).await;
            load.check(lab, &agent, &mut figures).await;
            figures.rounds += 1;
        }
        load.delete_all(&agent).await;
        load::remove_pods(lab);
        eventually("nothing is left", async || {
            let now = lab.snapshot();
            holds(now == before, before.difference(&now))
        })
        .await;
        let after = Resources::of(&agent);
        let seed = random::seed();
        measured(&format!("PODWIRE_SEED={seed}, stream {stream}: {figures}; fresh {fresh}, after all of it {after}"));
        after.assert_like(&fresh);
        // A round on a busy machine is often over before the first answer.
        assert!(figures.acknowledged > figures.rounds / 10, "the load did something: {figures}");
    });
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_leaks_1() {
    killed_at_any_moment(1);
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_leaks_2() {
    killed_at_any_moment(2);
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_leaks_3() {
    killed_at_any_moment(3);
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_leaks_4() {
    killed_at_any_moment(4);
}
