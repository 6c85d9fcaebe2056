//! Natural order of names: `net2` before `net10`.

use std::cmp::Ordering;

/// Compares digits as numbers and everything else as bytes.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_a, rest_a) = digits(a);
            let (number_b, rest_b) = digits(b);
            (a, b) = (rest_a, rest_b);
            number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            x.cmp(y)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Splits leading digits, without their zeroes, from the rest.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let zeroes = text[..end].iter().position(|c| *c != b'0').unwrap_or(end);
    (&text[zeroes..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = ["net10", "eth0", "net2", "net1", "ge-0.0.10", "ge-0.0.9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["eth0", "ge-0.0.9", "ge-0.0.10", "net1", "net2", "net10"]);
    }
}
