//! Certificates, and files with them. Those of the end-to-end tests are made here too: `tests/tests/node/door`.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use podwire_client::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData, SanType, date_time_ymd,
};

/// Signs certificates.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

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

    pub(crate) fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
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

/// The three files of one side, in a directory that is there.
pub(crate) struct Files<D>(D);

impl<D: AsRef<Path>> Files<D> {
    pub(crate) fn new(directory: D, ca: &Authority, pair: &Pair) -> Self {
        let files = Self(directory);
        files.replace(ca, pair);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.as_ref().join(name)
    }

    pub(crate) fn replace(&self, ca: &Authority, pair: &Pair) {
        for (name, text) in [("tls.crt", &pair.cert), ("tls.key", &pair.key), ("ca.crt", &ca.pem())] {
            self.put(name, text);
        }
    }

    /// Replaces a file as a whole.
    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    pub(crate) fn tls(&self) -> Tls {
        Tls::new(self.path("tls.crt"), self.path("tls.key"), self.path("ca.crt"))
    }
}
