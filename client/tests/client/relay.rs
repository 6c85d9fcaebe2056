//! A wire to an agent that can be slow, and can be cut.

use std::{path::PathBuf, time::Duration};

use podwire_client::Target;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

use crate::agent;

/// A socket whose connections end at another one.
pub(crate) struct Relay {
    pub(crate) target: Target,
    task: JoinHandle<()>,
    _directory: TempDir,
}

impl Relay {
    /// To the agent's socket; what the agent sends arrives later by `delay`.
    pub(crate) fn start(agent: &agent::Agent, delay: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("relay.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let far = agent.directory.path().join("agent.sock");
        Self { target: agent::target(&socket), task: tokio::spawn(relay(listener, far, delay)), _directory: directory }
    }

    /// Ends every connection.
    pub(crate) async fn cut(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

async fn relay(listener: UnixListener, far: PathBuf, delay: Duration) {
    // Dropped with this task, and all wires with it.
    let mut wires = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        wires.spawn(wire(near, UnixStream::connect(&far).await.unwrap(), delay));
    }
}

async fn wire(near: UnixStream, far: UnixStream, delay: Duration) {
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_agent, mut to_agent) = far.into_split();
    let back = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_agent.read(&mut buffer).await {
            tokio::time::sleep(delay).await;
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let _ = tokio::join!(tokio::io::copy(&mut from_client, &mut to_agent), back);
}
