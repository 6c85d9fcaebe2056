//! The configurations of a node.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    InstallError,
    conflist::{Edit, Edited, edited},
    file,
};

/// Tries to change a file that somebody else changes at the same time.
const TRIES: usize = 5;

/// Where the entry is.
pub(super) enum Chained {
    /// It was put there.
    Changed(PathBuf),
    /// It was there.
    Already(PathBuf),
    /// There is no list for it; with the files that are none, and why.
    Nowhere(Vec<String>),
}

/// Puts the entry into the list that the runtimes use: containerd and CRI-O take the first file in lexicographic order
/// that ends in `.conf`, `.conflist` or `.json` (`ConfFiles` of libcni) and can be used.
pub(super) fn edit(dir: &Path, edit: &Edit) -> Result<Chained, InstallError> {
    let mut problems = Vec::new();
    for path in configurations(dir)? {
        if path.extension().is_none_or(|extension| extension != "conflist") {
            problems.push(format!(
                "{} has a single plugin, which nothing can be chained to: make it a .conflist with `plugins`",
                path.display()
            ));
            // It is the one that the runtimes use: what stands behind it is used by nobody.
            break;
        }
        match change(&path, edit)? {
            Edited::To(_) => return Ok(Chained::Changed(path)),
            Edited::Same => return Ok(Chained::Already(path)),
            Edited::Broken(problem) => problems.push(format!("{} is left alone: {problem}", path.display())),
        }
    }
    Ok(Chained::Nowhere(problems))
}

/// Takes the entry out of every list, also those that are not used now: from which.
pub(super) fn remove_all(dir: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let mut changed = Vec::new();
    for path in configurations(dir)? {
        if path.extension().is_some_and(|extension| extension == "conflist")
            && matches!(change(&path, &Edit::Remove)?, Edited::To(_))
        {
            changed.push(path);
        }
    }
    Ok(changed)
}

fn change(path: &Path, edit: &Edit) -> Result<Edited, InstallError> {
    for _ in 0..TRIES {
        // What a link leads to is replaced, not the link.
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) => return Ok(Edited::Broken(error.to_string())),
        };
        let text = match fs::read_to_string(&target) {
            Ok(text) => text,
            Err(error) => return Ok(Edited::Broken(error.to_string())),
        };
        match edited(&text, edit) {
            Edited::To(after) if file::replace(&target, &text, &after)? => return Ok(Edited::To(after)),
            Edited::To(_) => {}
            other => return Ok(other),
        }
    }
    Ok(Edited::Broken("somebody else changes it all the time".to_owned()))
}

fn configurations(dir: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(InstallError::at("read", dir)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(InstallError::at("read", dir))?.path();
        let known =
            path.extension().is_some_and(|extension| ["conf", "conflist", "json"].iter().any(|it| extension == *it));
        if known && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use serde_json::json;

    use super::*;

    const LIST: &str = r#"{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "bridge"}]}"#;

    fn add() -> Edit {
        Edit::Add(json!({"type": "podwire-cni"}))
    }

    #[test]
    fn the_first_list_that_can_be_used_gets_the_entry() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("README", "no configuration");
        write("00-broken.conflist", "{");
        write("10-first.conflist", LIST);
        write("20-second.conflist", LIST);
        fs::set_permissions(dir.path().join("10-first.conflist"), PermissionsExt::from_mode(0o640)).unwrap();
        assert!(
            matches!(edit(dir.path(), &add()).unwrap(), Chained::Changed(path) if path.ends_with("10-first.conflist"))
        );
        assert!(matches!(edit(dir.path(), &add()).unwrap(), Chained::Already(_)));
        assert_eq!(fs::metadata(dir.path().join("10-first.conflist")).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_to_string(dir.path().join("00-broken.conflist")).unwrap(), "{");
        assert_eq!(fs::read_to_string(dir.path().join("20-second.conflist")).unwrap(), LIST);
        assert_eq!(remove_all(dir.path()).unwrap().len(), 1);
        assert_eq!(fs::read_to_string(dir.path().join("10-first.conflist")).unwrap(), LIST);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing is left behind");
    }

    #[test]
    fn a_single_plugin_in_front_is_said_and_nothing_is_chained_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("05-single.conf"), r#"{"type": "x"}"#).unwrap();
        fs::write(dir.path().join("10-list.conflist"), LIST).unwrap();
        let Chained::Nowhere(problems) = edit(dir.path(), &add()).unwrap() else { panic!("chained") };
        assert!(problems[0].contains("05-single.conf has a single plugin"), "{problems:?}");
    }

    #[test]
    fn a_link_stays_a_link() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = elsewhere.path().join("list");
        fs::write(&target, LIST).unwrap();
        let link = dir.path().join("10-list.conflist");
        symlink(&target, &link).unwrap();
        assert!(matches!(edit(dir.path(), &add()).unwrap(), Chained::Changed(_)));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().contains("podwire-cni"));
    }

    #[test]
    fn a_directory_that_is_not_there_has_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            matches!(edit(&dir.path().join("net.d"), &add()).unwrap(), Chained::Nowhere(problems) if problems.is_empty())
        );
    }
}
