//! Where the lines of the audit go.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde_json::json;

use crate::{
    api::{AuditEntry, Auditor},
    metrics::Metrics,
};

/// Where the lines of the audit go: one JSON object each.
#[derive(Debug)]
pub(super) struct AuditLog(Mutex<Open>, Metrics);

#[derive(Debug)]
struct Open {
    place: Place,
    /// Lines that could not be written since the last one that could.
    lost: u64,
}

/// `torn`: the file ends with a part of a line, for which there was no more room.
#[derive(Debug)]
enum Place {
    Stdout,
    File { path: PathBuf, file: File, torn: bool },
}

impl AuditLog {
    /// Opens a file to append to, `-`: the standard output.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(super) fn open(path: &Path, metrics: &Metrics) -> io::Result<Self> {
        let place = if path == Path::new("-") { Place::Stdout } else { Place::file(path)? };
        Ok(Self(Mutex::new(Open { place, lost: 0 }), metrics.clone()))
    }
}

impl Auditor for AuditLog {
    fn note(&self, entry: &AuditEntry) {
        let Ok(line) = serde_json::to_string(entry) else { return };
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = (open.lost > 0).then(|| json!({"kind": "audit", "time": entry.time, "lost": open.lost}));
        let text = gap.map(|gap| format!("{gap}\n")).unwrap_or_default() + &line + "\n";
        let written = open.place.write(&text);
        self.1.door.audited(written.is_ok());
        match written {
            Ok(()) => open.lost = 0,
            Err(error) => {
                open.lost += 1;
                // The line goes here instead, so that it is not lost as long as the log is there.
                let to = open.place.name();
                tracing::error!(%error, to, lost = open.lost, line, "the audit cannot be written: its lines go here until it can");
            }
        }
    }
}

impl Place {
    fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File { path: path.to_owned(), file: append(path)?, torn: false })
    }

    /// For the log.
    fn name(&self) -> String {
        match self {
            Self::Stdout => "the standard output".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// In one write, so that a line is whole or not there. Of one that was written in part the next one begins a line of its own.
    fn write(&mut self, lines: &str) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines.as_bytes())?;
                out.flush()
            }
            Self::File { path, file, torn } => {
                // Rotated: another one is at the path, or none.
                let same = |found: fs::Metadata| {
                    file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (found.dev(), found.ino()))
                };
                if !fs::metadata(&*path).is_ok_and(same) {
                    (*file, *torn) = (append(path)?, false);
                }
                let text = if *torn { format!("\n{lines}") } else { lines.to_owned() };
                let mut rest = text.as_bytes();
                while !rest.is_empty() {
                    match file.write(rest) {
                        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                        Ok(bytes) => {
                            *torn = !rest[..bytes].ends_with(b"\n");
                            rest = &rest[bytes..];
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> AuditEntry {
        let text = String::new;
        AuditEntry {
            kind: "audit",
            time: "2026-01-02T03:04:05Z".to_owned(),
            id: id.to_owned(),
            trace: text(),
            who: "a\nb".to_owned(),
            from: text(),
            call: text(),
            object: text(),
            result: "OK".to_owned(),
            reason: text(),
            message: text(),
            more: 0,
        }
    }

    #[test]
    fn a_line_is_one_json_object_and_goes_where_the_path_leads_by_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path, &Metrics::default()).unwrap();
        log.note(&entry("1"));
        fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
        log.note(&entry("2"));
        for (name, id) in [("audit.log.1", "1"), ("audit.log", "2")] {
            let text = fs::read_to_string(dir.path().join(name)).unwrap();
            let line: serde_json::Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
            assert_eq!((&line["id"], &line["who"]), (&json!(id), &json!("a\nb")));
            assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    fn what_is_lost_is_counted_where_it_is_missing() {
        // A device that is always full.
        let place = Place::file(Path::new("/dev/full")).unwrap();
        let full = AuditLog(Mutex::new(Open { place, lost: 0 }), Metrics::default());
        full.note(&entry("1"));
        full.note(&entry("2"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut open = full.0.lock().unwrap();
        assert_eq!(open.lost, 2);
        open.place = Place::file(&path).unwrap();
        drop(open);
        full.note(&entry("3"));
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["lost"], &lines[1]["id"]), (&json!(2), &json!("3")));
    }
}
