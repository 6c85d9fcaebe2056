//! Lets an unprivileged user reach our binaries and inputs where a parent directory, such as `/root`, is closed to it.

use std::{
    env, fs,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// In a mount namespace of our own, covers each closed directory above the checkout and the binaries by an empty one,
/// and puts the checkout and the binaries back at the same paths. Nothing on the disk changes.
///
/// # Errors
///
/// The step that failed.
pub fn open_paths() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("private mounts")?;
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the checkout")?.to_path_buf();
    let helper = env::current_exe().context("find our own executable")?;
    let binaries = helper.parent().context("the folder of the binaries")?.to_path_buf();
    let mut places: Vec<PathBuf> = vec![checkout];
    if !binaries.starts_with(&places[0]) {
        places.push(binaries);
    }
    let handles = places
        .iter()
        .map(|place| fs::File::open(place).with_context(|| format!("open {}", place.display())))
        .collect::<Result<Vec<_>>>()?;
    for (place, handle) in places.iter().zip(&handles) {
        let Some(closed) = place.ancestors().skip(1).filter(|above| is_closed(above)).last() else { continue };
        if fs::metadata(place).is_ok_and(|there| there.permissions().mode() & 0o005 != 0o005) {
            anyhow::bail!("`{}` is closed to other users", place.display());
        }
        mount(Some("tmpfs"), closed, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .with_context(|| format!("cover {}", closed.display()))?;
        fs::create_dir_all(place)?;
        let source = format!("/proc/self/fd/{}", handle.as_raw_fd());
        mount(Some(source.as_str()), place, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .with_context(|| format!("put {} back", place.display()))?;
    }
    Ok(())
}

fn is_closed(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|there| there.permissions().mode() & 0o001 == 0)
}
