//! Whether logs may be deleted over HTTP.

use super::value::{Raw, SettingValue, wanted};

/// What becomes of requests to delete logs; Loki's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletionMode {
    /// Entries are hidden at once and removed later.
    FilterAndDelete,
    /// They are refused.
    Disabled,
}

impl SettingValue for DeletionMode {
    const KIND: &'static str = "\"filter-and-delete\" or \"disabled\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(t) if t == "filter-and-delete" => Ok(DeletionMode::FilterAndDelete),
            Raw::Text(t) if t == "disabled" => Ok(DeletionMode::Disabled),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        match self {
            DeletionMode::FilterAndDelete => "\"filter-and-delete\"".to_owned(),
            DeletionMode::Disabled => "\"disabled\"".to_owned(),
        }
    }
}
