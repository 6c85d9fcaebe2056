//! More changes at a time than there are threads for what blocks.

use std::{sync::Arc, thread};

use podwire_agent::{
    domain::{
        name::TopologyKey,
        quota::Quota,
        spec::{LinkMode, TopologySpec},
        status::State,
    },
    kernel::{LinuxKernel, NetnsDir},
    panel::{Apply, Engine, Fence},
    pods::NamedPods,
    store::MemoryStore,
};
use podwire_tests::condition::PATIENCE;
use tokio::{runtime::Builder, sync::oneshot, time::timeout};

use super::{config, key, link};
use crate::private;

/// Of each kind: changes, and threads for them.
const CHANGES: u8 = 6;
const THREADS: usize = 2;

#[test]
fn changes_that_wait_for_the_store_leave_it_a_thread() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let (done, states) = oneshot::channel();
        let crowd = thread::spawn(|| {
            let runtime = Builder::new_multi_thread().max_blocking_threads(THREADS).enable_all().build().unwrap();
            // Who got no answer must not be waited for by the end of the runtime.
            let _ = done.send(runtime.block_on(async { timeout(PATIENCE, wire_all()).await }));
            runtime.shutdown_background();
        });
        let states = states.await.unwrap().expect("all of them are made");
        assert_eq!(states, [State::Ready; CHANGES as usize]);
        crowd.join().unwrap();
    });
}

/// Topologies of a DIRECT link each, all at once: what only an intent proves to be ours waits until that is stored.
async fn wire_all() -> Vec<State> {
    let dir = NetnsDir::new("/run/netns");
    let (kernel, pods) = (LinuxKernel::new(dir.clone()).unwrap(), NamedPods::new(dir));
    let store = Arc::new(MemoryStore::default());
    let engine = Engine::start_with(config(), Arc::new(kernel), Arc::new(pods), store, None).await.unwrap();
    let changes: Vec<_> = (0..CHANGES).map(|number| tokio::spawn(wire(engine.clone(), number))).collect();
    let mut states = Vec::new();
    for change in changes {
        states.push(change.await.unwrap());
    }
    states
}

async fn wire(engine: Engine, number: u8) -> State {
    let key = TopologyKey { name: number.to_string().parse().unwrap(), ..key() };
    let mut link = link("w", LinkMode::Direct, &format!("net{number}"));
    for interface in [&mut link.a, &mut link.b] {
        // Of those each pod has one.
        interface.addresses.clear();
        interface.routes.clear();
    }
    let spec = TopologySpec { links: vec![link], ..TopologySpec::empty(key) };
    let apply = Apply { spec, fence: Fence::default(), quota: Quota::default(), until: None };
    engine.apply(apply).await.unwrap().state()
}
