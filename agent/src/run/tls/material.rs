//! From the files to what a handshake needs.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use super::{names::Named as NamedCallers, validity::Validity};
use crate::run::files::Named;

/// Why files are not what TLS needs.
#[derive(Debug, thiserror::Error)]
#[error("bad value `{}` of {setting}: {problem}", .path.display())]
pub struct MaterialError {
    setting: &'static str,
    path: PathBuf,
    problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it has no certificate: PEM is expected, from `-----BEGIN CERTIFICATE-----` on")]
    NoCertificate,
    #[error("it is not whole PEM: {0}")]
    NotPem(rustls::pki_types::pem::Error),
    #[error("it has no private key: PEM is expected, from `-----BEGIN PRIVATE KEY-----` on")]
    NoKey,
    #[error("it is not the key of the certificate in --tls-cert: was one of the two written and not the other?")]
    OtherKey,
    #[error("certificate {0} of it cannot be read")]
    Unreadable(usize),
    #[error("its certificate expired at {0}: have it renewed")]
    Expired(prost_types::Timestamp),
    #[error("its certificate is not valid before {0}: is the node's clock right?")]
    NotYet(prost_types::Timestamp),
    #[error("all of its authorities have expired: have them renewed")]
    NoAuthority,
    #[error("it has no revocation list: PEM is expected, from `-----BEGIN X509 CRL-----` on")]
    NoList,
    #[error("rustls refuses it: {0}")]
    Refused(rustls::Error),
    #[error("it cannot be used to check callers: {0}")]
    Verifier(VerifierBuilderError),
}

impl MaterialError {
    /// When it is over by itself: the certificate is not valid before that.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        match &self.problem {
            Problem::NotYet(begins) => (*begins).try_into().ok(),
            _ => None,
        }
    }
}

/// What a handshake needs, and until when its certificate is good.
#[derive(Debug, Clone)]
pub(super) struct Material {
    /// For rustls.
    pub(super) config: Arc<ServerConfig>,
    /// When the agent's own certificate expires.
    pub(super) expires: SystemTime,
}

impl Material {
    /// That of the contents of the files, which are `[certificate, key, authorities]`, and revocation lists where there is
    /// a fourth.
    ///
    /// # Errors
    ///
    /// They are torn, do not go together, or are out of date.
    pub(super) fn read(files: &[Named], contents: &[Vec<u8>], now: SystemTime) -> Result<Self, MaterialError> {
        let wrong = |file: &Named, problem| MaterialError { setting: file.setting, path: file.path.clone(), problem };
        let ([cert, key, ca, ..], [cert_pem, key_pem, ca_pem, ..]) = (files, contents) else {
            return Err(MaterialError { setting: "--tls-cert", path: PathBuf::new(), problem: Problem::NoCertificate });
        };
        let chain = certificates(cert_pem).map_err(|problem| wrong(cert, problem))?;
        let own = validity(&chain, 0).map_err(|problem| wrong(cert, problem))?;
        if own.ends <= now {
            return Err(wrong(cert, Problem::Expired(own.ends.into())));
        }
        if own.begins > now {
            return Err(wrong(cert, Problem::NotYet(own.begins.into())));
        }
        let private = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => wrong(key, Problem::NoKey),
            error => wrong(key, Problem::NotPem(error)),
        })?;
        let provider = Arc::new(ring::default_provider());
        let pair = CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => wrong(key, Problem::OtherKey),
            error => wrong(key, Problem::Refused(error)),
        })?;
        let roots = authorities(ca_pem, now).map_err(|problem| wrong(ca, problem))?;
        let mut callers = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let mut checked = ca;
        if let (Some(crl), Some(pem)) = (files.get(3), contents.get(3)) {
            let lists = revocations(pem).map_err(|problem| wrong(crl, problem))?;
            // An authority that has no list there has revoked nothing.
            callers = callers.with_crls(lists).allow_unknown_revocation_status();
            checked = crl;
        }
        let callers = callers.build().map_err(|error| wrong(checked, Problem::Verifier(error)))?;
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(|error| wrong(cert, Problem::Refused(error)))?;
        let builder = builder.with_client_cert_verifier(Arc::new(NamedCallers(callers)));
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session shows no certificate: it would outlive its expiry, and the authority that signed it.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), expires: own.ends })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(Problem::NotPem)?;
    if all.is_empty() { Err(Problem::NoCertificate) } else { Ok(all) }
}

fn revocations(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let all = all.map_err(Problem::NotPem)?;
    if all.is_empty() { Err(Problem::NoList) } else { Ok(all) }
}

fn validity(certificates: &[CertificateDer<'_>], index: usize) -> Result<Validity, Problem> {
    certificates.get(index).and_then(|der| Validity::of(der)).ok_or(Problem::Unreadable(index))
}

fn authorities(pem: &[u8], now: SystemTime) -> Result<RootCertStore, Problem> {
    let all = certificates(pem)?;
    let mut roots = RootCertStore::empty();
    let mut alive = false;
    for (index, certificate) in all.iter().enumerate() {
        alive |= validity(&all, index)?.ends > now;
        roots.add(certificate.clone()).map_err(|_| Problem::Unreadable(index))?;
    }
    if alive { Ok(roots) } else { Err(Problem::NoAuthority) }
}
