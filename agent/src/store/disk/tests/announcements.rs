//! What the CNI plugin announced is kept beside the intents.

use crate::domain::{
    announcement::{AnnouncedSandbox, Announcement},
    observed::SandboxId,
};

use super::*;

fn announcement(id: &str, cookie: u64) -> Announcement {
    let sandbox = AnnouncedSandbox {
        namespace: "lessons".parse().unwrap(),
        pod: "bb1".parse().unwrap(),
        uid: None,
        sandbox_id: SandboxId::new(id),
        netns_path: "/run/netns/cni-1".into(),
    };
    Announcement { sandbox, cookie, boot_id: "5f7c9a3e-1111-2222-3333-444455556666".to_owned(), at: 5 }
}

/// As every released agent must be able to read it: a change of this file is a new schema version.
const GOLDEN: &[u8] = include_bytes!("../../../../testdata/store/announcement.json");

#[test]
fn an_announcement_is_written_as_its_golden_file_has_it_and_read_from_it() {
    let mut golden = announcement("4f5e", 4097);
    (golden.sandbox.uid, golden.at) = ("u-1".parse().ok(), 1_769_903_999_123_456_789);
    let bytes = codec::encode(&golden).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), String::from_utf8(GOLDEN.to_vec()).unwrap());
    assert_eq!(codec::decode_announcement("4f5e", GOLDEN), Ok(golden));
}

#[test]
fn announcements_are_there_after_reopening_until_they_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    assert_eq!(store.announcements().unwrap(), []);
    store.put(&key("t"), &live(&key("t"), 1, 2)).unwrap();
    store.put_announcement(&announcement("one", 1)).unwrap();
    store.put_announcement(&announcement("two", 2)).unwrap();
    store.put_announcement(&announcement("one", 3)).unwrap();
    let records = loaded(&store);
    drop(store);
    let store = store_in(dir.path()).unwrap();
    assert_eq!(store.announcements().unwrap(), [announcement("one", 3), announcement("two", 2)]);
    store.forget_announcement(&SandboxId::new("one"));
    store.forget_announcement(&SandboxId::new("never"));
    assert_eq!(store.announcements().unwrap(), [announcement("two", 2)]);
    assert!(loaded(&store) == records, "the intents are as they were");
}

#[test]
fn an_announcement_that_cannot_be_read_is_named() {
    let good = serde_json::to_string(&announcement("one", 1)).unwrap();
    for (value, reason) in [("{}", "missing field"), (good.replace("one", "two").as_str(), "it is of sandbox two")] {
        let dir = tempfile::tempdir().unwrap();
        drop(store_in(dir.path()).unwrap());
        damage::insert(dir.path(), "announcements", "one", value.as_bytes());
        let error = store_in(dir.path()).unwrap_err().to_string();
        assert!(error.contains("the announcement of sandbox one") && error.contains(reason), "{error}");
    }
}
