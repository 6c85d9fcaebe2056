//! The policy that holds, read anew when its file changes.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

use crate::{
    config::{Config, Endpoint, PolicyError, read_policy},
    domain::policy::Policy,
};

use super::files::{FileError, Follower, Named, read};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It has no policy.
    #[error("bad value `{}` of --policy: {error}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        error: PolicyError,
    },
}

/// Keeps it so.
pub(super) struct Reload {
    path: PathBuf,
    follower: Follower,
    policy: watch::Sender<Arc<Policy>>,
}

/// Reads the file for the first time; without one, what holds then.
///
/// # Errors
///
/// It cannot be used.
pub(super) fn load(config: &Config) -> Result<(watch::Receiver<Arc<Policy>>, Option<Reload>), PolicyFileError> {
    let Some(path) = config.door.policy.clone() else {
        let policy = if config.door.insecure_plaintext_tcp { Policy::of_an_open_port() } else { Policy::default() };
        if config.door.tls().is_some() && config.listen.iter().any(|it| matches!(it, Endpoint::Tcp(_))) {
            tracing::warn!("without --policy nobody who comes by TLS may do anything: write one, see README.md");
        }
        return Ok((watch::channel(Arc::new(policy)).1, None));
    };
    let files = vec![Named { setting: "--policy", path: path.clone() }];
    let contents = read(&files)?;
    let first = content(&path, &contents)?;
    tracing::info!(rules = first.len(), "the policy");
    let (policy, current) = watch::channel(Arc::new(first));
    Ok((current, Some(Reload { path, follower: Follower::new(files, contents), policy })))
}

fn content(path: &std::path::Path, contents: &[Vec<u8>]) -> Result<Policy, PolicyFileError> {
    let bytes = contents.first().map(Vec::as_slice).unwrap_or_default();
    read_policy(bytes).map_err(|error| PolicyFileError::Content { path: path.to_owned(), error })
}

impl Reload {
    /// Takes what comes, for as long as the agent runs. What is no policy is refused, and the one before it stays.
    pub(super) async fn run(mut self) {
        loop {
            let found = self.follower.changed().await.map_err(PolicyFileError::from);
            match found.and_then(|contents| content(&self.path, &contents)) {
                Ok(policy) => {
                    tracing::info!(
                        rules = policy.len(),
                        "a new policy: it holds from now on, also for what is under way"
                    );
                    self.policy.send_replace(Arc::new(policy));
                }
                Err(error) => tracing::error!(
                    error = %super::chain(&error),
                    "a new policy is refused, the one before it stays: put the file right, it is read again as it changes"
                ),
            }
        }
    }
}
