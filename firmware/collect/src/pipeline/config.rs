//! `[[pipeline]]` of bramble.toml, as it is written.
//!
//! ```toml
//! [[pipeline]]
//! name = "web"
//! signals = ["traces"]
//! match = '{service.name="web"}'
//! steps = [
//!   { enrich = { attributes = { "deployment.environment" = "prod" }, detect = ["host"] } },
//!   { attributes = [{ action = "delete", key = "http.request.header.cookie" }] },
//!   { drop = { match = '{http.route="/health"}' } },
//! ]
//! ```

use super::logs::StageConfig;
use crate::relabel::RelabelConfig;
use bramble_signal::Signal;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One pipeline: what it is for, and its steps in order.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// Its name, in metrics and messages; unique.
    pub name: String,
    /// What it takes: `logs`, `metrics`, `traces`; all when left out.
    #[serde(default)]
    pub signals: Vec<SignalName>,
    /// Selector over who sends: labels of streams and series, attributes of resources; everything when left out.
    #[serde(default, rename = "match")]
    pub matches: String,
    /// What is done, in order.
    #[serde(default)]
    pub steps: Vec<StepConfig>,
}

/// A signal by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalName {
    /// Log entries.
    Logs,
    /// Samples.
    Metrics,
    /// Spans.
    Traces,
}

impl SignalName {
    /// The signal.
    pub fn signal(self) -> Signal {
        match self {
            SignalName::Logs => Signal::Logs,
            SignalName::Metrics => Signal::Metrics,
            SignalName::Traces => Signal::Traces,
        }
    }
}

/// One step.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepConfig {
    /// Refuses, to be sent again later, while memory is short.
    MemoryLimiter(LimiterConfig),
    /// Adds what is known of the place to resources, streams and series.
    Enrich(EnrichConfig),
    /// Changes attributes, labels and metadata.
    Attributes(Vec<ActionConfig>),
    /// Drops items that match.
    Drop(FilterConfig),
    /// Drops items that do not match.
    Keep(FilterConfig),
    /// Relabels series and streams, as Prometheus does.
    Relabel(Vec<RelabelConfig>),
    /// Runs log lines through Promtail's stages.
    Stages(Vec<StageConfig>),
    /// Gathers requests into larger batches, behind all pipelines.
    Batch(BatchConfig),
}

impl StepConfig {
    /// The word it is declared with.
    pub fn word(&self) -> &'static str {
        match self {
            StepConfig::MemoryLimiter(_) => "memory_limiter",
            StepConfig::Enrich(_) => "enrich",
            StepConfig::Attributes(_) => "attributes",
            StepConfig::Drop(_) => "drop",
            StepConfig::Keep(_) => "keep",
            StepConfig::Relabel(_) => "relabel",
            StepConfig::Stages(_) => "stages",
            StepConfig::Batch(_) => "batch",
        }
    }
}

/// How much is gathered, as the Collector's batch processor has it.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// So many items go on at once; 8192 when left out.
    pub send_batch_size: Option<usize>,
    /// Most items of a batch; a larger request goes on in parts. 0 for no bound.
    pub send_batch_max_size: usize,
    /// How long the first request waits for others: `200ms` when left out, at most `5s`. `0s` gathers nothing.
    pub timeout: Option<String>,
}

/// When a batch is refused.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimiterConfig {
    /// Share of the budget `receive`, above 0 up to 1, from which on batches of these signals are refused.
    pub share: f64,
}

/// What is added.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrichConfig {
    /// Given attributes, such as `deployment.environment`; labels of streams and series get `_` for what is no letter.
    pub attributes: BTreeMap<String, String>,
    /// What is found out at start; given ones win.
    pub detect: Vec<Detector>,
    /// Whether what a sender says of itself is replaced; by default it is kept.
    pub replace: bool,
}

/// Where attributes are found out from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// `host.name`: the kernel's name of this machine.
    Host,
    /// `k8s.cluster.name`, `k8s.node.name`: from `K8S_CLUSTER_NAME` and `K8S_NODE_NAME` (the Downward API). Bramble's own pod
    /// and namespace say nothing of a sender's and are not added.
    Kubernetes,
    /// Whatever `OTEL_RESOURCE_ATTRIBUTES` lists.
    Env,
}

/// Which fields an action changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Of who sends: attributes of a resource, labels of a stream or series.
    #[serde(alias = "labels")]
    Resource,
    /// Of the item: attributes of a span, metadata of an entry; a series has labels only.
    #[default]
    #[serde(alias = "span", alias = "metadata")]
    Item,
}

/// What an action does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Sets a field that is absent.
    Insert,
    /// Sets a field that is there.
    Update,
    /// Sets a field.
    Upsert,
    /// Takes fields out.
    Delete,
    /// Puts the SHA-256 of values in their place.
    Hash,
    /// Sets fields from the named groups of a pattern.
    Extract,
    /// Gives a span's attribute another type.
    Convert,
}

impl ActionKind {
    /// The word it is declared with.
    pub fn as_str(self) -> &'static str {
        match self {
            ActionKind::Insert => "insert",
            ActionKind::Update => "update",
            ActionKind::Upsert => "upsert",
            ActionKind::Delete => "delete",
            ActionKind::Hash => "hash",
            ActionKind::Extract => "extract",
            ActionKind::Convert => "convert",
        }
    }
}

/// A type of attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvertTo {
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// A text.
    String,
    /// True or false.
    Bool,
}

/// A value as TOML has it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(String),
}

/// One action.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionConfig {
    /// What is done.
    pub action: ActionKind,
    /// Which fields: `item` (default), or `resource`.
    #[serde(default)]
    pub on: Place,
    /// The field's name.
    #[serde(default)]
    pub key: String,
    /// The value to set.
    #[serde(default)]
    pub value: Option<FieldValue>,
    /// The field whose value is set.
    #[serde(default)]
    pub from_attribute: Option<String>,
    /// Regular expression: of names instead of `key` (delete, hash), or of the value with named groups (extract).
    #[serde(default)]
    pub pattern: Option<String>,
    /// What `convert` converts to.
    #[serde(default)]
    pub converted_type: Option<ConvertTo>,
}

/// Which items are dropped or kept: all that is given must hold.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// Selector over labels and metadata, or over attributes of span and resource.
    #[serde(rename = "match")]
    pub matches: String,
    /// Regular expression of the whole name of a metric or span.
    pub name: Option<String>,
    /// Regular expression found anywhere in a log line.
    pub line: Option<String>,
    /// Log entries less severe than this: `trace`, `debug`, `info`, `warn`, `error`, `fatal`. Entries that do not say are not.
    pub severity_below: Option<String>,
    /// Kind of a span: `server`, `client`, `internal`, `producer`, `consumer`.
    pub kind: Option<String>,
    /// Status of a span: `ok`, `error`, `unset`.
    pub status: Option<String>,
    /// The word for it in `bramble_pipeline_dropped_total{reason}`; `drop` or `keep` when left out.
    pub reason: Option<String>,
}
