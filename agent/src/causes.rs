//! What an error says with all its causes.

use std::{error::Error, iter::from_fn};

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

/// The causes of an error, the nearest first, without the error itself.
pub fn causes<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = error.source();
    from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
