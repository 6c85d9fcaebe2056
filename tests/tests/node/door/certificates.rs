//! Certificates, and files with them.

use std::{fs, net::IpAddr, path::PathBuf, time::SystemTime};

use podwire_client::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, PublicKeyData, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
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

    /// One that ends then, in whole seconds.
    pub(crate) fn until(&self, name: &str, end: SystemTime) -> Pair {
        self.sign(&[name], |params| params.not_after = end.into())
    }

    /// One with a number, by which it can be revoked.
    pub(crate) fn numbered(&self, name: &str, number: u64) -> Pair {
        self.sign(&[name], |params| params.serial_number = Some(number.into()))
    }

    /// The list of what is revoked, PEM.
    pub(crate) fn revoked(&self, numbers: &[u64]) -> String {
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
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

/// The three files of one side.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new(directory: PathBuf, ca: &Authority, pair: &Pair) -> Self {
        fs::create_dir_all(&directory).unwrap();
        let files = Self(directory);
        files.replace(ca, pair);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn replace(&self, ca: &Authority, pair: &Pair) {
        for (name, text) in [("tls.crt", &pair.cert), ("tls.key", &pair.key), ("ca.crt", &ca.pem())] {
            self.put(name, text);
        }
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        super::write(&self.path(name), text);
    }

    pub(crate) fn tls(&self) -> Tls {
        Tls::new(self.path("tls.crt"), self.path("tls.key"), self.path("ca.crt"))
    }
}
