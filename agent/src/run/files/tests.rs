use std::{fs, os::unix::fs::symlink};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn named(path: PathBuf) -> Named {
    Named { setting: "--policy", path }
}

fn follow(path: &Path) -> Follower {
    let files = vec![named(path.to_owned())];
    let known = read(&files).unwrap();
    Follower::new(files, known)
}

async fn next(follower: &mut Follower) -> Result<Vec<u8>, String> {
    let found = time::timeout(PATIENCE, follower.changed()).await.expect("a change is seen, and not by the sweep");
    found.map(|mut all| all.remove(0)).map_err(|error| said(&error))
}

#[tokio::test]
async fn a_file_that_is_written_or_replaced_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(&path, "one").unwrap();
    let mut follower = follow(&path);
    fs::write(&path, "two").unwrap();
    assert_eq!(next(&mut follower).await.unwrap(), b"two");
    fs::write(dir.path().join("new"), "three").unwrap();
    fs::rename(dir.path().join("new"), &path).unwrap();
    assert_eq!(next(&mut follower).await.unwrap(), b"three");
}

#[tokio::test]
async fn a_volume_whose_data_is_swapped_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("ca.crt"), text).unwrap();
        symlink(name, dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    };
    version("..1", "one");
    let path = dir.path().join("ca.crt");
    symlink("..data/ca.crt", &path).unwrap();
    let mut follower = follow(&path);
    for (name, text) in [("..2", "two"), ("..3", "three")] {
        version(name, text);
        fs::remove_dir_all(dir.path().join(format!("..{}", name[2..].parse::<u32>().unwrap() - 1))).unwrap();
        assert_eq!(next(&mut follower).await.unwrap(), text.as_bytes());
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_once_and_seen_when_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(&path, "one").unwrap();
    let mut follower = follow(&path);
    fs::remove_file(&path).unwrap();
    let said = next(&mut follower).await.unwrap_err();
    assert!(said.contains("--policy") && said.contains("policy.yaml") && said.contains("No such file"), "{said}");
    fs::write(dir.path().join("another"), "x").unwrap();
    assert!(time::timeout(SETTLE * 4, follower.changed()).await.is_err(), "told twice");
    fs::write(&path, "one").unwrap();
    assert_eq!(next(&mut follower).await.unwrap(), b"one");
}
