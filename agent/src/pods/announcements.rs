//! Sandboxes that are announced before the runtime lists them: during CNI ADD it does not yet.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    domain::{
        announcement::{AnnouncedSandbox, Announcement},
        name::{Namespace, PodName},
        observed::{Refusal, SandboxId},
    },
    kernel::{Netns, NetnsError, PodDoor, boot_id},
};

use super::{
    AnnounceError,
    door::{self, Way},
};

/// Announcements that are kept at most; the oldest goes first. A node has some hundred pods.
const MOST: usize = 4096;

/// A sandbox as the runtime lists it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub id: &'a str,
    pub namespace: &'a Namespace,
    pub pod: &'a PodName,
    pub ready: bool,
    /// Nanoseconds since 1970.
    pub created_at: i64,
}

/// The sandboxes that were announced and not withdrawn. One of them is the current sandbox of its pod until it is
/// withdrawn, the runtime lists it, or the runtime lists a newer one that is READY.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    /// In the order of their announcement.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    sandbox: AnnouncedSandbox,
    /// Nanoseconds since 1970.
    at: i64,
    /// The runtime lists it: from then on the runtime decides. Its path is kept for a runtime that tells none.
    listed: bool,
}

impl Announcements {
    /// Adds one. One of the same id is replaced.
    pub(super) fn announce(&mut self, announcement: &Announcement) {
        self.announce_at(announcement.sandbox.clone(), announcement.at);
    }

    /// Adds those of earlier runs of the agent whose namespaces are still there, and returns the others.
    pub(super) fn recall(&mut self, mut announcements: Vec<Announcement>) -> Vec<SandboxId> {
        announcements.sort_by_key(|each| each.at);
        let (there, gone): (Vec<_>, Vec<_>) = announcements.into_iter().partition(is_there);
        for each in &there {
            self.announce(each);
        }
        gone.into_iter().map(|each| each.sandbox.sandbox_id).collect()
    }

    /// Adds one that came at a time, in nanoseconds since 1970.
    fn announce_at(&mut self, sandbox: AnnouncedSandbox, at: i64) {
        self.withdraw(sandbox.sandbox_id.as_str());
        if self.entries.len() >= MOST {
            self.entries.remove(0);
        }
        self.entries.push(Entry { sandbox, at, listed: false });
    }

    /// Takes one back, if there is one of this id. Another sandbox of its pod is not touched.
    pub(super) fn withdraw(&mut self, id: &str) -> Option<AnnouncedSandbox> {
        let at = self.entries.iter().position(|entry| entry.sandbox.sandbox_id.as_str() == id)?;
        Some(self.entries.remove(at).sandbox)
    }

    /// All of them.
    pub(super) fn ids(&self) -> Vec<SandboxId> {
        self.entries.iter().map(|entry| entry.sandbox.sandbox_id.clone()).collect()
    }

    /// The current sandbox of a pod, if an announcement says so: the last that the runtime does not list yet.
    pub(super) fn current(&self, namespace: &Namespace, pod: &PodName) -> Option<&AnnouncedSandbox> {
        let waiting = self.waiting();
        waiting.filter(|sandbox| sandbox.namespace == *namespace && sandbox.pod == *pod).last()
    }

    /// Those that the runtime does not list yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &AnnouncedSandbox> {
        self.entries.iter().filter(|entry| !entry.listed).map(|entry| &entry.sandbox)
    }

    /// The path that was announced for a sandbox.
    pub(super) fn path(&self, id: &str) -> Option<&Path> {
        let found = self.entries.iter().find(|entry| entry.sandbox.sandbox_id.as_str() == id);
        found.map(|entry| entry.sandbox.netns_path.as_path())
    }

    /// Compares with all that the runtime lists.
    pub(super) fn settle<'a>(&mut self, listed: impl Fn() -> Box<dyn Iterator<Item = Listed<'a>> + 'a>) {
        self.entries.retain_mut(|entry| {
            let own = listed().find(|each| each.id == entry.sandbox.sandbox_id.as_str());
            if own.is_some_and(|own| own.ready) {
                entry.listed = true;
                return true;
            }
            // It was READY and is not any more: it is over, whoever forgot to withdraw it.
            let over = entry.listed;
            let newer = listed().any(|each| {
                each.ready
                    && each.created_at > entry.at
                    && *each.namespace == entry.sandbox.namespace
                    && *each.pod == entry.sandbox.pod
            });
            !over && !newer
        });
    }

    /// Forgets those that wait for the runtime and whose namespace is not there any more.
    pub(super) fn forget_lost(&mut self) {
        self.entries.retain(|entry| entry.listed || entry.sandbox.netns_path.exists());
    }
}

