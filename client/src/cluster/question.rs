//! Questions to the API server.

use std::{error::Error, time::Duration};

use http::{Request, StatusCode};
use kube::{
    api::{GetParams, ListParams},
    core::request,
};
use serde::de::DeserializeOwned;

use super::{
    error::ClusterError,
    pod::{Pod, PodList},
    settings::Settings,
};

/// What is asked, in the words of RBAC.
struct Question<'a> {
    verb: &'static str,
    namespace: &'a str,
    timeout: Duration,
}

/// The pod by its name.
pub(super) async fn pod(
    api: &kube::Client,
    timeout: Duration,
    namespace: &str,
    name: &str,
) -> Result<Pod, ClusterError> {
    let question = Question { verb: "get", namespace, timeout };
    let request = pods(namespace).get(name, &GetParams::default());
    question.ask(api, request).await?.ok_or_else(|| ClusterError::NoPod { pod: format!("{namespace}/{name}") })
}

/// The pods on the node that match the agents' labels.
pub(super) async fn pods_on(api: &kube::Client, settings: &Settings, node: &str) -> Result<Vec<Pod>, ClusterError> {
    let question = Question { verb: "list", namespace: &settings.namespace, timeout: settings.api_timeout };
    let matching = ListParams::default().labels(&settings.selector).fields(&format!("spec.nodeName={node}"));
    let found: Option<PodList> = question.ask(api, pods(&settings.namespace).list(&matching)).await?;
    // A list of nothing is empty, not missing.
    let found =
        found.ok_or_else(|| question.failed("not found (HTTP status 404): is it Kubernetes' API?".to_owned()))?;
    Ok(found.into_pods())
}

fn pods(namespace: &str) -> request::Request {
    request::Request::new(format!("/api/v1/namespaces/{namespace}/pods"))
}

impl Question<'_> {
    /// None where there is no such object.
    async fn ask<A: DeserializeOwned>(
        &self,
        api: &kube::Client,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<Option<A>, ClusterError> {
        let request = request.map_err(|seen| self.failed(chain(&seen)))?;
        match tokio::time::timeout(self.timeout, api.request(request)).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => self.refused(&error),
            Err(_) => Err(self.failed(format!("no answer within {:?}", self.timeout))),
        }
    }

    fn refused<A>(&self, error: &kube::Error) -> Result<Option<A>, ClusterError> {
        let (verb, namespace) = (self.verb, self.namespace.to_owned());
        match error {
            kube::Error::Api(status) => match StatusCode::from_u16(status.code) {
                Ok(StatusCode::NOT_FOUND) => Ok(None),
                Ok(StatusCode::FORBIDDEN) => {
                    Err(ClusterError::Forbidden { verb, namespace, seen: status.message.clone() })
                }
                Ok(StatusCode::UNAUTHORIZED) => Err(ClusterError::Unauthorized { seen: status.message.clone() }),
                _ => Err(self.failed(format!("{} (HTTP status {})", status.message, status.code))),
            },
            kube::Error::SerdeError(seen) => {
                Err(self.failed(format!("the answer is not what Kubernetes' API answers: {seen}")))
            }
            other => Err(self.failed(chain(other))),
        }
    }

    fn failed(&self, seen: String) -> ClusterError {
        ClusterError::Api { verb: self.verb, namespace: self.namespace.to_owned(), seen }
    }
}

/// The error with its causes, which those of `kube` keep to themselves; what was said already is not said again.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
