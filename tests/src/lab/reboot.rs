//! A node that is started anew: nothing of its networks is left, only what is on its disk.

use std::{fs, path::Path};

use nix::mount::{MsFlags, mount};

use crate::{lab::Lab, netns};

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Lab {
    /// Removes all named network namespaces, panels among them, and lets the kernel tell another boot id. The agent must
    /// not run.
    ///
    /// # Panics
    ///
    /// The system refuses.
    pub fn reboot(&self) {
        for name in self.namespaces() {
            netns::remove(&name).unwrap_or_else(|error| panic!("{error:#}"));
        }
        let number = self.number();
        let file = self.directory().join(format!("boot-{number}"));
        fs::write(&file, format!("00000000-0000-4000-8000-{number:012}\n"))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let bound = mount(Some(&file), Path::new(BOOT_ID), None::<&str>, MsFlags::MS_BIND, None::<&str>);
        bound.unwrap_or_else(|error| panic!("{BOOT_ID}: {error}"));
    }
}
