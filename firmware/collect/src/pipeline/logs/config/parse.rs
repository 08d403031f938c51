//! Stages that read values out of a line.

use super::OneOrMany;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `json`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonConfig {
    /// Value name → path (JMESPath: names, quoted names, indexes); without one the path is the name.
    #[serde(default)]
    pub expressions: BTreeMap<String, Option<String>>,
    /// Value to read instead of the line.
    pub source: Option<String>,
    /// Whether a line that is not JSON goes.
    #[serde(default)]
    pub drop_malformed: bool,
}

/// `logfmt`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogfmtConfig {
    /// Value name → key; without one the key is the name.
    #[serde(default)]
    pub mapping: BTreeMap<String, Option<String>>,
    /// Value to read instead of the line.
    pub source: Option<String>,
}

/// `regex`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegexConfig {
    /// RE2 with named groups.
    pub expression: String,
    /// Value to read instead of the line.
    pub source: Option<String>,
    /// Whether the groups become labels at once.
    #[serde(default)]
    pub labels_from_groups: bool,
}

/// `pattern`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternConfig {
    /// LogQL pattern with `<name>` captures.
    #[serde(alias = "expression")]
    pub pattern: String,
    /// Value to read instead of the line.
    pub source: Option<String>,
    /// Whether the captures become labels at once.
    #[serde(default)]
    pub labels_from_groups: bool,
}

/// What becomes of an entry whose time cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The last time that could be read in its stream, and a nanosecond.
    #[default]
    Fudge,
    /// The time when the line was read.
    Skip,
}

/// `timestamp`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampConfig {
    /// The value that is a time.
    pub source: String,
    /// A Go layout, or the name of one: `RFC3339Nano`, `Unix`, `UnixMs`, …
    pub format: String,
    /// Tried in turn when `format` does not fit.
    #[serde(default)]
    pub fallback_formats: Vec<String>,
    /// IANA zone of times that name none.
    pub location: Option<String>,
    /// See [`OnFailure`].
    #[serde(default)]
    pub action_on_failure: OnFailure,
}

/// `cri`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriConfig {
    /// Streams whose partial lines are held at a time.
    pub max_partial_lines: Option<usize>,
    /// Longest joined line, bytes; 0 for the default.
    #[serde(default)]
    pub max_partial_line_size: u64,
    /// Whether what is longer is cut rather than passed on in pieces.
    #[serde(default)]
    pub max_partial_line_size_truncate: bool,
}

/// Names of sources: one, or several.
pub(in super::super) fn names(given: Option<&OneOrMany>) -> Vec<String> {
    match given {
        None => Vec::new(),
        Some(OneOrMany::One(name)) => vec![name.clone()],
        Some(OneOrMany::Many(names)) => names.clone(),
    }
}
