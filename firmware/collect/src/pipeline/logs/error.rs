//! Why a pipeline cannot be compiled.

use std::fmt;

/// A stage that cannot be compiled: where it stands and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageError {
    /// Its place, from the outermost list: `pipeline_stages[2].match.stages[0]`.
    pub path: String,
    /// The stage's name.
    pub stage: &'static str,
    /// The field, if it is one that is wrong.
    pub field: Option<&'static str>,
    /// What is wrong, ending in the value at fault.
    pub reason: String,
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.path, self.stage)?;
        if let Some(field) = self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for StageError {}

/// What is wrong in a stage, before its place is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) field: Option<&'static str>,
    pub(super) reason: String,
    /// The place inside, if the fault is in a nested stage.
    pub(super) nested: Option<Box<StageError>>,
}

impl Fault {
    pub(super) fn of(field: &'static str, reason: impl Into<String>) -> Self {
        Fault { field: Some(field), reason: reason.into(), nested: None }
    }

    pub(super) fn whole(reason: impl Into<String>) -> Self {
        Fault { field: None, reason: reason.into(), nested: None }
    }
}
