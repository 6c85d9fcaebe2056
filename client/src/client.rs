//! The client of one agent.

use std::{future::Future, time::Duration};

use http::Uri;
use tonic::{Request, Response, Status};

use crate::{
    connect_error::ConnectError,
    error::Error,
    target::Target,
    transport::{Security, Transport},
    v1::{
        attachment_service_client::AttachmentServiceClient, bridge_service_client::BridgeServiceClient,
        capture_service_client::CaptureServiceClient, link_service_client::LinkServiceClient,
        netns_service_client::NetnsServiceClient, node_service_client::NodeServiceClient,
        sandbox_service_client::SandboxServiceClient, topology_service_client::TopologyServiceClient,
    },
};

/// Deadline of a call that was given none: 10 s.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// How long after the deadline the client itself gives up, so that the agent's own answer, which has the reasons, comes
/// first: 1 s.
pub const GRACE: Duration = Duration::from_secs(1);

/// `grpc-timeout` has eight digits at most; a year means for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long connecting may take unless told: 5 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read, in bytes: a list of all topologies of a full node is far above tonic's default of 4 MiB.
const LARGEST_ANSWER: usize = 256 << 20;

/// Talks to the agent of one node. Cheap to clone; clones share one connection, which is made anew when it breaks.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    deadline: Duration,
}

/// Settings of a [`Client`] before it connects.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    deadline: Duration,
    connect_timeout: Duration,
    security: Security,
}

impl Client {
    /// Connects to an agent with default settings: `unix:///run/podwire/agent.sock`, `tcp://127.0.0.1:7411`.
    ///
    /// # Errors
    ///
    /// The target cannot be read, or nobody answers there.
    pub async fn connect<T>(target: T) -> Result<Self, ConnectError>
    where
        T: TryInto<Target>,
        ConnectError: From<T::Error>,
    {
        Self::builder().connect(target).await
    }

    /// Settings other than the default ones.
    pub fn builder() -> ClientBuilder {
        ClientBuilder { deadline: DEFAULT_DEADLINE, connect_timeout: CONNECT_TIMEOUT, security: Security::default() }
    }

    /// The same connection with another deadline for each call.
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { transport: self.transport.clone(), deadline: deadline.min(LONGEST) }
    }

    /// Time that each call has.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Where the agent listens.
    pub fn target(&self) -> &Target {
        self.transport.target()
    }
}

impl ClientBuilder {
    /// Time that each call has. Default: [`DEFAULT_DEADLINE`].
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(LONGEST);
        self
    }

    /// Time that making the connection may take. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Who the client is and whom it trusts, for targets `tls://host:port`. Unix sockets need none: the kernel tells the
    /// agent who is there.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::Tls) -> Self {
        self.security = Some(tls);
        self
    }

    /// Whether it has files of TLS.
    #[cfg(feature = "kube")]
    pub(crate) fn is_tls(&self) -> bool {
        self.security.is_some()
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// The target cannot be read, or nobody answers there.
    pub async fn connect<T>(self, target: T) -> Result<Client, ConnectError>
    where
        T: TryInto<Target>,
        ConnectError: From<T::Error>,
    {
        let transport = Transport::connect(target.try_into()?, self.connect_timeout, self.security).await?;
        Ok(Client { transport, deadline: self.deadline })
    }
}

/// Makes the stub of one service.
macro_rules! stub {
    ($name:ident, $stub:ident) => {
        pub(crate) fn $name(&self) -> $stub<Transport> {
            // Any authority serves: the connection is made already.
            let origin = Uri::from_static("http://podwire");
            $stub::with_origin(self.transport.clone(), origin).max_decoding_message_size(LARGEST_ANSWER)
        }
    };
}

impl Client {
    stub!(topologies, TopologyServiceClient);
    stub!(bridges, BridgeServiceClient);
    stub!(captures, CaptureServiceClient);
    stub!(links, LinkServiceClient);
    stub!(attachments, AttachmentServiceClient);
    stub!(node, NodeServiceClient);
    stub!(netns, NetnsServiceClient);
    stub!(sandboxes, SandboxServiceClient);

    /// The message with the deadline on it.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    /// What the call answers before the deadline and [`GRACE`] have passed.
    pub(crate) async fn answer<A>(&self, call: impl Future<Output = Result<Response<A>, Status>>) -> Result<A, Error> {
        match tokio::time::timeout(self.deadline + GRACE, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Error::from_call(status, self.target(), self.deadline)),
            Err(_) => Err(Error::no_answer(self.target(), self.deadline)),
        }
    }
}
