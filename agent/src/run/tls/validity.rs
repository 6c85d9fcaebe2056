//! From when to when a certificate is valid: RFC 5280, section 4.1. rustls checks it and does not tell it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`, which a version other than 1 stands in.
const VERSION: u8 = 0xa0;

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    /// From then.
    pub(super) begins: SystemTime,
    /// Until then.
    pub(super) ends: SystemTime,
}

impl Validity {
    /// That of a certificate in DER; `None` where it cannot be read.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (tbs, _) = element(certificate, SEQUENCE)?;
        let rest = element(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
        // Serial number, algorithm of the signature, issuer.
        let rest = skip(skip(skip(rest)?)?)?;
        let (validity, _) = element(rest, SEQUENCE)?;
        let (begins, rest) = time(validity)?;
        let (ends, _) = time(rest)?;
        Some(Self { begins, ends })
    }
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = next(der)?;
    (found == tag).then_some((content, rest))
}

fn skip(der: &[u8]) -> Option<&[u8]> {
    next(der).map(|(_, _, rest)| rest)
}

fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Certificates are shorter than 2^32 bytes.
        let bytes = usize::from(first & 0x7f);
        let (length, rest) = rest.split_at_checked(bytes).filter(|_| (1..=4).contains(&bytes))?;
        (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A `Time`: in DER always in whole seconds and with a Z.
fn time(der: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (tag, text, rest) = next(der)?;
    let (year, rest_of_it) = match tag {
        // RFC 5280: two digits are of 1950 to 2049.
        UTC_TIME => text.split_at_checked(2).and_then(|(year, rest)| {
            let year = number(year)?;
            Some((if year < 50 { 2000 + year } else { 1900 + year }, rest))
        })?,
        GENERALIZED_TIME => text.split_at_checked(4).and_then(|(year, rest)| Some((number(year)?, rest)))?,
        _ => return None,
    };
    let digits = rest_of_it.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut pairs = digits.chunks(2).map(number);
    let mut within =
        |range: std::ops::RangeInclusive<u64>| pairs.next().flatten().filter(|value| range.contains(value));
    let (month, day) = (within(1..=12)?, within(1..=31)?);
    let (hour, minute, second) = (within(0..=23)?, within(0..=59)?, within(0..=59)?);
    let seconds = days(year, month, day)?.checked_mul(86_400)? + hour * 3600 + minute * 60 + second;
    Some((UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?, rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit =
        |number: Option<u64>, byte: &u8| Some(number? * 10 + u64::from(byte.is_ascii_digit().then_some(byte - b'0')?));
    digits.iter().fold(Some(0), digit)
}

/// Days from 1970-01-01 in the Gregorian calendar; `None` before it. Years begin in March, so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leaps = year / 4 - year / 100 + year / 400;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    (year * 365 + leaps + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        // date -u -d 2000-02-29 +%s, divided by 86400, and so on.
        for (date, expected) in [
            ((1970, 1, 1), Some(0)),
            ((1969, 12, 31), None),
            ((2000, 2, 29), Some(11_016)),
            ((2024, 2, 29), Some(19_782)),
            ((2026, 11, 21), Some(20_778)),
            ((2100, 3, 1), Some(47_541)),
            ((9999, 12, 31), Some(2_932_896)),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    #[test]
    fn certificates_tell_when_they_are_valid() {
        // From before and after 2050, which are written in two ways.
        for (begins, ends) in
            [((2020, 2, 29), (2031, 1, 1)), ((2049, 12, 31), (2050, 1, 1)), ((1999, 1, 1), (9999, 12, 31))]
        {
            let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(begins.0, begins.1, begins.2);
            params.not_after = rcgen::date_time_ymd(ends.0, ends.1, ends.2);
            let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let found = Validity::of(der.der()).unwrap();
            let expected = |(year, month, day): (i32, u8, u8)| {
                days(u64::try_from(year).unwrap(), month.into(), day.into()).unwrap() * 86_400
            };
            assert_eq!((seconds(found.begins), seconds(found.ends)), (expected(begins), expected(ends)));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[0-9]{0,16}Z?") {
            let _ = Validity::of(&bytes);
            for tag in [UTC_TIME, GENERALIZED_TIME] {
                let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
                der.extend(text.bytes());
                let _ = time(&der);
            }
        }
    }
}
