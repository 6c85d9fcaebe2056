//! Files that are there as a whole or not at all.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::Path,
};

use super::InstallError;

/// Mode of a program.
const PROGRAM: u32 = 0o755;

/// Replaces the text of a file; mode and owner stay. `false`: somebody else changed it meanwhile, and it is left alone.
pub(super) fn replace(path: &Path, before: &str, after: &str) -> Result<bool, InstallError> {
    let metadata = fs::metadata(path).map_err(InstallError::at("look at", path))?;
    let beside = Beside::write(path, after.as_bytes(), metadata.mode() & 0o7777)?;
    chown(&beside.path, Some(metadata.uid()), Some(metadata.gid()))
        .map_err(InstallError::at("give away", &beside.path))?;
    let now = fs::read_to_string(path).map_err(InstallError::at("read", path))?;
    if now != before {
        return Ok(false);
    }
    beside.take_place(path)?;
    Ok(true)
}

/// Copies a program, unless it is there already: whether it was not.
pub(super) fn copy_program(from: &Path, to: &Path) -> Result<bool, InstallError> {
    let program = fs::read(from).map_err(InstallError::at("read", from))?;
    let is_there = || {
        let metadata = fs::symlink_metadata(to)?;
        Ok::<_, io::Error>(metadata.is_file() && metadata.mode() & 0o7777 == PROGRAM && fs::read(to)? == program)
    };
    if is_there().unwrap_or(false) {
        return Ok(false);
    }
    Beside::write(to, &program, PROGRAM)?.take_place(to)?;
    Ok(true)
}

/// A file that is to take the place of another one in the same directory. Removed unless it does.
struct Beside {
    path: std::path::PathBuf,
}

impl Beside {
    fn write(target: &Path, bytes: &[u8], mode: u32) -> Result<Self, InstallError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // No runtime reads it: it ends in nothing that they look for, and begins with a dot.
        let path = target.with_file_name(format!(".{name}.podwire-{}", std::process::id()));
        // Of an installer that was killed, in a container where process ids come again.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(InstallError::at("make", &path))?;
        let beside = Self { path };
        let written = file.write_all(bytes).and_then(|()| {
            // Around the umask.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        });
        written.map_err(InstallError::at("write", &beside.path))?;
        Ok(beside)
    }

    fn take_place(self, target: &Path) -> Result<(), InstallError> {
        fs::rename(&self.path, target).map_err(InstallError::at("replace", target))?;
        let dir = target.parent().unwrap_or(Path::new("/"));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(InstallError::at("write", dir))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After the rename there is none.
        let _ = fs::remove_file(&self.path);
    }
}
