//! What a container runtime says by CRI: lists and statuses of sandboxes, and the JSON in a verbose one.
#![no_main]

use std::{collections::HashMap, path::Path};

use libfuzzer_sys::fuzz_target;
use podwire_agent::pods::fuzzing::{netns_path, sandbox};
use podwire_proto::cri::{ListPodSandboxResponse, PodSandboxStatusResponse};
use prost::Message;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        place(&HashMap::from([("info".to_owned(), text.to_owned())]));
    }
    if let Ok(status) = PodSandboxStatusResponse::decode(data) {
        place(&status.info);
    }
    let Ok(list) = ListPodSandboxResponse::decode(data) else { return };
    for listed in &list.items {
        let Some((id, pod)) = sandbox(listed) else { continue };
        assert_eq!(id.as_str(), listed.id);
        assert!((1..=256).contains(&id.as_str().len()) && id.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        let (namespace, name) = pod.as_str().split_once('/').expect("the key of a pod of Kubernetes");
        let is_name = |name: &str| {
            !matches!(name, "" | "." | "..") && name.len() <= 253 && !name.contains(['/', '\0', '\n', ' '])
        };
        assert!(is_name(namespace) && is_name(name), "{pod}");
    }
});

fn place(info: &HashMap<String, String>) {
    let Some(path) = netns_path(info) else { return };
    let text = path.to_str().expect("JSON is text");
    assert!(Path::new(text).is_absolute() && text.len() < 4096 && !text.contains('\0'), "{text:?}");
}
