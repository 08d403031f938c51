//! On, off, or as the machine is.

use super::value::{Raw, SettingValue, wanted};

/// Whether something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    /// Where the machine has what it needs.
    #[default]
    Auto,
    /// In any case; what is missing is told.
    On,
    /// Never.
    Off,
}

impl SettingValue for When {
    const KIND: &'static str = "\"auto\", \"on\" or \"off\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text == "auto" => Ok(When::Auto),
            Raw::Text(text) if matches!(text.as_str(), "on" | "true") => Ok(When::On),
            Raw::Text(text) if matches!(text.as_str(), "off" | "false") => Ok(When::Off),
            Raw::Bool(on) => Ok(if *on { When::On } else { When::Off }),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        match self {
            When::Auto => "\"auto\"",
            When::On => "\"on\"",
            When::Off => "\"off\"",
        }
        .to_owned()
    }
}
