//! An agent on TCP that answers one call and counts its connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use podwire_client::v1::{
    self,
    node_service_server::{NodeService, NodeServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Agent {
    /// Its node is called so.
    pub(crate) async fn start(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let incoming = TcpListenerStream::new(listener).map(move |stream| {
            count.fetch_add(1, Ordering::SeqCst);
            stream
        });
        let service = NodeServiceServer::new(Node(node.to_owned()));
        // Ends with the runtime of the test.
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

struct Node(String);

#[tonic::async_trait]
impl NodeService for Node {
    async fn get_node(&self, _: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        Ok(Response::new(v1::GetNodeResponse { node_name: self.0.clone(), ..Default::default() }))
    }

    async fn list_pods(&self, _: Request<v1::ListPodsRequest>) -> Result<Response<v1::ListPodsResponse>, Status> {
        Ok(Response::new(v1::ListPodsResponse::default()))
    }
}