/// Looks whether there is a pod's network namespace at the path of an announcement.
pub(super) fn check(sandbox: &AnnouncedSandbox) -> Result<Announcement, AnnounceError> {
    let cookie = match door::open(Way::to(&sandbox.netns_path, sandbox.sandbox_id.as_str()))? {
        PodDoor::Open(netns, _) => netns.cookie(),
        PodDoor::Absent(message) => return Err(AnnounceError::Refused(Refusal { reason: "NO_NETNS", message })),
        PodDoor::Refused(refusal) => return Err(AnnounceError::Refused(refusal)),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let at = i64::try_from(now).unwrap_or(i64::MAX);
    Ok(Announcement { sandbox: sandbox.clone(), cookie, boot_id: boot_id().unwrap_or_default(), at })
}

/// Whether the namespace of an announcement is still there. One that cannot be opened may be.
fn is_there(announcement: &Announcement) -> bool {
    match Netns::open(&announcement.sandbox.netns_path) {
        Ok(netns) => {
            netns.cookie() == announcement.cookie && boot_id().is_ok_and(|boot_id| boot_id == announcement.boot_id)
        }
        Err(NetnsError::Absent(_) | NetnsError::NotNetns { .. } | NetnsError::Own(_)) => false,
        Err(NetnsError::Kernel(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn sandbox(id: &str) -> AnnouncedSandbox {
        AnnouncedSandbox {
            namespace: "lessons".parse().unwrap(),
            pod: "bb1".parse().unwrap(),
            uid: "one-uid".parse().ok(),
            sandbox_id: SandboxId::new(id),
            netns_path: PathBuf::from(format!("/run/netns/{id}")),
        }
    }

    fn current(announced: &Announcements) -> Option<String> {
        let (namespace, pod) = ("lessons".parse().unwrap(), "bb1".parse().unwrap());
        announced.current(&namespace, &pod).map(|sandbox| sandbox.sandbox_id.to_string())
    }

    /// What the runtime lists: id, whether READY, when made.
    fn settle(announced: &mut Announcements, listed: &[(&str, bool, i64)]) {
        let (namespace, pod) = ("lessons".parse().unwrap(), "bb1".parse().unwrap());
        announced.settle(|| {
            let (namespace, pod) = (&namespace, &pod);
            Box::new(listed.iter().map(move |&(id, ready, created_at)| Listed {
                id,
                namespace,
                pod,
                ready,
                created_at,
            }))
        });
    }

    #[test]
    fn of_two_sandboxes_of_one_uid_the_last_announced_is_current_and_each_is_withdrawn_by_itself() {
        let mut announced = Announcements::default();
        announced.announce_at(sandbox("old"), 10);
        announced.announce_at(sandbox("new"), 20);
        assert_eq!(current(&announced).as_deref(), Some("new"));
        announced.withdraw("old");
        assert_eq!(current(&announced).as_deref(), Some("new"), "a late DEL of the old one changes nothing");
        announced.withdraw("new");
        assert_eq!(current(&announced), None);
    }

    #[test]
    fn withdrawing_the_new_one_gives_the_old_one_back() {
        let mut announced = Announcements::default();
        announced.announce_at(sandbox("old"), 10);
        announced.announce_at(sandbox("new"), 20);
        announced.withdraw("new");
        assert_eq!(current(&announced).as_deref(), Some("old"));
    }

    #[test]
    fn the_old_sandbox_in_the_list_does_not_end_the_announcement_of_the_new_one() {
        let mut announced = Announcements::default();
        announced.announce_at(sandbox("new"), 20);
        settle(&mut announced, &[("old", true, 5)]);
        assert_eq!(current(&announced).as_deref(), Some("new"));
        settle(&mut announced, &[("old", true, 5), ("new", false, 19)]);
        assert_eq!(current(&announced).as_deref(), Some("new"), "listed before it is READY, as containerd 1.7 does");
    }

    #[test]
    fn a_newer_one_that_is_ready_ends_it_and_one_of_another_pod_does_not() {
        let mut announced = Announcements::default();
        announced.announce_at(sandbox("announced"), 20);
        settle(&mut announced, &[("newer", false, 30)]);
        assert_eq!(current(&announced).as_deref(), Some("announced"));
        let (namespace, other) = ("lessons".parse().unwrap(), "bb2".parse().unwrap());
        announced.settle(|| {
            let (namespace, pod) = (&namespace, &other);
            Box::new([Listed { id: "x", namespace, pod, ready: true, created_at: 30 }].into_iter())
        });
        assert_eq!(current(&announced).as_deref(), Some("announced"));
        settle(&mut announced, &[("newer", true, 30)]);
        assert_eq!((current(&announced), announced.path("announced")), (None, None));
    }

    #[test]
    fn once_listed_the_runtime_decides_and_the_path_stays_until_it_is_over() {
        let mut announced = Announcements::default();
        announced.announce_at(sandbox("one"), 20);
        settle(&mut announced, &[("one", true, 19)]);
        assert_eq!(current(&announced), None);
        assert_eq!(announced.path("one"), Some(Path::new("/run/netns/one")));
        settle(&mut announced, &[("one", false, 19)]);
        assert_eq!(announced.path("one"), None);
    }

    #[test]
    fn announcing_twice_is_once_and_there_is_an_end_to_it() {
        let mut announced = Announcements::default();
        for number in 0..=MOST {
            announced.announce_at(sandbox(&number.to_string()), 1);
            announced.announce_at(sandbox(&number.to_string()), 2);
        }
        assert_eq!(announced.entries.len(), MOST);
        assert_eq!(announced.path("0"), None, "the oldest went");
    }

    #[test]
    fn one_whose_namespace_is_gone_is_forgotten() {
        let mut announced = Announcements::default();
        announced.announce_at(AnnouncedSandbox { netns_path: "/proc/self/ns/net".into(), ..sandbox("here") }, 1);
        announced.announce_at(AnnouncedSandbox { netns_path: "/nowhere".into(), ..sandbox("lost") }, 2);
        announced.forget_lost();
        assert_eq!(current(&announced).as_deref(), Some("here"));
    }
}
