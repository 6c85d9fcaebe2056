//! Keeps what travels in headers small.
//!
//! Message and details of a status are HTTP/2 trailers: the message percent-encoded, the details (with the message in
//! them once more) in base64. Clients refuse large header lists, the strictest common one (grpc-java) above 8 KiB, and
//! then show no status at all.

/// Bytes of the message once percent-encoded.
const MESSAGE: usize = 1536;
/// Bytes of all items of a detail.
const LIST: usize = 2560;
/// Items of a detail.
const ITEMS: usize = 50;
/// Bytes of the description of one item.
const ITEM: usize = 400;
/// Bytes of a field path or of a name.
const FIELD: usize = 300;
/// Bytes that protobuf adds to an item: tags and lengths.
const OVERHEAD: usize = 10;

/// A message that fits, with an ellipsis where it was cut.
pub(super) fn text(text: &str) -> String {
    // Space and anything but printable ASCII takes three bytes for each.
    let encoded = |c: char| if c.is_ascii_graphic() { 1 } else { 3 * c.len_utf8() };
    cut(text, MESSAGE, encoded)
}

/// The description of an item.
pub(super) fn item(text: &str) -> String {
    cut(text, ITEM, char::len_utf8)
}

/// A field path or a name.
pub(super) fn field(text: &str) -> String {
    cut(text, FIELD, char::len_utf8)
}

/// The first items, as many as fit, and one that says how many more there are.
pub(super) fn list<T>(items: impl Iterator<Item = T>, size: impl Fn(&T) -> usize, rest: impl Fn(usize) -> T) -> Vec<T> {
    let (mut kept, mut bytes, mut more) = (Vec::new(), 0, 0);
    for item in items {
        bytes += size(&item) + OVERHEAD;
        if more == 0 && kept.len() < ITEMS && bytes <= LIST {
            kept.push(item);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        kept.push(rest(more));
    }
    kept
}

fn cut(text: &str, most: usize, size: impl Fn(char) -> usize) -> String {
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, character)| {
        bytes += size(*character);
        bytes > most
    });
    match end {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
