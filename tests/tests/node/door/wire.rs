//! Calls by their path and bytes, so that every call of the contract can be made in one way.

use std::{io, sync::Arc};

use hyper_util::rt::TokioIo;
use prost::bytes::{Buf, BufMut};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::{
    ADDRESS,
    certificates::{Authority, Pair},
};

/// Shows a certificate, or none, and trusts the authority.
pub(crate) fn connector(authority: &Authority, pair: Option<&Pair>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_root_certificates(roots);
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes()).map(Result::unwrap).collect();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// A connection that is made with the first call.
pub(crate) fn channel(authority: &Authority, pair: Option<&Pair>) -> Channel {
    channel_by(&Endpoint::from_static("http://agent"), authority, pair)
}

/// The same with settings of its own.
pub(crate) fn channel_by(endpoint: &Endpoint, authority: &Authority, pair: Option<&Pair>) -> Channel {
    let connector = connector(authority, pair);
    let connect = service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(ADDRESS).await?;
            let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
            Ok::<_, io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    endpoint.connect_with_connector_lazy(connect)
}

/// Makes a call. Of a stream the first message counts, or that it ends or says nothing for a while.
pub(crate) async fn call(channel: &Channel, path: &str, message: Vec<u8>, streams: bool) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::new(Code::Unavailable, error.to_string()))?;
    let path: PathAndQuery = path.parse().unwrap();
    if !streams {
        return grpc.unary(Request::new(message), path, Bytes).await.map(drop);
    }
    let mut answers = grpc.server_streaming(Request::new(message), path, Bytes).await?.into_inner();
    answers.message().await.map(drop)
}

/// Takes and gives bytes as they are.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}
