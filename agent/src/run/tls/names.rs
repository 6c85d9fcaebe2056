//! Whose a caller's certificate is.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::EndEntityCert;

use crate::domain::identity::{Identity, IdentityError};

/// Why a certificate is nobody's.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NamesError {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// Not one name.
    #[error(
        "the certificate has {0} URIs and DNS names in its subject alternative names, and the one SPIFFE ID or DNS name \
         there is the caller's identity: issue one with exactly one"
    )]
    NotOne(usize),
    /// A name that is no identity.
    #[error("the certificate is for `{name}`: {why}")]
    NotAnIdentity {
        /// The name.
        name: String,
        /// Why not.
        why: IdentityError,
    },
}

/// The identity in a certificate: of all URIs and DNS names in its subject alternative names the only one. The common name
/// says nothing.
///
/// # Errors
///
/// There is none, or more than one.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Result<Identity, NamesError> {
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| NamesError::Unreadable)?;
    let uris: Vec<&str> = certificate.valid_uri_names().collect();
    let names: Vec<&str> = certificate.valid_dns_names().collect();
    let (name, read) = match (uris.as_slice(), names.as_slice()) {
        ([uri], []) => (*uri, Identity::of_uri(uri)),
        ([], [name]) => (*name, Identity::of_dns(name)),
        (uris, names) => return Err(NamesError::NotOne(uris.len() + names.len())),
    };
    read.map_err(|why| NamesError::NotAnIdentity { name: name.to_owned(), why })
}

/// Lets in whom another verifier lets in and who has an identity.
#[derive(Debug)]
pub(super) struct Named(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        match identity(end_entity) {
            Ok(_) => Ok(verified),
            Err(error) => Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, string::Ia5String};

    use super::*;

    fn named(names: &[SanType]) -> Result<Identity, NamesError> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        identity(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(Ia5String::try_from(name).unwrap())
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(Ia5String::try_from(name).unwrap())
    }

    #[test]
    fn the_one_name_is_the_identity() {
        assert_eq!(named(&[uri("spiffe://td/ns/a/sa/b")]).unwrap().to_string(), "spiffe://td/ns/a/sa/b");
        assert_eq!(named(&[dns("Sched.example")]).unwrap().to_string(), "sched.example");
        let address = SanType::IpAddress("10.0.0.1".parse().unwrap());
        assert_eq!(named(&[address, dns("a")]).unwrap().to_string(), "a", "an address is nobody's name");
    }

    #[test]
    fn no_name_two_names_and_bad_names_are_nobody() {
        for (names, words) in [
            (vec![], "has 0 URIs"),
            (vec![SanType::IpAddress("10.0.0.1".parse().unwrap())], "has 0 URIs"),
            (vec![dns("a"), dns("b")], "has 2 URIs"),
            (vec![dns("a"), uri("spiffe://td/a")], "has 2 URIs"),
            (vec![uri("spiffe://td/a"), uri("spiffe://td/b")], "has 2 URIs"),
            (vec![uri("https://td/a")], "only `spiffe://"),
            (vec![uri("spiffe://td/../a")], "part of the path"),
            (vec![dns("anonymous")], "for `anonymous`"),
        ] {
            let error = named(&names).unwrap_err().to_string();
            assert!(error.contains(words), "{names:?}: {error}");
        }
        assert!(named(&[dns("*.example")]).is_err());
        assert!(identity(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }
}
