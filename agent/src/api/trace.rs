//! Which trace a call belongs to, as its caller says: `traceparent` of <https://www.w3.org/TR/trace-context/>.

use http::HeaderMap;

/// Metadata of a request.
const TRACEPARENT: &str = "traceparent";

/// Bytes of the fields of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits. Later versions may have more behind them.
const LENGTH: usize = 55;

/// What a caller says of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace<'a> {
    /// The trace, 32 digits.
    pub(super) id: &'a str,
    /// The caller's span in it, 16 digits.
    pub(super) parent: &'a str,
    /// Flags, 2 digits.
    pub(super) flags: &'a str,
}

impl<'a> Trace<'a> {
    /// That of a request. What is not as the specification wants it is no trace, and no error.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.to_str().ok()?)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let mut field = |digits| fields.next().filter(|field| is_hex(field, digits));
        let (version, id, parent, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let ends = if version == "00" { more.is_empty() } else { more.is_empty() || more.starts_with('-') };
        let zero = |field: &str| field.bytes().all(|digit| digit == b'0');
        (ends && version != "ff" && !zero(id) && !zero(parent)).then_some(Self { id, parent, flags })
    }
}

/// Digits are lowercase there.
fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn what_the_specification_allows_is_taken() {
        for text in [
            format!("00-{ID}-{PARENT}-01"),
            format!("00-{ID}-{PARENT}-00"),
            format!("cc-{ID}-{PARENT}-01"),
            format!("cc-{ID}-{PARENT}-01-what-the-future-will-be-like"),
        ] {
            assert_eq!(Trace::parse(&text), Some(Trace { id: ID, parent: PARENT, flags: &text[53..55] }), "{text}");
        }
    }

    #[test]
    fn all_else_is_no_trace() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "é".repeat(40),
            format!("ff-{ID}-{PARENT}-01"),
            format!("00-{ID}-{PARENT}-01-more"),
            format!("00-{ID}-{PARENT}-01."),
            format!("cc-{ID}-{PARENT}-01."),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{}-{PARENT}-01", ID.to_uppercase()),
            format!("00-{ID}-{PARENT}-0"),
            format!("00-{ID}-{PARENT}-0x"),
            format!("0-{ID}-{PARENT}-010"),
            format!("00-{ID}{PARENT}--01"),
        ] {
            assert_eq!(Trace::parse(&text), None, "{text}");
        }
        let mut headers = HeaderMap::new();
        for _ in 0..2 {
            headers.append(TRACEPARENT, HeaderValue::try_from(format!("00-{ID}-{PARENT}-01")).unwrap());
        }
        assert_eq!(Trace::of(&headers), None, "which of the two?");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            Trace::parse(&text);
        }
    }
}
