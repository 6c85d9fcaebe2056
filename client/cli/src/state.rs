//! Words for what the agent says in enums and times.

use std::time::{Duration, SystemTime};

use podwire_proto::v1;

/// `READY`, `PENDING`, … Empty where the agent did not say.
pub(crate) fn word(state: i32) -> String {
    match v1::State::try_from(state) {
        Ok(v1::State::Unspecified) => String::new(),
        Ok(state) => state.as_str_name().trim_start_matches("STATE_").to_owned(),
        Err(_) => format!("state {state}"),
    }
}

/// Who owns a topology.
pub(crate) fn owner(owner: i32) -> &'static str {
    match v1::Owner::try_from(owner) {
        Ok(v1::Owner::Apply) => "apply",
        Ok(v1::Owner::Calls) => "calls",
        Ok(v1::Owner::Unspecified) | Err(_) => "",
    }
}

/// How long ago a moment was, in one or two units: `3s`, `4m 10s`, `2h 5m`, `3d 2h`.
pub(crate) fn ago(moment: Option<&prost_types::Timestamp>) -> Option<String> {
    let then = SystemTime::try_from(*moment?).ok()?;
    Some(span(SystemTime::now().duration_since(then).unwrap_or_default()))
}

/// How long it is until a moment.
pub(crate) fn until(moment: Option<&prost_types::Timestamp>) -> Option<String> {
    let then = SystemTime::try_from(*moment?).ok()?;
    Some(span(then.duration_since(SystemTime::now()).unwrap_or_default()))
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{span, word};

    #[test]
    fn states_and_spans_are_short_words() {
        assert_eq!(word(2), "READY");
        assert_eq!(word(0), "");
        assert_eq!(word(99), "state 99");
        assert_eq!(span(Duration::from_secs(59)), "59s");
        assert_eq!(span(Duration::from_secs(250)), "4m 10s");
        assert_eq!(span(Duration::from_secs(7500)), "2h 5m");
        assert_eq!(span(Duration::from_secs(266_400)), "3d 2h");
    }
}
