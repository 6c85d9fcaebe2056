use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::TLS13,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::*;
use crate::{
    api::{CallLayer, Leave, leaving},
    config::Endpoint,
    run::listener::Listener,
};

const PATIENCE: Duration = Duration::from_secs(60);

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Each by a name of its own, as authorities have.
fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    let key = KeyPair::generate().unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("{:x?}", &key.public_key_raw()[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key).unwrap()
}

/// A certificate and its key, PEM.
struct Pair {
    cert: String,
    key: String,
}

fn pair(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::new(vec!["sched.example".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pair { cert: params.signed_by(&key, issuer).unwrap().pem(), key: key.serialize_pem() }
}

/// The three files in a directory.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new(pair: &Pair, ca: &Issuer) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        dir.put("tls.crt", &pair.cert);
        dir.put("tls.key", &pair.key);
        dir.put("ca.crt", &ca.pem());
        dir
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(format!("{name}.new"));
        fs::write(&path, text).unwrap();
        fs::rename(path, self.0.path().join(name)).unwrap();
    }

    fn files(&self) -> TlsFiles {
        let at = |name: &str| -> PathBuf { self.0.path().join(name) };
        TlsFiles { cert: at("tls.crt"), key: at("tls.key"), client_ca: at("ca.crt"), client_crl: None }
    }

    fn load(&self) -> Result<Tls, String> {
        Tls::load(self.files(), &Metrics::default()).map(|(tls, _)| tls).map_err(|error| super::super::chain(&error))
    }
}

struct Server {
    at: SocketAddr,
    tls: Tls,
    _leave: Leave,
    _reporter: HealthReporter,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn serve_health(dir: &Dir, age: Duration) -> Server {
    let (tls, reload) = Tls::load(dir.files(), &Metrics::default()).unwrap();
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Endpoint::Tcp(at) = listener.endpoint() else { panic!() };
    let (leave, leaving) = leaving();
    let (reporter, health) = tonic_health::server::health_reporter();
    let layer = CallLayer::new(watch::channel(Arc::default()).1);
    let served = listener.with_tls(tls.clone(), age).serve(Routes::new(health), layer, Metrics::default(), leaving);
    let tasks = vec![tokio::spawn(async { drop(served.await) }), tokio::spawn(reload.run())];
    Server { at, tls, _leave: leave, _reporter: reporter, tasks }
}

/// Says hello with a certificate or none, and returns what the agent's side says to it: its SETTINGS, or an error.
async fn hello(at: SocketAddr, ca: &Issuer, pair: Option<&Pair>) -> Result<Vec<u8>, String> {
    let mut stream = connect(at, ca, pair).await?;
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.map_err(|error| error.to_string())?;
    Ok(first.to_vec())
}

async fn connect(
    at: SocketAddr,
    ca: &Issuer,
    pair: Option<&Pair>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("sched.example").unwrap();
    let stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| error.to_string())
}

fn past(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
}

