//! Why a request as a whole is not taken.

use bramble_runtime::OverBudget;
use bramble_storage::WriteError;
use bramble_wire::compression::DecompressError;
use bramble_wire::{DecodeError, DecodeErrorKind};
use std::time::Duration;

/// What stopped a request. Nothing of it was stored. Each protocol has its own answer per kind.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Refusal {
    /// Body, decompressed body or batch over a limit: the same request never fits.
    TooLarge(String),
    /// Memory is short now; the same request may fit later.
    OverBudget(OverBudget),
    /// The write path cannot take it now.
    Write(WriteError),
    /// It comes faster than it may, with the protocol's text and when it may come again.
    TooFast(String, Duration),
    /// A content type that the protocol does not have.
    MediaType(String),
    /// A content encoding that the protocol does not have.
    Encoding(String),
    /// The body ended early, or is not what its encoding says.
    Corrupt(String),
    /// The body is not a message of the protocol.
    Malformed(DecodeError),
    /// The sender stopped in the middle of the body.
    Timeout,
}

/// What a refusal asks of the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Mend the request.
    Bad,
    /// Send less at once.
    TooLarge,
    /// Another content type or encoding.
    Unsupported,
    /// Come back after a while.
    Later(Duration),
}

impl Refusal {
    /// The label `reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Refusal::TooLarge(_) => "too_large",
            Refusal::OverBudget(_) => "over_budget",
            Refusal::Write(error) => error.reason(),
            Refusal::TooFast(..) => "rate_limited",
            Refusal::MediaType(_) => "content_type",
            Refusal::Encoding(_) => "content_encoding",
            Refusal::Corrupt(_) => "corrupt_body",
            Refusal::Malformed(error) => error.kind().as_str(),
            Refusal::Timeout => "timeout",
        }
    }

    /// What to ask of the sender.
    pub(crate) fn class(&self) -> Class {
        match self {
            Refusal::TooLarge(_) => Class::TooLarge,
            Refusal::OverBudget(_) => Class::Later(Duration::from_secs(2)),
            Refusal::Write(error) => Class::Later(error.retry_after()),
            Refusal::TooFast(_, after) => Class::Later(*after),
            Refusal::MediaType(_) | Refusal::Encoding(_) => Class::Unsupported,
            Refusal::Corrupt(_) | Refusal::Malformed(_) | Refusal::Timeout => Class::Bad,
        }
    }

    /// For the sender's log.
    pub(crate) fn message(&self) -> String {
        match self {
            Refusal::TooLarge(text) | Refusal::Corrupt(text) | Refusal::TooFast(text, _) => text.clone(),
            Refusal::MediaType(text) => format!("unsupported content type {text:?}"),
            Refusal::Encoding(text) => format!("unsupported content encoding {text:?}"),
            Refusal::OverBudget(error) => error.to_string(),
            Refusal::Write(error) => error.to_string(),
            Refusal::Malformed(error) => error.to_string(),
            Refusal::Timeout => "timed out waiting for the rest of the body".to_owned(),
        }
    }
}

impl From<OverBudget> for Refusal {
    fn from(error: OverBudget) -> Self {
        Refusal::OverBudget(error)
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        Refusal::Write(error)
    }
}

impl From<DecompressError> for Refusal {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge { .. } => Refusal::TooLarge(error.to_string()),
            DecompressError::Corrupt(_) => Refusal::Corrupt(error.to_string()),
            DecompressError::UnsupportedEncoding(name) => Refusal::Encoding(name),
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error.kind() {
            DecodeErrorKind::TooLarge => Refusal::TooLarge(error.to_string()),
            _ => Refusal::Malformed(error),
        }
    }
}

/// `Retry-After` in whole seconds, at least one.
pub(crate) fn retry_after_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0).max(u64::from(after.is_zero()))
}
