//! A collector that keeps what it gets.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Collector {
    port: u16,
    got: Kept,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::start_at(0).await
    }

    pub(crate) async fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Kept::default());
        let server = Server::builder().add_service(TraceServiceServer::new(got.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { port, got }
    }

    /// Its address, for `--otlp-endpoint`.
    pub(crate) fn address(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// Whether it got anything.
    pub(crate) fn any(&self) -> bool {
        !self.got.0.lock().unwrap().is_empty()
    }

    /// The span of the call with this id.
    pub(crate) fn span(&self, id: &str) -> Option<Span> {
        let got = self.got.0.lock().unwrap();
        let mut spans = got.iter().flat_map(|request| &request.resource_spans).flat_map(|of| &of.scope_spans);
        spans.find_map(|of| of.spans.iter().find(|span| text(&span.attributes, "id").as_deref() == Some(id)).cloned())
    }

    /// Of whom the first spans were.
    pub(crate) fn resource(&self) -> Vec<KeyValue> {
        let got = self.got.0.lock().unwrap();
        got[0].resource_spans[0].resource.clone().unwrap().attributes
    }
}

/// An attribute that is a text.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// In digits of base 16.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
