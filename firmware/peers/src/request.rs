//! What one hub asks another: JSON, one object with the kind of question in `ask`. Fields: docs/formats.md, "Between hubs".

use crate::forms::{Line, Predicate, Test, Wanted};
use bramble_signal::TraceId;
use bramble_storage::{AttributeScope, Direction, LogSelect, Mention, MetricSelect, SpanFields, SpanScan};
use serde::{Deserialize, Serialize};

/// Longest request, bytes.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Question {
    /// Series with their samples.
    Samples(Metrics),
    /// Label sets of series.
    Series(Metrics),
    /// Names of labels.
    LabelNames(Metrics),
    /// Values of a label; at most `limit`, if there is one.
    LabelValues { name: String, limit: Option<usize>, of: Metrics },
    /// Type, unit and help of metric families.
    Metadata,
    /// Exemplars of series.
    Exemplars(Metrics),
    /// Log entries in order.
    Entries(Logs),
    /// What entries make, stretch by stretch ([`crate::digest`]).
    Digests { of: Logs, width_ns: i64 },
    /// Label sets of streams.
    Streams(Logs),
    /// What is stored of streams, per step.
    Totals { of: Logs, step_ns: i64 },
    /// Templates of lines.
    Templates { of: Logs, step_ns: i64, most: usize },
    /// Those of these traces of which other spans are known here.
    Traces { traces: Vec<KnownTrace>, fields: Fields },
    /// Ids of traces that have a wanted span.
    TraceIds(Spans),
    /// Wanted spans.
    Spans(Spans),
    /// What they make, stretch by stretch ([`crate::digest`]).
    SpanDigests { of: Spans, width_ns: u64 },
    /// Names of services.
    Services { start_ns: u64, end_ns: u64 },
    /// Names and kinds of a service's operations.
    Operations { service: String, start_ns: u64, end_ns: u64 },
    /// Keys of attributes.
    AttributeNames { scope: Scope, start_ns: u64, end_ns: u64, limit: usize },
    /// Values of an attribute.
    AttributeValues { scope: Scope, key: String, start_ns: u64, end_ns: u64, limit: usize },
}

/// A question that was read and makes sense.
#[derive(Clone, Debug)]
pub struct Request(pub(crate) Question);

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        if body.len() > REQUEST_BYTES_MAX {
            return Err(format!("a request of {} bytes; at most {REQUEST_BYTES_MAX} are read", body.len()));
        }
        let question: Question = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        match question {
            Question::Totals { step_ns: ..=0, .. } | Question::Templates { step_ns: ..=0, .. } => {
                Err("step_ns must be positive".to_owned())
            }
            Question::Digests { width_ns: ..=0, .. } | Question::SpanDigests { width_ns: 0, .. } => {
                Err("width_ns must be positive".to_owned())
            }
            question => Ok(Request(question)),
        }
    }
}

impl Request {
    /// Whether it is one that an asker waits for while another answer of ours is open to it: parts of traces whose ids are
    /// still coming. Such ones must not wait for a turn that the other answer may hold.
    pub fn is_within_another(&self) -> bool {
        matches!(self.0, Question::Traces { .. })
    }
}

/// A [`MetricSelect`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Metrics {
    pub(crate) matchers: Vec<Test>,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
}

impl Metrics {
    pub(crate) fn of(select: &MetricSelect<'_>) -> Self {
        let matchers = select.matchers.iter().cloned().map(Test).collect();
        Metrics { matchers, start_ms: select.start_ms, end_ms: select.end_ms }
    }

    pub(crate) fn with<R>(&self, read: impl FnOnce(&MetricSelect<'_>) -> R) -> R {
        let matchers: Vec<_> = self.matchers.iter().map(|test| test.0.clone()).collect();
        read(&MetricSelect { matchers: &matchers, start_ms: self.start_ms, end_ms: self.end_ms })
    }
}

/// A [`LogSelect`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Logs {
    pub(crate) matchers: Vec<Test>,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Test>,
    /// Name and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mentions: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) backward: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows_hint: Option<usize>,
}

impl Logs {
    pub(crate) fn of(select: &LogSelect<'_>) -> Self {
        Logs {
            matchers: select.matchers.iter().cloned().map(Test).collect(),
            start_ns: select.start_ns,
            end_ns: select.end_ns,
            lines: select.lines.iter().cloned().map(Line).collect(),
            fields: select.fields.iter().cloned().map(Test).collect(),
            mentions: select.mentions.iter().map(|m| (m.name.to_owned(), m.text.to_owned())).collect(),
            backward: select.direction == Direction::Backward,
            rows_hint: select.rows_hint,
        }
    }

    pub(crate) fn with<R>(&self, read: impl FnOnce(&LogSelect<'_>) -> R) -> R {
        let matchers: Vec<_> = self.matchers.iter().map(|test| test.0.clone()).collect();
        let lines: Vec<_> = self.lines.iter().map(|line| line.0.clone()).collect();
        let fields: Vec<_> = self.fields.iter().map(|test| test.0.clone()).collect();
        // One of no text would be no test.
        let mentions = self.mentions.iter().filter(|(_, text)| !text.is_empty());
        let mentions: Vec<_> = mentions.map(|(name, text)| Mention { name, text }).collect();
        read(&LogSelect {
            matchers: &matchers,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            lines: &lines,
            fields: &fields,
            mentions: &mentions,
            direction: if self.backward { Direction::Backward } else { Direction::Forward },
            rows_hint: self.rows_hint,
        })
    }
}

/// A [`SpanScan`]; whether whole traces are wanted is said by the kind of question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spans {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) fields: Fields,
}

impl Spans {
    pub(crate) fn of(scan: &SpanScan<'_>) -> Self {
        Spans {
            start_ns: scan.start_ns,
            end_ns: scan.end_ns,
            predicates: scan.predicates.iter().cloned().map(Predicate).collect(),
            fields: Fields::of(&scan.fields),
        }
    }
}

/// [`SpanFields`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    pub(crate) attributes: Option<Vec<String>>,
    pub(crate) events: bool,
    pub(crate) links: bool,
    pub(crate) trace_state: bool,
}

impl Fields {
    pub(crate) fn of(fields: &SpanFields) -> Self {
        let SpanFields { attributes, events, links, trace_state } = fields.clone();
        Fields { attributes, events, links, trace_state }
    }

    pub(crate) fn wanted(&self) -> SpanFields {
        let Fields { attributes, events, links, trace_state } = self.clone();
        SpanFields { attributes, events, links, trace_state }
    }
}

/// A trace, and what the asker has of it: how many spans, and what [`digest`](crate::spans::digest) makes of them. What is the
/// same on both hubs need not travel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct KnownTrace {
    #[serde(with = "crate::forms::hex_id")]
    pub(crate) id: TraceId,
    pub(crate) spans: u64,
    pub(crate) digest: u64,
}

/// An [`AttributeScope`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Scope(#[serde(with = "Wanted")] pub(crate) AttributeScope);
