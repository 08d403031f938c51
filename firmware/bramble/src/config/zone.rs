//! A time zone without rules.

use super::value::{Raw, SettingValue};
use bramble_collect::receivers::SyslogZone;

/// The zone of times that name none, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Zone(String);

impl Default for Zone {
    fn default() -> Self {
        Zone("local".to_owned())
    }
}

impl Zone {
    /// The zone.
    pub(crate) fn zone(&self) -> SyslogZone {
        self.0.parse().unwrap_or_default()
    }
}

impl SettingValue for Zone {
    const KIND: &'static str = "\"local\", \"UTC\" or an offset such as \"+01:00\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let Raw::Text(text) = raw else { return Err(super::value::wanted::<Self>(raw)) };
        text.parse::<SyslogZone>().map_err(|error| error.to_string())?;
        Ok(Zone(text.clone()))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}
