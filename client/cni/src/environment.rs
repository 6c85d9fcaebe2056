//! What a container runtime says by environment variables.

use std::ffi::OsString;

use crate::error::{CniError, Code};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

/// The container that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// `CNI_CONTAINERID`.
    pub(crate) container: String,
    /// `CNI_NETNS`; empty: not given, as DEL may.
    pub(crate) netns: String,
    /// From `CNI_ARGS`; `None`: it is not Kubernetes that asks.
    pub(crate) pod: Option<Pod>,
}

/// The pod of `CNI_ARGS`, by the keys that kubelet's runtimes set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    /// `K8S_POD_NAMESPACE`.
    pub(crate) namespace: String,
    /// `K8S_POD_NAME`.
    pub(crate) name: String,
    /// `K8S_POD_UID`; empty: an older runtime.
    pub(crate) uid: String,
}

/// The variables, as text.
pub(crate) struct Environment<'a>(pub(crate) &'a dyn Fn(&str) -> Option<OsString>);

impl Environment<'_> {
    /// `CNI_COMMAND`.
    pub(crate) fn command(&self) -> Result<Command, CniError> {
        match self.required("CNI_COMMAND")?.as_str() {
            "ADD" => Ok(Command::Add),
            "DEL" => Ok(Command::Del),
            "CHECK" => Ok(Command::Check),
            "GC" => Ok(Command::Gc),
            "STATUS" => Ok(Command::Status),
            "VERSION" => Ok(Command::Version),
            other => Err(invalid("CNI_COMMAND", &format!("`{}` is no command", other.escape_debug()))),
        }
    }

    /// The container; of DEL the namespace may be missing.
    pub(crate) fn attachment(&self, command: Command) -> Result<Attachment, CniError> {
        let container = self.required("CNI_CONTAINERID")?;
        self.required("CNI_IFNAME")?;
        let netns = match command {
            Command::Del => self.text("CNI_NETNS")?.unwrap_or_default(),
            _ => self.required("CNI_NETNS")?,
        };
        Ok(Attachment { container, netns, pod: self.pod()? })
    }

    fn pod(&self) -> Result<Option<Pod>, CniError> {
        let args = self.text("CNI_ARGS")?.unwrap_or_default();
        let value = |key: &str| {
            let pairs = args.split(';').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned()).next_back()
        };
        let (Some(namespace), Some(name)) = (value("K8S_POD_NAMESPACE"), value("K8S_POD_NAME")) else {
            return Ok(None);
        };
        Ok(Some(Pod { namespace, name, uid: value("K8S_POD_UID").unwrap_or_default() }))
    }

    fn required(&self, name: &str) -> Result<String, CniError> {
        match self.text(name)? {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(invalid(name, "it is missing")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, CniError> {
        let value = (self.0)(name).map(OsString::into_string).transpose();
        value.map_err(|_| invalid(name, "it is not UTF-8"))
    }
}

fn invalid(name: &str, problem: &str) -> CniError {
    CniError::new(Code::InvalidEnvironment, format!("environment variable {name}"), problem)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn attachment(args: &str) -> Attachment {
        let args = args.to_owned();
        let get = move |name: &str| match name {
            "CNI_ARGS" => Some(OsString::from(&args)),
            "CNI_CONTAINERID" | "CNI_IFNAME" | "CNI_NETNS" => Some(OsString::from("x")),
            _ => None,
        };
        Environment(&get).attachment(Command::Add).unwrap()
    }

    #[test]
    fn the_pod_is_in_the_arguments() {
        let all =
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=lessons;K8S_POD_NAME=bb1;K8S_POD_INFRA_CONTAINER_ID=0f;K8S_POD_UID=u-1";
        let pod = attachment(all).pod.unwrap();
        assert_eq!((pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()), ("lessons", "bb1", "u-1"));
        for other in ["", ";;=;", "IgnoreUnknown=1", "K8S_POD_NAME=bb1"] {
            assert_eq!(attachment(other).pod, None, "{other}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Environment(&|_| None).command().unwrap_err();
        assert_eq!(error.code, Code::InvalidEnvironment);
        assert!(error.to_string().contains("CNI_COMMAND"), "{error}");
    }
}
