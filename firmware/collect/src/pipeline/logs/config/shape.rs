//! Stages that change, drop, join or count entries.

use super::StageConfig;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `labels`, `structured_metadata`: name → value's name; without one they are the same.
pub type LabelsFrom = BTreeMap<String, Option<String>>;

/// One name or a list of names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// `drop`: an entry goes when all that is given applies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropConfig {
    /// Values looked at, joined by `separator`; the line if not given.
    pub source: Option<OneOrMany>,
    /// Between several values; `;` if not given.
    pub separator: Option<String>,
    /// The value is exactly this.
    pub value: Option<String>,
    /// The value matches.
    pub expression: Option<String>,
    /// The entry's time is further back than this (`24h`).
    pub older_than: Option<String>,
    /// The line is longer than this (`8kb`).
    pub longer_than: Option<String>,
    /// Reason it is counted under; `drop_stage` if not given.
    pub drop_counter_reason: Option<String>,
}

/// `limit`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Lines a second.
    pub rate: f64,
    /// Lines at once.
    pub burst: u32,
    /// Whether lines beyond go, rather than the source waiting.
    #[serde(default)]
    pub drop: bool,
    /// Label with one limit per value.
    pub by_label_name: Option<String>,
    /// Values of that label with a limit of their own at a time.
    pub max_distinct_labels: Option<usize>,
    /// Reason dropped lines are counted under; `limit` if not given.
    pub drop_counter_reason: Option<String>,
}

/// `multiline`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultilineConfig {
    /// Matches the first line of an entry.
    pub firstline: String,
    /// How long to wait for another line; `3s` if not given.
    pub max_wait_time: Option<String>,
    /// Lines an entry may have; 128 if not given.
    pub max_lines: Option<usize>,
    /// Whether line breaks go.
    #[serde(default)]
    pub trim_newlines: Option<bool>,
}

/// `pack`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackConfig {
    /// Labels and values that go into the line.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Whether the entry gets the time it is packed at; true if not given.
    pub ingest_timestamp: Option<bool>,
}

/// `template`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// Value that is set.
    pub source: String,
    /// Go template over `.Value`, `.Entry` and all values.
    pub template: String,
}

/// `output`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// Value that becomes the line.
    pub source: String,
}

/// `replace`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceConfig {
    /// RE2; its groups are what is replaced.
    pub expression: String,
    /// Value to change instead of the line.
    pub source: Option<String>,
    /// Go template over `.Value`, the group's text.
    #[serde(default)]
    pub replace: String,
}

/// What becomes of entries that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchAction {
    /// They pass the nested stages.
    #[default]
    Keep,
    /// They go.
    Drop,
}

/// `match`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchConfig {
    /// LogQL selector, perhaps with filters.
    pub selector: String,
    /// Name of the nested pipeline in counters.
    pub pipeline_name: Option<String>,
    /// See [`MatchAction`].
    #[serde(default)]
    pub action: MatchAction,
    /// Reason dropped lines are counted under; `match_stage` if not given.
    pub drop_counter_reason: Option<String>,
    /// The nested stages.
    #[serde(default)]
    pub stages: Vec<StageConfig>,
}

/// `tenant`: one of the three.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Label whose value it is.
    pub label: Option<String>,
    /// Value it is.
    pub source: Option<String>,
    /// It itself.
    pub value: Option<String>,
}

/// `sampling`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingConfig {
    /// Share that is kept, 0 to 1.
    pub rate: f64,
    /// Reason dropped lines are counted under; `sampling_stage` if not given.
    pub drop_counter_reason: Option<String>,
}

/// Kinds of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Prometheus' own names")]
pub enum MetricType {
    #[serde(alias = "Counter")]
    Counter,
    #[serde(alias = "Gauge")]
    Gauge,
    #[serde(alias = "Histogram")]
    Histogram,
}

/// What is done to a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Promtail's own names")]
pub enum MetricAction {
    Inc,
    Dec,
    Set,
    Add,
    Sub,
}

/// `metrics`, one of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricConfig {
    /// Kind.
    #[serde(rename = "type")]
    pub kind: MetricType,
    /// Help text.
    #[serde(default)]
    pub description: String,
    /// Before the name; `promtail_custom_` if not given.
    pub prefix: Option<String>,
    /// Value that is counted; the metric's name if not given.
    pub source: Option<OneOrMany>,
    /// A series goes after so long without a line; `5m` if not given.
    pub max_idle_duration: Option<String>,
    /// Details.
    pub config: Option<MetricDetails>,
}

/// `metrics`, details of one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricDetails {
    /// Only lines whose value is this.
    pub value: Option<String>,
    /// See [`MetricAction`].
    pub action: Option<MetricAction>,
    /// Every line counts.
    #[serde(default)]
    pub match_all: Option<bool>,
    /// The line's bytes are added.
    #[serde(default)]
    pub count_entry_bytes: Option<bool>,
    /// Upper bounds of a histogram, ascending.
    #[serde(default)]
    pub buckets: Vec<f64>,
}
