//! Who gets in by the network: settings of the agent.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, builder::BoolishValueParser, value_parser};

use super::{ConfigError, Endpoint, absolute};

/// Who gets in by the network, and may do what.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(skip)]
pub struct DoorSettings {
    /// The agent's certificate, PEM, with the intermediate ones behind it: an absolute path. With it, its key and
    /// --tls-client-ca, `tcp://` is TLS 1.3 and every caller shows a certificate. New contents are taken as they come.
    #[arg(long, value_name = "FILE", env = "PODWIRE_TLS_CERT", value_parser = absolute)]
    pub tls_cert: Option<PathBuf>,

    /// The key of --tls-cert, PEM: an absolute path.
    #[arg(long, value_name = "FILE", env = "PODWIRE_TLS_KEY", value_parser = absolute)]
    pub tls_key: Option<PathBuf>,

    /// The authorities, PEM, one of which must have signed a caller's certificate: an absolute path.
    #[arg(long, value_name = "FILE", env = "PODWIRE_TLS_CLIENT_CA", value_parser = absolute)]
    pub tls_client_ca: Option<PathBuf>,

    /// Revocation lists of the authorities in --tls-client-ca, PEM: an absolute path. A caller whose certificate, or one
    /// between it and the authority, is on one is refused; an authority without a list has revoked nothing. New contents
    /// are taken as they come, for new connections.
    #[arg(long, value_name = "FILE", env = "PODWIRE_TLS_CLIENT_CRL", value_parser = absolute)]
    pub tls_client_crl: Option<PathBuf>,

    /// How old a connection by TLS may become, in seconds, 1 to 604800; at the most as old as the caller's certificate.
    /// Callers then connect anew, with the certificate that they have by then; calls under way are finished.
    #[arg(long, value_name = "SECONDS", env = "PODWIRE_MAX_CONNECTION_AGE", default_value_t = 3600)]
    #[arg(value_parser = value_parser!(u64).range(1..=604_800))]
    pub max_connection_age: u64,

    /// Who may do what in which namespaces, YAML: an absolute path. Default: root of this node may do everything, whoever
    /// comes by TLS nothing. New contents are taken as they come.
    #[arg(long, value_name = "FILE", env = "PODWIRE_POLICY", value_parser = absolute)]
    pub policy: Option<PathBuf>,

    /// Where each refused call and each change is written down, a JSON object a line: an absolute path of a file, or `-` for
    /// the standard output. A file that was moved away is made anew. Default: nowhere.
    #[arg(long, value_name = "FILE", env = "PODWIRE_AUDIT_LOG", value_parser = file_or_stdout)]
    pub audit_log: Option<PathBuf>,

    /// Listen on TCP without encryption and without authentication: whoever reaches the port may do what --policy allows
    /// `anonymous`, and without --policy everything.
    #[arg(long, env = "PODWIRE_INSECURE_PLAINTEXT_TCP", action = ArgAction::SetTrue)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub insecure_plaintext_tcp: bool,
}

/// The files of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The agent's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs callers' certificates.
    pub client_ca: PathBuf,
    /// Which of them are revoked.
    pub client_crl: Option<PathBuf>,
}

impl DoorSettings {
    /// Checks that they go together, and with the addresses.
    ///
    /// # Errors
    ///
    /// They do not.
    pub(super) fn check(&self, listen: &[Endpoint]) -> Result<(), ConfigError> {
        let files =
            [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key), ("--tls-client-ca", &self.tls_client_ca)];
        let crl = self.tls_client_crl.as_ref().map(|_| "--tls-client-crl");
        let given = files.iter().find(|(_, path)| path.is_some()).map(|(flag, _)| *flag).or(crl);
        let missing = files.iter().find(|(_, path)| path.is_none()).map(|(flag, _)| *flag);
        let tcp = listen.iter().find(|endpoint| matches!(endpoint, Endpoint::Tcp(_)));
        match (given, missing, tcp) {
            (Some(given), Some(missing), _) => Err(ConfigError::TlsInPart { given, missing }),
            (Some(given), None, _) if self.insecure_plaintext_tcp => Err(ConfigError::TlsAndPlaintext(given)),
            (Some(given), None, None) => Err(ConfigError::UnusedTls(given)),
            (None, _, Some(tcp)) if !self.insecure_plaintext_tcp => Err(ConfigError::PlaintextTcp(tcp.clone())),
            _ => Ok(()),
        }
    }

    /// The files of TLS, where that is on.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (cert, key, client_ca) = (self.tls_cert.clone()?, self.tls_key.clone()?, self.tls_client_ca.clone()?);
        Some(TlsFiles { cert, key, client_ca, client_crl: self.tls_client_crl.clone() })
    }

    /// How old a connection may become.
    pub fn max_connection_age(&self) -> Duration {
        Duration::from_secs(self.max_connection_age)
    }
}

fn file_or_stdout(text: &str) -> Result<PathBuf, &'static str> {
    if text == "-" { Ok(text.into()) } else { absolute(text) }
}
