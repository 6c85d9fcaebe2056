//! One tenant at its limit, and what another one has of it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use podwire_tests::{lab::Lab, private::measured};

use super::{honest::Honest, process::Process};
use crate::{
    door::{Door, rules},
    private,
};

/// How much longer the other one's calls may take: both cores of the machine serve the flood's refusals too.
const RATIO: f64 = 8.0;
/// Where calls take less than this they are all the same: with other tests beside it a call alone takes 10 to 40 ms, and the
/// three that share two processors here are in each other's way. Who waits for the other's turn waits for seconds.
const NOISE: Duration = Duration::from_millis(500);

async fn door(lab: &Lab) -> Door {
    let rights = rules([("noisy.example", "noisy", "read, write"), ("quiet.example", "lessons", "read, write")]);
    let quotas = "quotas:\n- {namespaces: [noisy], requests: {per_second: 10, burst: 10}}\n";
    Door::open_with(lab, &(rights + quotas), |agent| agent.arg("--log-level").arg("warn")).await
}

#[test]
fn one_at_its_quota_does_not_slow_the_other() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let door = door(lab).await;
        let quiet = Honest::begin(door.client("quiet.example").await).await;
        let noisy = door.client("noisy.example").await;
        let alone = quiet.figures().await;
        let (passed, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        let one = || async {
            loop {
                match noisy.list_topologies(Some("noisy")).await {
                    Ok(_) => passed.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        assert!(error.is_exhausted(), "{error}");
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        };
        let flood =
            tokio::time::timeout(Duration::from_secs(4), futures_util::future::join_all((0..32).map(|_| one())));
        let process = Process::of(door.agent.pid());
        let before = process.now();
        let (_, beside) = quiet.beside(flood).await;
        let ratio = beside.median.as_secs_f64() / alone.median.as_secs_f64();
        let (passed, refused) = (passed.into_inner(), refused.into_inner());
        measured(&format!(
            "a tenant at its quota, {passed} calls passed and {refused} refused in 4 s: another one alone \
             {alone}; beside it {beside}; ratio of the medians {ratio:.1}"
        ));
        assert!(refused > 3 * passed, "it was no flood");
        assert!(ratio <= RATIO || beside.median <= NOISE, "{ratio:.1}");
        assert!(process.now().memory <= before.memory + 16);
        quiet.end().await;
    });
}
