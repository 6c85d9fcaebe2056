//! Names that are put into questions to the API server.

use super::error::ClusterError;

/// Longest name of an object, in bytes: a DNS subdomain (Kubernetes, "Object Names and IDs").
const LONGEST: usize = 253;

/// Refuses what is no name of Kubernetes, before it becomes part of a path or a selector and asks something else.
pub(super) fn check(kind: &'static str, given: &str) -> Result<(), ClusterError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = given.as_bytes();
    let fits = bytes.len() <= LONGEST && bytes.iter().copied().all(inner);
    if fits && outer(bytes.first()) && outer(bytes.last()) && !given.contains("..") {
        return Ok(());
    }
    Err(ClusterError::Name { kind, given: given.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_kubernetes_are_asked_for() {
        for name in ["bb1", "a", "node-1.example.org", "10.0.0.1", "ip-10-0-0-1.ec2.internal"] {
            assert!(check("pod", name).is_ok(), "{name}");
        }
        let long = "a".repeat(254);
        for name in ["", "..", "a/../b", "a?b", "a,b=c", "Node", "-a", "a-", ".a", "a..b", "ä", "a b", "a\n", &long] {
            let text = check("pod", name).map_err(|error| error.to_string());
            assert!(text.is_err_and(|text| text.contains("is not a name of a pod")), "{name}");
        }
    }
}
