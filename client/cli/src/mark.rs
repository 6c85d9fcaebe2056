//! What the agent writes on an interface inside a pod.

/// Device group of everything that podwire makes: "pwir" in ASCII.
pub(crate) const GROUP: u32 = 0x7077_6972;

/// What an interface belongs to: its altname `podwire.<namespace>.<topology>.<element>[.a|.b]`, which the agent sets last
/// (`agent/ARCHITECTURE.md`), so it is the sign that the interface is complete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Kubernetes namespace; empty with `topology` and `element` where the names were too long for an altname.
    pub(crate) namespace: String,
    /// Topology.
    pub(crate) topology: String,
    /// Link or attachment.
    pub(crate) element: String,
    /// Which end of a link: `a` or `b`; `None`: an attachment.
    pub(crate) end: Option<char>,
}

impl Mark {
    /// Reads an altname. `None`: somebody else's. None of the names has a dot, so their number says what they are; where
    /// they are too long for an altname a number of 16 hexadecimal digits stands for all three.
    pub(crate) fn parse(altname: &str) -> Option<Self> {
        let mut parts: Vec<&str> = altname.strip_prefix("podwire.")?.split('.').collect();
        let end = match parts.as_slice() {
            [.., end @ ("a" | "b")] if parts.len() == 4 || parts.len() == 2 => end.chars().next(),
            _ => None,
        };
        if end.is_some() {
            parts.pop();
        }
        match parts.as_slice() {
            [namespace, topology, element] if !parts.iter().any(|part| part.is_empty()) => Some(Self {
                namespace: (*namespace).to_owned(),
                topology: (*topology).to_owned(),
                element: (*element).to_owned(),
                end,
            }),
            [number] if number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(Self { end, ..Self::default() })
            }
            _ => None,
        }
    }

    /// The other end of the link, as `element.end`. `None`: there is none, or its name is not known.
    pub(crate) fn peer(&self) -> Option<String> {
        let other = match self.end? {
            'a' => 'b',
            _ => 'a',
        };
        (!self.element.is_empty()).then(|| format!("{}.{other}", self.element))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_has_a_peer_and_an_attachment_has_none() {
        let link = Mark::parse("podwire.lessons.12.w1.a").unwrap();
        assert_eq!((link.topology.as_str(), link.peer().as_deref()), ("12", Some("w1.b")));
        assert_eq!(Mark::parse("podwire.lessons.12.w1.b").unwrap().peer().as_deref(), Some("w1.a"));
        let attachment = Mark::parse("podwire.lessons.12.a").unwrap();
        assert_eq!((attachment.element.as_str(), attachment.peer()), ("a", None));
        let long = Mark::parse("podwire.00112233aabbccdd.b").unwrap();
        assert_eq!((long.end, long.peer()), (Some('b'), None));
    }

    #[test]
    fn what_somebody_else_wrote_is_no_mark() {
        for other in ["enp0s1", "podwire", "podwire.", "podwire.a", "podwire.a.b", "podwire.a.b.c.d", "podwire.a..b"] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn marks_read_back(
            namespace in "[a-z0-9]{1,8}", topology in "[a-z0-9]{1,8}", element in "[a-z0-9]{1,8}", end in "(\\.[ab])?",
        ) {
            let mark = Mark::parse(&format!("podwire.{namespace}.{topology}.{element}{end}")).unwrap();
            prop_assert_eq!((mark.namespace, mark.topology, mark.element), (namespace, topology, element));
            prop_assert_eq!(mark.end, end.chars().nth(1));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let _ = Mark::parse(&text);
        }
    }
}
