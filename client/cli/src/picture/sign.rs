//! States and cables as signs that need no colour: a symbol, a word, a kind of line.

use podwire_proto::v1;

/// The state of what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    /// The agent did not say.
    Unknown,
    Ready,
    Pending,
    Degraded,
    Failed,
}

/// The cable at an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cable {
    Carrier,
    NoCarrier,
    /// On purpose.
    Pulled,
    /// The interface is not there.
    Missing,
}

impl Sign {
    /// All that the agent says.
    pub(super) const SAID: [Self; 4] = [Self::Ready, Self::Pending, Self::Degraded, Self::Failed];

    /// The sign for a state on the wire.
    pub(super) fn of(state: i32) -> Self {
        match v1::State::try_from(state) {
            Ok(v1::State::Ready) => Self::Ready,
            Ok(v1::State::Pending) => Self::Pending,
            Ok(v1::State::Degraded) => Self::Degraded,
            Ok(v1::State::Failed) => Self::Failed,
            Ok(v1::State::Unspecified) | Err(_) => Self::Unknown,
        }
    }

    /// A shape of its own for each.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Ready => "●",
            Self::Pending => "○",
            Self::Degraded => "▲",
            Self::Failed => "✕",
        }
    }

    /// The word of the contract.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Ready => "READY",
            Self::Pending => "PENDING",
            Self::Degraded => "DEGRADED",
            Self::Failed => "FAILED",
        }
    }

    /// Its name in style sheets.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ready => "ready",
            Self::Pending => "pending",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl Cable {
    /// What is seen of it.
    pub(super) fn of(status: Option<&v1::InterfaceStatus>, pulled: bool) -> Self {
        match status {
            _ if pulled => Self::Pulled,
            None => Self::Carrier,
            Some(status) if status.index == 0 => Self::Missing,
            Some(status) if status.carrier => Self::Carrier,
            Some(_) => Self::NoCarrier,
        }
    }

    /// Empty where there is nothing to say.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Carrier | Self::Missing => "",
            Self::NoCarrier => "no carrier",
            Self::Pulled => "cable pulled",
        }
    }

    /// Its name in style sheets.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::NoCarrier => "no-carrier",
            Self::Pulled => "pulled",
            Self::Missing => "missing",
        }
    }
}
