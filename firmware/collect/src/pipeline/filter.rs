//! Conditions on items, for dropping and keeping.

use super::config::FilterConfig;
use super::selector::Selector;
use bramble_signal::{LabelsRef, LogEntry, METRIC_NAME, Signal, SpanBatch, SpanEntry, SpanKind, StatusCode};
use regex::Regex;

/// Compiled conditions; all must hold.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    selector: Selector,
    name: Option<Regex>,
    line: Option<regex::bytes::Regex>,
    severity_below: Option<u8>,
    kind: Option<SpanKind>,
    status: Option<StatusCode>,
}

/// Metadata and labels that say how severe an entry is, the surest first.
const SEVERITY_NAMES: [&str; 5] = ["detected_level", "level", "severity_text", "severity", "lvl"];

const KINDS: [SpanKind; 6] = [
    SpanKind::Unspecified,
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

/// How severe a word is; `None` for other words.
fn severity(word: &str) -> Option<u8> {
    let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    let levels: [&[&str]; 6] = [
        &["trace"],
        &["debug", "dbg"],
        &["info", "information", "informational", "notice"],
        &["warn", "warning"],
        &["error", "err"],
        &["fatal", "critical", "crit", "alert", "emerg", "emergency", "panic"],
    ];
    levels.iter().position(|words| is(words)).map(|at| at as u8 + 1)
}

impl Filter {
    /// Compiles conditions for pipelines of some signals.
    ///
    /// # Errors
    /// The field and what is wrong with it; a condition that one of the signals cannot have.
    pub(super) fn compile(config: &FilterConfig, signals: &[Signal]) -> Result<Filter, String> {
        let at = |field: &str| {
            let field = field.to_owned();
            move |error: String| format!(".{field}: {error}")
        };
        let only = |field: &str, given: bool, of: &[Signal]| match signals.iter().find(|s| !of.contains(s)) {
            Some(other) if given => Err(format!(".{field}: {other} have none; name other signals for the pipeline")),
            _ => Ok(()),
        };
        only("name", config.name.is_some(), &[Signal::Metrics, Signal::Traces])?;
        only("line", config.line.is_some(), &[Signal::Logs])?;
        only("severity_below", config.severity_below.is_some(), &[Signal::Logs])?;
        only("kind", config.kind.is_some(), &[Signal::Traces])?;
        only("status", config.status.is_some(), &[Signal::Traces])?;
        let selector = Selector::parse(&config.matches).map_err(at("match"))?;
        let name = |pattern: &String| Regex::new(&format!("^(?s:{pattern})$")).map_err(|e| at("name")(e.to_string()));
        let line = |pattern: &String| regex::bytes::Regex::new(pattern).map_err(|e| at("line")(e.to_string()));
        let filter = Filter {
            selector,
            name: config.name.as_ref().map(name).transpose()?,
            line: config.line.as_ref().map(line).transpose()?,
            severity_below: known(&config.severity_below, severity).map_err(at("severity_below"))?,
            kind: known(&config.kind, |word| KINDS.into_iter().find(|k| k.as_str() == word)).map_err(at("kind"))?,
            status: known(&config.status, |word| {
                [StatusCode::Unset, StatusCode::Ok, StatusCode::Error].into_iter().find(|s| s.as_str() == word)
            })
            .map_err(at("status"))?,
        };
        if filter.is_empty() {
            return Err(": a condition is needed: match, name, line, severity_below, kind or status".to_owned());
        }
        Ok(filter)
    }

    fn is_empty(&self) -> bool {
        let of_spans = self.kind.is_none() && self.status.is_none();
        let of_logs = self.line.is_none() && self.severity_below.is_none();
        self.selector.is_everything() && self.name.is_none() && of_spans && of_logs
    }

    /// Whether a series meets the conditions.
    pub(super) fn meets_series(&self, labels: LabelsRef<'_>) -> bool {
        self.named(labels.get(METRIC_NAME).unwrap_or("")) && self.selector.matches_labels(labels)
    }

    /// Whether an entry meets the conditions.
    pub(super) fn meets_entry(&self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        (self.selector.is_everything() || self.selector.matches_entry(labels, entry.metadata))
            && self.severity_below.is_none_or(|bound| severity_of(labels, entry.metadata).is_some_and(|s| s < bound))
            && self.line.as_ref().is_none_or(|line| line.is_match(entry.line))
    }

    /// Whether a span meets the conditions.
    pub(super) fn meets_span(&self, batch: &SpanBatch, span: &SpanEntry) -> bool {
        self.kind.is_none_or(|kind| span.kind == kind)
            && self.status.is_none_or(|status| span.status == status)
            && self.named(batch.text(span.name))
            && self.selector.matches_span(batch, span)
    }

    fn named(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|wanted| wanted.is_match(name))
    }
}

fn known<T>(word: &Option<String>, of: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    let Some(word) = word else { return Ok(None) };
    of(word).map(Some).ok_or_else(|| format!("{word:?} is none of the known words"))
}

fn severity_of(labels: LabelsRef<'_>, metadata: LabelsRef<'_>) -> Option<u8> {
    SEVERITY_NAMES.iter().find_map(|name| metadata.get(name).or_else(|| labels.get(name)).and_then(severity))
}
