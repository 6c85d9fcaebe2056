//! The initial RAM file system: a cpio archive of format `newc` (Documentation/driver-api/early-userspace/buffer-format.rst of
//! Linux).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// An archive that is being written.
pub(crate) struct Archive {
    path: PathBuf,
    file: BufWriter<File>,
    entries: u32,
    seen: BTreeSet<PathBuf>,
}

impl Archive {
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, file: BufWriter::new(file), entries: 0, seen: BTreeSet::new() })
    }

    /// A folder and those above it. Repeats are free.
    pub(crate) fn folder(&mut self, place: impl AsRef<Path>) -> Result<()> {
        let place = place.as_ref();
        let Some(parent) = place.parent() else { return Ok(()) };
        self.folder(parent)?;
        if self.seen.insert(place.to_path_buf()) { self.entry(place, FOLDER, &[]) } else { Ok(()) }
    }

    /// A file at a place. Repeats are free.
    pub(crate) fn file(&mut self, place: &Path, bytes: &[u8], program: bool) -> Result<()> {
        if let Some(parent) = place.parent() {
            self.folder(parent)?;
        }
        let mode = if program { PROGRAM } else { FILE };
        if self.seen.insert(place.to_path_buf()) { self.entry(place, mode, bytes) } else { Ok(()) }
    }

    /// A file of this machine, at its own place.
    pub(crate) fn copy(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        self.file(path, &bytes, true)
    }

    /// Writes the rest, and returns where the archive is.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        self.entry(Path::new("/TRAILER!!!"), 0, &[])?;
        self.file.flush()?;
        Ok(self.path)
    }

    fn entry(&mut self, place: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
        let name = place.strip_prefix("/").unwrap_or(place).to_str().context("a path that is text")?;
        self.entries += 1;
        let (size, name_size) = (u32::try_from(bytes.len())?, u32::try_from(name.len() + 1)?);
        // Number, mode, user, group, links, time, size, four of devices, size of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        let header = fields.iter().fold("070701".to_owned(), |text, field| format!("{text}{field:08X}"));
        self.padded(format!("{header}{name}\0").as_bytes())?;
        self.padded(bytes)
    }

    fn padded(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        let rest = bytes.len().next_multiple_of(4) - bytes.len();
        Ok(self.file.write_all(&[0; 4][..rest])?)
    }
}
