//! TLS 1.3 with an agent.

use std::{io, path::Path, sync::Arc};

use hyper::client::conn::http2::SendRequest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsProblem, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

use super::{handshake, observed::Observed};
use crate::{connect_error::ConnectError, target::Target, tls::Tls};

/// Does both handshakes, and waits until the agent has let the client's certificate pass.
pub(super) async fn secure(
    target: &Target,
    host: &str,
    stream: TcpStream,
    tls: &Tls,
) -> Result<SendRequest<Body>, ConnectError> {
    let (config, name) =
        config(tls, host).await.map_err(|problem| ConnectError::TlsFile { target: target.clone(), problem })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = connected.map_err(|seen| ConnectError::from_tls(target.clone(), seen))?;
    let (stream, first) = Observed::new(stream);
    let made = handshake(target, stream).await;
    match (first.await, made) {
        (Ok(Ok(())), made) => made,
        (Ok(Err(seen)), _) => Err(ConnectError::from_tls(target.clone(), seen)),
        // Gone before anything was read: hyper's error says what it can.
        (Err(_), Err(error)) => Err(error),
        (Err(_), Ok(_)) => Err(ConnectError::from_tls(target.clone(), io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Reads the files.
async fn config(tls: &Tls, host: &str) -> Result<(ClientConfig, ServerName<'static>), String> {
    let chain = certificates(&tls.cert).await?;
    let pem = read(&tls.key).await?;
    let key = PrivateKeyDer::from_pem_slice(&pem);
    let key = key.map_err(|error| format!("`{}` has no private key that can be read: {error}", tls.key.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca).await? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("`{}` has an authority that cannot be read: {error}", tls.ca.display()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let broken = |error: TlsProblem| format!("TLS cannot be set up: {error}");
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(broken)?;
    let host_name = |text: &str| {
        let name = ServerName::try_from(text.to_owned());
        name.map_err(|_| format!("`{text}` is neither a DNS name nor an address nor a SPIFFE ID"))
    };
    let (builder, name) = match &tls.server_name {
        Some(id) if id.starts_with("spiffe://") => {
            let verifier = Spiffe { id: id.clone(), roots, provider };
            // Named so by rustls because it may be wrong: it checks the chain as rustls does, and another kind of name.
            (builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)), host_name(host)?)
        }
        other => {
            let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let roots = roots.map_err(|error| format!("`{}` is of no use: {error}", tls.ca.display()))?;
            (builder.with_webpki_verifier(roots), host_name(other.as_deref().unwrap_or(host))?)
        }
    };
    let config = builder.with_client_auth_cert(chain, key).map_err(|error| match error {
        TlsProblem::InconsistentKeys(_) => {
            format!("`{}` is not the key of the certificate in `{}`", tls.key.display(), tls.cert.display())
        }
        error => format!("`{}` is of no use: {error}", tls.cert.display()),
    });
    let mut config = config?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok((config, name))
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path).await?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("`{}` has no certificate: PEM is expected", path.display())),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("`{}` is not whole PEM: {error}", path.display())),
    }
}

/// Trusts a certificate that is signed as any other and whose only URI is this SPIFFE ID.
#[derive(Debug)]
struct Spiffe {
    id: String,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Spiffe {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsProblem> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let read = webpki::EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let ids: Vec<&str> = read.valid_uri_names().collect();
        if ids == [self.id.as_str()] {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsProblem> {
        Err(TlsProblem::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsProblem> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
