//! TLS of the TCP listeners: three or four files, read anew when they change.

mod acceptor;
mod material;
mod names;
mod validity;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::ServerConfig;
use tokio::{sync::watch, time};

use crate::{
    config::TlsFiles,
    metrics::{Files, Metrics},
};

use self::material::Material;
use super::files::{FileError, Follower, Named, read};

pub(super) use acceptor::serve;
#[cfg(test)]
pub(super) use acceptor::{HANDSHAKE, HANDSHAKES};
pub use material::MaterialError;

/// How often the clock is looked at for a certificate that is not valid yet: it may be set meanwhile.
const LOOK: Duration = Duration::from_secs(10);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what it should be.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

/// What the files last were. All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Tls(watch::Receiver<Material>);

/// Keeps it so.
pub(super) struct Reload {
    files: Vec<Named>,
    follower: Follower,
    material: watch::Sender<Material>,
    /// Files whose certificate is not valid yet, and from when on it is.
    early: Option<(Vec<Vec<u8>>, SystemTime)>,
    metrics: Metrics,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// They cannot be used.
    pub(super) fn load(files: TlsFiles, metrics: &Metrics) -> Result<(Self, Reload), TlsError> {
        let named = [
            ("--tls-cert", Some(files.cert)),
            ("--tls-key", Some(files.key)),
            ("--tls-client-ca", Some(files.client_ca)),
            ("--tls-client-crl", files.client_crl),
        ];
        let named = named.into_iter().filter_map(|(setting, path)| Some(Named { setting, path: path? }));
        let files: Vec<Named> = named.collect();
        let contents = read(&files)?;
        let (material, current) = watch::channel(Material::read(&files, &contents, SystemTime::now())?);
        metrics.door.read(Files::Tls);
        metrics.door.certificate_ends(current.borrow().expires);
        let follower = Follower::new(files.clone(), contents);
        Ok((Self(current), Reload { files, follower, material, early: None, metrics: metrics.clone() }))
    }

    /// For the next handshake.
    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow().config)
    }
}

impl Reload {
    /// Takes what comes, for as long as the agent runs. What cannot be used is refused, and what was there stays.
    pub(super) async fn run(mut self) {
        loop {
            let expires = self.material.borrow().expires;
            let left = expires.duration_since(SystemTime::now()).ok();
            let wait =
                self.early.as_ref().map(|(_, begins)| begins.duration_since(SystemTime::now()).unwrap_or_default());
            tokio::select! {
                found = self.follower.changed() => self.take(found.map_err(TlsError::from)),
                () = time::sleep(wait.unwrap_or_default().min(LOOK)), if wait.is_some() => {
                    if let Some((contents, _)) = self.early.take_if(|(_, begins)| *begins <= SystemTime::now()) {
                        self.take(Ok(contents));
                    }
                }
                () = time::sleep(left.unwrap_or_default()), if left.is_some() => tracing::error!(
                    file = %self.files.first().map(|file| file.path.display().to_string()).unwrap_or_default(),
                    expired = %prost_types::Timestamp::from(expires),
                    "the agent's certificate has expired: nobody who checks it can call by TLS; have it renewed, the \
                     agent takes the new one as it comes"
                ),
            }
        }
    }

    fn take(&mut self, found: Result<Vec<Vec<u8>>, TlsError>) {
        self.early = None;
        let read = found.and_then(|contents| {
            Material::read(&self.files, &contents, SystemTime::now()).map_err(|error| {
                self.early = error.ends().map(|begins| (contents, begins));
                error.into()
            })
        });
        self.metrics.door.reloaded(Files::Tls, read.is_ok());
        match read {
            Ok(material) => {
                self.metrics.door.certificate_ends(material.expires);
                let expires = prost_types::Timestamp::from(material.expires);
                self.material.send_replace(material);
                tracing::info!(%expires, "new certificates: taken for connections from now on");
            }
            Err(error) => tracing::error!(
                error = %super::chain(&error),
                "new certificates are refused, the ones before them stay: put the file right, it is read again as it changes"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
