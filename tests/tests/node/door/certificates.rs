//! Certificates, as the tests of the client make them, and what revokes them.

#[path = "../../../../client/tests/tls/certificates.rs"]
mod issued;

use std::{fs, path::PathBuf, time::SystemTime};

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};

pub(crate) use issued::{Authority, Pair};

/// The three files of one side.
pub(crate) type Files = issued::Files<PathBuf>;

/// Files in a directory that need not be there.
pub(crate) fn files(directory: PathBuf, ca: &Authority, pair: &Pair) -> Files {
    fs::create_dir_all(&directory).unwrap();
    Files::new(directory, ca, pair)
}

impl Authority {
    /// One that ends then, in whole seconds.
    pub(crate) fn until(&self, name: &str, end: SystemTime) -> Pair {
        self.sign(&[name], |params| params.not_after = end.into())
    }

    /// A certificate with a number, by which it can be revoked.
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
}
