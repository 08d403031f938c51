//! Where a document is wrong, and how.

use std::borrow::Cow;
use std::fmt;

/// A document that is not what its format says. What was read before stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpositionError {
    /// Line, from 1; 0 for protobuf, which has none.
    pub line: u64,
    /// Byte within the line, from 1; 0 for protobuf.
    pub column: u64,
    /// Bytes from the start of the document.
    pub position: usize,
    /// What is wrong, without the place.
    pub message: Cow<'static, str>,
}

impl fmt::Display for ExpositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "byte {}: {}", self.position, self.message),
            line => write!(f, "line {line}, column {}: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for ExpositionError {}

impl From<crate::DecodeError> for ExpositionError {
    fn from(error: crate::DecodeError) -> Self {
        let message = error.message().to_owned().into();
        ExpositionError { line: 0, column: 0, position: error.position().unwrap_or(0), message }
    }
}
