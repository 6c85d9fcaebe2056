//! A file under a sheet of glass: what is written to it stays in memory.
//!
//! Opening a database writes to its file, most of all after a crash. A file that is damaged must stay as it is, so it is
//! opened, repaired and read through under the glass first.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind},
    ops::Bound,
    os::unix::fs::FileExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

use super::fault::Fault;

/// Bytes of what is kept in one piece: a page of redb.
const PIECE: u64 = 4096;

/// A file that is only read. Locks are those of the file.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    locks: FileBackend,
    glass: Mutex<Glass>,
}

/// What was written.
#[derive(Debug)]
struct Glass {
    pieces: BTreeMap<u64, Vec<u8>>,
    length: u64,
    /// Bytes of the file that still show through: it may have been cut and grown since.
    visible: u64,
}

impl Overlay {
    pub(super) fn new(file: &File) -> Result<Self, Fault> {
        let length = file.metadata().map_err(Fault::Io)?.len();
        let locks = FileBackend::new(file.try_clone().map_err(Fault::Io)?)?;
        let glass = Mutex::new(Glass { pieces: BTreeMap::new(), length, visible: length });
        Ok(Self { file: file.try_clone().map_err(Fault::Io)?, locks, glass })
    }

    fn glass(&self) -> MutexGuard<'_, Glass> {
        self.glass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the file; zeroes behind its end.
    fn below(&self, visible: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = visible.saturating_sub(offset).min(out.len() as u64);
        let (there, beyond) = out.split_at_mut(usize::try_from(there).map_err(io::Error::other)?);
        beyond.fill(0);
        self.file.read_exact_at(there, offset)
    }
}

/// Where a range lies in pieces: for each, its start, the range within it, and the range within the whole.
fn cuts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let (start, within) = (at - at % PIECE, usize::try_from(at % PIECE).ok()?);
        let take = (length - done).min(usize::try_from(PIECE).ok()? - within);
        let cut = (take > 0).then_some((start, within, done, take));
        done += take;
        cut
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.glass().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let glass = self.glass();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > glass.length) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.below(glass.visible, offset, out)?;
        for (start, within, done, take) in cuts(offset, out.len()) {
            if let Some(piece) = glass.pieces.get(&start) {
                out[done..done + take].copy_from_slice(&piece[within..within + take]);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut glass = self.glass();
        glass.length = length;
        glass.visible = glass.visible.min(length);
        // redb cuts at pages, so no piece is cut in two.
        glass.pieces.retain(|start, _| *start < length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut glass = self.glass();
        for (start, within, done, take) in cuts(offset, data.len()) {
            if !glass.pieces.contains_key(&start) {
                let mut piece = vec![0; usize::try_from(PIECE).map_err(io::Error::other)?];
                self.below(glass.visible, start, &mut piece)?;
                glass.pieces.insert(start, piece);
            }
            if let Some(piece) = glass.pieces.get_mut(&start) {
                piece[within..within + take].copy_from_slice(&data[done..done + take]);
            }
        }
        glass.length = glass.length.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.locks.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locks.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locks.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locks.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locks.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locks.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locks.query_lock_range(start, end)
    }
}
