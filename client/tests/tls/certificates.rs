//! Certificates, and files with them.

use std::{fs, net::IpAddr};

use podwire_client::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData, SanType, date_time_ymd,
};

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("{:x?}", &key.der_bytes()[..8]));
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these addresses, SPIFFE IDs and DNS names.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.sign(names, |_| {})
    }

    pub(crate) fn expired(&self, name: &str) -> Pair {
        self.sign(&[name], |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        })
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Pair { cert: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

fn san(name: &str) -> SanType {
    if let Ok(address) = name.parse::<IpAddr>() {
        SanType::IpAddress(address)
    } else if name.contains("://") {
        SanType::URI(name.try_into().unwrap())
    } else {
        SanType::DnsName(name.try_into().unwrap())
    }
}

/// The three files of a client.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new(ca: &Authority, pair: &Pair) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.replace(ca, pair);
        files
    }

    pub(crate) fn replace(&self, ca: &Authority, pair: &Pair) {
        for (name, text) in [("tls.crt", &pair.cert), ("tls.key", &pair.key), ("ca.crt", &ca.pem())] {
            self.put(name, text);
        }
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    pub(crate) fn tls(&self) -> Tls {
        let at = |name: &str| self.0.path().join(name);
        Tls::new(at("tls.crt"), at("tls.key"), at("ca.crt"))
    }
}