#[tokio::test]
async fn only_who_has_a_good_certificate_gets_in() {
    let (ca, other) = (authority(), authority());
    let server = serve_health(&Dir::new(&pair(&ca, |_| {}), &ca), PATIENCE).await;
    let good = pair(&ca, |_| {});
    assert_eq!(hello(server.at, &ca, Some(&good)).await.unwrap()[3], 4, "a SETTINGS frame");
    for (pair, words) in [
        (None, "CertificateRequired"),
        (Some(pair(&other, |_| {})), "UnknownCA"),
        (Some(pair(&ca, past)), "CertificateExpired"),
        (Some(pair(&ca, |params| params.subject_alt_names.clear())), "CertificateUnknown"),
        (
            Some(pair(&ca, |params| params.subject_alt_names.push(SanType::DnsName("b".try_into().unwrap())))),
            "CertificateUnknown",
        ),
    ] {
        let error = hello(server.at, &ca, pair.as_ref()).await.unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn bad_files_are_named_with_what_is_wrong() {
    let ca = authority();
    let good = pair(&ca, |_| {});
    let future = pair(&ca, |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2100, 1, 1), date_time_ymd(2101, 1, 1));
    });
    let old_ca = {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        past(&mut params);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let torn = &good.cert[..good.cert.len() / 2];
    for (file, text, setting, words) in [
        ("tls.crt", "", "--tls-cert", "no certificate"),
        ("tls.crt", torn, "--tls-cert", "not whole PEM"),
        ("tls.crt", &pair(&ca, past).cert, "--tls-cert", "expired at 2021-01-01T00:00:00Z"),
        ("tls.crt", &future.cert, "--tls-cert", "not valid before 2100-01-01T00:00:00Z"),
        ("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "--tls-cert", "cannot be read"),
        ("tls.key", "", "--tls-key", "no private key"),
        ("tls.key", &good.cert, "--tls-key", "no private key"),
        ("tls.key", &pair(&ca, |_| {}).key, "--tls-key", "not the key of the certificate"),
        ("ca.crt", "", "--tls-client-ca", "no certificate"),
        ("ca.crt", &old_ca.pem(), "--tls-client-ca", "authorities have expired"),
    ] {
        let dir = Dir::new(&good, &ca);
        dir.load().unwrap();
        dir.put(file, text);
        let error = dir.load().unwrap_err();
        assert!(error.contains(setting) && error.contains(file) && error.contains(words), "{file}: {error}");
    }
    let dir = Dir::new(&good, &ca);
    fs::remove_file(Path::new(dir.0.path()).join("tls.key")).unwrap();
    let error = dir.load().unwrap_err();
    assert!(error.contains("--tls-key") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn new_files_are_taken_and_bad_ones_are_not() {
    let (old, new) = (authority(), authority());
    let dir = Dir::new(&pair(&old, |_| {}), &old);
    let server = serve_health(&dir, PATIENCE).await;
    let (with_old, with_new) = (pair(&old, |_| {}), pair(&new, |_| {}));
    hello(server.at, &old, Some(&with_old)).await.unwrap();
    let mut under_way = connect(server.at, &old, Some(&with_old)).await.unwrap();
    let mut material = server.tls.0.clone();
    material.mark_unchanged();
    // A key without its certificate, then nothing at all: neither is taken.
    let next = pair(&new, |_| {});
    dir.put("tls.key", &next.key);
    dir.put("ca.crt", "");
    assert!(time::timeout(Duration::from_millis(500), material.changed()).await.is_err(), "a bad file was taken");
    hello(server.at, &old, Some(&with_old)).await.unwrap();
    dir.put("ca.crt", &new.pem());
    dir.put("tls.crt", &next.cert);
    time::timeout(PATIENCE, material.changed()).await.expect("the good files are taken").unwrap();
    hello(server.at, &new, Some(&with_new)).await.unwrap();
    assert!(hello(server.at, &new, Some(&with_old)).await.unwrap_err().contains("UnknownCA"));
    // Who was connected is not cut off.
    let mut settings = [0; 9];
    under_way.read_exact(&mut settings).await.unwrap();
    under_way.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut acknowledged = [0; 9];
    under_way.read_exact(&mut acknowledged).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_comes_before_its_time_is_taken_when_that_has_come() {
    let ca = authority();
    let dir = Dir::new(&pair(&ca, |_| {}), &ca);
    let server = serve_health(&dir, PATIENCE).await;
    let mut material = server.tls.0.clone();
    material.mark_unchanged();
    // Whole seconds, as certificates have them.
    let begins = SystemTime::UNIX_EPOCH
        + Duration::from_secs(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 4);
    let early = pair(&ca, |params| params.not_before = begins.into());
    dir.put("tls.key", &early.key);
    dir.put("tls.crt", &early.cert);
    time::timeout(PATIENCE, material.changed()).await.expect("it is taken").unwrap();
    assert!(SystemTime::now() >= begins);
}

#[tokio::test]
async fn silent_strangers_keep_nobody_out() {
    let ca = authority();
    let server = serve_health(&Dir::new(&pair(&ca, |_| {}), &ca), PATIENCE).await;
    let good = pair(&ca, |_| {});
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(server.at).await.unwrap());
    }
    let started = Instant::now();
    hello(server.at, &ca, Some(&good)).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}: not before the others timed out", started.elapsed());
    // The oldest were hung up on.
    let mut byte = [0];
    let ended = time::timeout(PATIENCE, silent[0].read(&mut byte)).await.expect("hung up");
    assert!(matches!(ended, Ok(0) | Err(_)));
    // And the newest after their time.
    let ended = time::timeout(PATIENCE, silent[599].read(&mut byte)).await.expect("timed out");
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn an_old_connection_is_asked_to_go_and_a_certificate_that_ends_cuts_it() {
    let ca = authority();
    let server = serve_health(&Dir::new(&pair(&ca, |_| {}), &ca), Duration::from_secs(1)).await;
    let good = pair(&ca, |_| {});
    let mut stream = connect(server.at, &ca, Some(&good)).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut all = Vec::new();
    // GOAWAY: RFC 9113, section 6.8.
    let goaway = async { while !frames(&all).contains(&7) && stream.read_buf(&mut all).await.unwrap() > 0 {} };
    time::timeout(PATIENCE, goaway).await.expect("it is asked to go");

    let server = serve_health(&Dir::new(&pair(&ca, |_| {}), &ca), Duration::from_secs(3600)).await;
    let soon = SystemTime::now() + Duration::from_secs(4);
    let brief = pair(&ca, |params| params.not_after = soon.into());
    let mut stream = connect(server.at, &ca, Some(&brief)).await.unwrap();
    // Says nothing, so nothing can be finished.
    let ended =
        time::timeout(PATIENCE, async { while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} }).await;
    ended.expect("cut off");
    assert!(SystemTime::now() >= soon - Duration::from_secs(3));
}

/// The types of the frames in what came.
fn frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        types.push(head[3]);
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        bytes = rest.get(length..).unwrap_or_default();
    }
    types
}
