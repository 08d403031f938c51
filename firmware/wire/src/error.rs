//! Why a body could not be decoded at all.

use std::borrow::Cow;
use std::fmt;

/// What kind of damage; callers branch on it and use it as a metric's label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DecodeErrorKind {
    /// The body ends inside a field.
    Truncated,
    /// Not the wire format, or not this message.
    Malformed,
    /// Text that is not UTF-8 where the format demands it.
    Utf8,
    /// Not JSON, or JSON of another shape.
    Json,
    /// Attributes nested deeper than [`DEPTH_MAX`](bramble_signal::attributes::DEPTH_MAX).
    TooDeep,
    /// Decoding would need more than [`Limits::batch_bytes_max`](crate::Limits::batch_bytes_max).
    TooLarge,
    /// A label text that does not parse.
    Labels,
    /// A push request without any stream.
    NoStreams,
}

impl DecodeErrorKind {
    /// A short name for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DecodeErrorKind::Truncated => "truncated",
            DecodeErrorKind::Malformed => "malformed",
            DecodeErrorKind::Utf8 => "invalid_utf8",
            DecodeErrorKind::Json => "invalid_json",
            DecodeErrorKind::TooDeep => "too_deep",
            DecodeErrorKind::TooLarge => "too_large",
            DecodeErrorKind::Labels => "invalid_labels",
            DecodeErrorKind::NoStreams => "missing_streams",
        }
    }
}

/// A body that could not be decoded. Nothing of the request was kept.
///
/// Retrying the same bytes can not help, except for [`DecodeErrorKind::TooLarge`] in smaller pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    message: Cow<'static, str>,
    position: Option<usize>,
    place: Option<(usize, usize)>,
}

impl DecodeError {
    /// An error at byte `position` of the body.
    pub fn new(kind: DecodeErrorKind, message: impl Into<Cow<'static, str>>, position: usize) -> Self {
        DecodeError { kind, message: message.into(), position: Some(position), place: None }
    }

    /// The kind of damage.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// What is wrong, without the position.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where, in bytes from the start of the decompressed body, when it is known.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    /// Line and column, from 1, of an error in a body that is text.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// The same error with the line and the column of its position in `body`.
    pub(crate) fn placed(mut self, body: &[u8]) -> Self {
        let before = body.get(..self.position.unwrap_or(0)).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        self.place = Some((memchr::memchr_iter(b'\n', before).count() + 1, before.len() - line_start + 1));
        self
    }

    /// The same error without a position, for bytes that the sender has never seen.
    pub(crate) fn without_position(mut self) -> Self {
        self.position = None;
        self.place = None;
        self
    }

    /// An error of the JSON reader, its line and column turned into a position in `body`.
    pub(crate) fn json(error: &serde_json::Error, body: &[u8]) -> Self {
        let lines_before = error.line().saturating_sub(1);
        let line_start = match lines_before {
            0 => 0,
            n => memchr::memchr_iter(b'\n', body).nth(n - 1).map_or(0, |at| at + 1),
        };
        let position = (line_start + error.column().saturating_sub(1)).min(body.len());
        let place = Some((error.line(), error.column()));
        DecodeError { kind: DecodeErrorKind::Json, message: error.to_string().into(), position: Some(position), place }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "byte {position}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why one item is left out while its request goes on.
#[derive(Debug)]
pub(crate) enum ItemError {
    /// Leave this item out.
    Reject(crate::RejectReason),
    /// Give up the request.
    Fatal(DecodeError),
}

impl ItemError {
    /// The same without a position, for items whose place nobody has counted.
    pub(crate) fn without_position(self) -> Self {
        match self {
            ItemError::Fatal(error) => ItemError::Fatal(error.without_position()),
            reject => reject,
        }
    }
}

impl From<DecodeError> for ItemError {
    /// Text that is not UTF-8 spoils one item; any other damage spoils what follows as well.
    fn from(error: DecodeError) -> Self {
        match error.kind {
            DecodeErrorKind::Utf8 => ItemError::Reject(crate::RejectReason::InvalidUtf8),
            _ => ItemError::Fatal(error),
        }
    }
}

impl From<crate::RejectReason> for ItemError {
    fn from(reason: crate::RejectReason) -> Self {
        ItemError::Reject(reason)
    }
}
