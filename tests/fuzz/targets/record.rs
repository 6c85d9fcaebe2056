//! What is stored: records of topologies and announced sandboxes, as a damaged disk or another agent may have left them.
//!
//! An input is the key on the first line and the JSON behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_agent::{
    api::fuzzing::shown,
    domain::{check::check, desired::desired, intent::Intent, plan::fuzzing::Node},
    store::{Record, fuzzing as store},
};
use podwire_fuzz::intent::{planned, view};

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(key) = std::str::from_utf8(&data[..end]) else { return };
    let bytes = &data[end + 1..];
    if let Ok(announcement) = store::announcement(key, bytes) {
        let written = store::announcement_bytes(&announcement).expect("it can be written");
        assert_eq!(store::announcement(key, &written), Ok(announcement));
    }
    let (topology, record) = match store::record(key, bytes) {
        Ok(read) => read,
        Err(error) => return assert!(!error.is_empty()),
    };
    let written = store::record_bytes(&record).expect("it can be written");
    assert_eq!(topology.to_string(), key);
    assert_eq!(store::record(key, &written), Ok((topology, record.clone())));
    if let Record::Live { intent, former } = &record {
        heals(intent, former.as_deref());
    }
});

/// The start of an agent heals what it reads, whatever that is.
fn heals(intent: &Intent, former: Option<&Intent>) {
    check(&intent.spec);
    let (wanted, former) = (desired(intent), former.map(desired));
    let mut node = Node::default();
    planned(&wanted, former.as_ref(), &node.observe());
    node.start(wanted.nics.iter().map(|nic| nic.key.pod.clone()));
    planned(&wanted, former.as_ref(), &node.observe());
    let shown = shown(&view(intent));
    assert_eq!(shown.links.len(), intent.spec.links.len());
}
