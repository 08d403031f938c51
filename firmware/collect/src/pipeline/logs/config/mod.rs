//! The stages as they are written: Promtail's `pipeline_stages`, a list of maps with one key each, in YAML or TOML.
//!
//! Names, fields and defaults are those of Promtail's documentation; where Alloy's `loki.process` has more, that is taken
//! too. What is refused when a pipeline is compiled can still be read here, so that the refusal can name its place.

mod jobs;
mod parse;
mod shape;

pub use jobs::stages_of_jobs;
pub(super) use parse::names;
pub use parse::{CriConfig, JsonConfig, LogfmtConfig, OnFailure, PatternConfig, RegexConfig, TimestampConfig};
pub use shape::{
    DropConfig, LabelsFrom, LimitConfig, MatchAction, MatchConfig, MetricAction, MetricConfig, MetricDetails,
    MetricType, MultilineConfig, OneOrMany, OutputConfig, PackConfig, ReplaceConfig, SamplingConfig, TemplateConfig,
    TenantConfig,
};

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// One stage. The variant is the key of its map.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageConfig {
    /// Values out of a JSON line.
    Json(JsonConfig),
    /// Values out of a logfmt line.
    Logfmt(LogfmtConfig),
    /// Values by the named groups of a regular expression.
    Regex(RegexConfig),
    /// Values by a LogQL pattern.
    Pattern(PatternConfig),
    /// The time of the entry out of a value.
    Timestamp(TimestampConfig),
    /// Values become labels.
    Labels(LabelsFrom),
    /// Values become structured metadata.
    StructuredMetadata(LabelsFrom),
    /// Labels go.
    Labeldrop(Vec<String>),
    /// All labels but these go.
    Labelallow(Vec<String>),
    /// Labels that are always the same.
    StaticLabels(BTreeMap<String, Option<String>>),
    /// Lines go.
    Drop(DropConfig),
    /// Lines beyond a rate go, or wait.
    Limit(LimitConfig),
    /// Lines become one entry.
    Multiline(MultilineConfig),
    /// Labels and line become one JSON line.
    Pack(Option<PackConfig>),
    /// A value by a Go template.
    Template(TemplateConfig),
    /// The line is a value.
    Output(OutputConfig),
    /// Parts of the line or a value are replaced.
    Replace(ReplaceConfig),
    /// Stages for some streams.
    Match(MatchConfig),
    /// Lines of a CRI runtime.
    Cri(Option<CriConfig>),
    /// Lines of Docker's json-file driver.
    Docker(Option<BTreeMap<String, String>>),
    /// The tenant.
    Tenant(TenantConfig),
    /// A share of the lines.
    Sampling(SamplingConfig),
    /// Series out of lines.
    Metrics(BTreeMap<String, MetricConfig>),
    /// Colours of a terminal go.
    Decolorize(Option<BTreeMap<String, String>>),
    /// Not served.
    Eventlogmessage(IgnoredAny),
    /// Not served.
    Windowsevent(IgnoredAny),
    /// Not served.
    Geoip(IgnoredAny),
    /// Not served.
    Luhn(IgnoredAny),
    /// Not served.
    Truncate(IgnoredAny),
    /// Not served.
    StructuredMetadataDrop(IgnoredAny),
}

impl StageConfig {
    /// The key of its map.
    pub fn name(&self) -> &'static str {
        match self {
            StageConfig::Json(_) => "json",
            StageConfig::Logfmt(_) => "logfmt",
            StageConfig::Regex(_) => "regex",
            StageConfig::Pattern(_) => "pattern",
            StageConfig::Timestamp(_) => "timestamp",
            StageConfig::Labels(_) => "labels",
            StageConfig::StructuredMetadata(_) => "structured_metadata",
            StageConfig::Labeldrop(_) => "labeldrop",
            StageConfig::Labelallow(_) => "labelallow",
            StageConfig::StaticLabels(_) => "static_labels",
            StageConfig::Drop(_) => "drop",
            StageConfig::Limit(_) => "limit",
            StageConfig::Multiline(_) => "multiline",
            StageConfig::Pack(_) => "pack",
            StageConfig::Template(_) => "template",
            StageConfig::Output(_) => "output",
            StageConfig::Replace(_) => "replace",
            StageConfig::Match(_) => "match",
            StageConfig::Cri(_) => "cri",
            StageConfig::Docker(_) => "docker",
            StageConfig::Tenant(_) => "tenant",
            StageConfig::Sampling(_) => "sampling",
            StageConfig::Metrics(_) => "metrics",
            StageConfig::Decolorize(_) => "decolorize",
            StageConfig::Eventlogmessage(_) => "eventlogmessage",
            StageConfig::Windowsevent(_) => "windowsevent",
            StageConfig::Geoip(_) => "geoip",
            StageConfig::Luhn(_) => "luhn",
            StageConfig::Truncate(_) => "truncate",
            StageConfig::StructuredMetadataDrop(_) => "structured_metadata_drop",
        }
    }

    /// Why it is not served, and what to use instead; `None` for those that are.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            StageConfig::Eventlogmessage(_) | StageConfig::Windowsevent(_) => {
                Some("not served: it reads Windows events, which Bramble does not collect")
            }
            StageConfig::Geoip(_) => {
                Some("not served: it needs MaxMind's database; look addresses up where the logs are read")
            }
            StageConfig::Luhn(_) => Some(
                "not served: card numbers are redacted anyway (redaction, kind credit_card); remove the stage to start",
            ),
            StageConfig::Truncate(_) => Some("not served: the longest line is a setting of the source"),
            StageConfig::StructuredMetadataDrop(_) => {
                Some("not served: leave the names out of structured_metadata instead")
            }
            _ => None,
        }
    }
}
