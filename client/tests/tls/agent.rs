//! An agent with TLS that answers GetNode.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use podwire_client::v1::{
    self,
    node_service_server::{NodeService, NodeServiceServer},
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::Connected},
};

use crate::certificates::{Authority, Pair};

pub(crate) struct Agent {
    pub(crate) target: String,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Agent {
    pub(crate) async fn start(pair: &Pair, clients: &Authority) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), pair, clients).await
    }

    pub(crate) async fn start_at(address: SocketAddr, pair: &Pair, clients: &Authority) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(pair, clients)));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (send, connections) = mpsc::channel(16);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, send) = (acceptor.clone(), send.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        drop(send.send(Secure(stream)).await);
                    }
                });
            }
        });
        let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
        let (close, closed) = mpsc::channel::<()>(1);
        let serving = Server::builder().add_service(NodeServiceServer::new(Node)).serve_with_incoming_shutdown(
            incoming,
            async move {
                let mut closed = closed;
                closed.recv().await;
            },
        );
        let serving = tokio::spawn(async move {
            let _open = close;
            drop(serving.await);
        });
        Self { target: format!("tls://{address}"), address, tasks: vec![accepting, serving] }
    }

    /// Ends with all its connections.
    pub(crate) async fn stop(mut self) -> SocketAddr {
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
        self.address
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn config(pair: &Pair, clients: &Authority) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap();
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

struct Secure(TlsStream<tokio::net::TcpStream>);

impl Connected for Secure {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl tokio::io::AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Node;

#[tonic::async_trait]
impl NodeService for Node {
    async fn get_node(&self, _: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        Ok(Response::new(v1::GetNodeResponse::default()))
    }

    async fn list_pods(&self, _: Request<v1::ListPodsRequest>) -> Result<Response<v1::ListPodsResponse>, Status> {
        Ok(Response::new(v1::ListPodsResponse::default()))
    }
}
