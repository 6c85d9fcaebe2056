use std::os::unix::net::UnixListener as StdListener;

use super::*;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn the_socket_is_private_and_its_directory_is_made() {
    let root = directory();
    let path = root.path().join("a/b/agent.sock");
    let (_listener, held) = listen(&path).await.unwrap();
    assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    UnixStream::connect(&path).await.unwrap();
    drop(held);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn the_socket_of_a_killed_agent_is_taken_over() {
    let root = directory();
    let path = root.path().join("agent.sock");
    drop(StdListener::bind(&path).unwrap());
    fs::write(lock_path(&path), "").unwrap();
    let (_listener, _held) = listen(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_live_socket_is_not_taken_over() {
    let root = directory();
    let path = root.path().join("agent.sock");
    let _first = StdListener::bind(&path).unwrap();
    assert!(matches!(listen(&path).await, Err(SocketError::Live)));
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn of_two_agents_one_gets_the_socket() {
    let root = directory();
    let path = root.path().join("agent.sock");
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let path = path.clone();
        starts.spawn(async move { listen(&path).await });
    }
    let results = starts.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error, SocketError::Locked(lock) if *lock == lock_path(&path)), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_a_socket_is_left_alone() {
    let root = directory();
    let path = root.path().join("agent.sock");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(listen(&path).await, Err(SocketError::NotASocket)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_of_somebody_else_stays_at_the_end() {
    let root = directory();
    let path = root.path().join("agent.sock");
    let (_listener, held) = listen(&path).await.unwrap();
    fs::rename(&path, root.path().join("old.sock")).unwrap();
    let _other = StdListener::bind(&path).unwrap();
    drop(held);
    UnixStream::connect(&path).await.unwrap();
}
