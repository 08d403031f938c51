//! Stores filled by hand, for tests of what is read.

use crate::correlation::{Correlation, CorrelationId, CorrelationQuery, CorrelationSource, Marks, Participant};
use crate::view::{Event, EventWhat, Sources};
use bramble_line::ids::IdKind;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    LogBatch, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId,
};
use bramble_storage::memory::{MemoryLogs, MemoryTraces};
use bramble_storage::{LogSink, QueryContext, ReadError, SpanSink};
use parking_lot::RwLock;

pub(crate) const MS: i64 = 1_000_000;
/// When everything begins.
pub(crate) const T0: i64 = 1_700_000_000_000 * MS;

pub(crate) fn trace(n: u8) -> TraceId {
    let mut id = [0xa0; 16];
    id[15] = n;
    TraceId(id)
}

pub(crate) fn span_id(n: u8) -> SpanId {
    SpanId([0, 0, 0, 0, 0, 0, 2, n])
}

/// Correlations in a list.
#[derive(Default)]
pub(crate) struct Known(pub(crate) RwLock<Vec<Correlation>>);

impl CorrelationSource for Known {
    fn find(&self, query: &CorrelationQuery, _: &QueryContext) -> Result<Vec<Correlation>, ReadError> {
        let fits = |c: &&Correlation| {
            query.since_ns.is_none_or(|since| c.start_ns >= since)
                && query.until_ns.is_none_or(|until| c.start_ns < until)
                && query.trace_id.is_none_or(|trace| c.id.trace_id == trace)
                && query.ids.iter().all(|id| c.ids.contains(id))
        };
        let mut found: Vec<Correlation> = self.0.read().iter().filter(fits).cloned().collect();
        found.sort_by_key(|c| std::cmp::Reverse((c.start_ns, c.id)));
        found.truncate(query.limit);
        Ok(found)
    }

    fn get(&self, id: CorrelationId, _: &QueryContext) -> Result<Option<Correlation>, ReadError> {
        Ok(self.0.read().iter().find(|c| c.id == id).cloned())
    }
}

/// A span as tests write it; times in milliseconds after [`T0`].
#[derive(Clone, Default, Debug)]
pub(crate) struct Spans {
    pub(crate) trace: u8,
    pub(crate) id: u8,
    pub(crate) parent: u8,
    pub(crate) kind: SpanKind,
    pub(crate) service: &'static str,
    pub(crate) node: &'static str,
    pub(crate) name: &'static str,
    pub(crate) at: (i64, i64),
    pub(crate) failed: bool,
    pub(crate) attributes: Vec<(&'static str, &'static str)>,
    pub(crate) resource: Vec<(&'static str, &'static str)>,
}

fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    pairs.iter().for_each(|(key, value)| put_attribute(&mut out, key, AttributeValue::Str(value)));
    out
}

impl Spans {
    pub(crate) fn put(&self, batch: &mut SpanBatch) {
        let mut resource = vec![("service.name", self.service)];
        resource.extend((!self.node.is_empty()).then_some(("host.name", self.node)));
        resource.extend(self.resource.iter().copied());
        let attributes = batch.put(&encoded(&resource));
        batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
        batch.scopes.push(ScopeEntry::default());
        let (name, attributes) = (batch.put(self.name.as_bytes()), batch.put(&encoded(&self.attributes)));
        batch.spans.push(SpanEntry {
            trace_id: trace(self.trace),
            span_id: span_id(self.id),
            parent_span_id: if self.parent == 0 { SpanId::default() } else { span_id(self.parent) },
            resource: batch.resources.len() as u32 - 1,
            scope: batch.scopes.len() as u32 - 1,
            start_ns: (T0 + self.at.0 * MS) as u64,
            end_ns: (T0 + self.at.1 * MS) as u64,
            kind: self.kind,
            status: if self.failed { StatusCode::Error } else { StatusCode::Unset },
            name,
            attributes,
            ..SpanEntry::default()
        });
    }
}

/// An entry as tests write it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Line {
    pub(crate) at: i64,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) metadata: Vec<(&'static str, String)>,
    pub(crate) line: String,
}

/// A line of a service.
pub(crate) fn said(at: i64, service: &'static str, line: impl Into<String>) -> Line {
    Line { at, labels: vec![("service_name", service)], metadata: Vec::new(), line: line.into() }
}

/// All stores.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) logs: MemoryLogs,
    pub(crate) traces: MemoryTraces,
    pub(crate) correlations: Known,
}

impl World {
    pub(crate) fn say(&self, lines: impl IntoIterator<Item = Line>) {
        let mut batch = LogBatch::new();
        for line in lines {
            batch.start_stream(&mut line.labels.clone()).unwrap();
            let mut metadata: Vec<(&str, &str)> = line.metadata.iter().map(|(n, v)| (*n, v.as_str())).collect();
            batch.push_entry(T0 + line.at * MS, line.line.as_bytes(), &mut metadata).unwrap();
        }
        self.logs.replay(&batch, 1);
    }

    pub(crate) fn trace(&self, spans: impl IntoIterator<Item = Spans>) {
        let mut batch = SpanBatch::new();
        spans.into_iter().for_each(|span| span.put(&mut batch));
        self.traces.replay(&batch, 1);
    }

    pub(crate) fn correlate(&self, correlation: Correlation) -> Correlation {
        self.correlations.0.write().push(correlation.clone());
        correlation
    }

    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources { logs: &self.logs, traces: &self.traces, correlations: &self.correlations, metrics: None }
    }
}

/// A correlation of trace `n` that begins so many milliseconds after [`T0`] and has these ids and services.
pub(crate) fn correlation(n: u8, at: (i64, i64), ids: &[(IdKind, &str)], services: &[&str]) -> Correlation {
    let participant = |service: &&str| Participant { service: (*service).to_owned(), ..Participant::default() };
    Correlation {
        id: CorrelationId { trace_id: trace(n), opened_ms: (T0 / MS) + at.0 },
        revision: 1,
        start_ns: T0 + at.0 * MS,
        end_ns: T0 + at.1 * MS,
        window_ns: 60_000 * MS as u64,
        ids: ids.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect(),
        participants: services.iter().map(participant).collect(),
        logs: 1,
        levels: [0; 6],
        spans: 1,
        failed_spans: 0,
        exemplars: 0,
        inferred_logs: 0,
        spans_ns: None,
        root_span_id: SpanId::default(),
        entry_spans: Vec::new(),
        first_error: None,
        worst_span: None,
        exemplar_series: Vec::new(),
        marks: Marks::default(),
    }
}

/// The corrected time in milliseconds after [`T0`], and what it is.
pub(crate) fn told(events: &[Event]) -> Vec<(i64, String)> {
    let text = |event: &Event| match &event.what {
        EventWhat::Span { name, .. } => format!("{} {name}", event.service),
        EventWhat::Log { line, .. } => line.clone(),
        EventWhat::Exemplar { series, value } => format!("{series} {value}"),
    };
    events.iter().map(|event| ((event.corrected_ns - T0) / MS, text(event))).collect()
}

/// beorn on node a calls palantir on node b, which calls arda on node c; their clocks are ahead by as much, ms.
pub(crate) fn three_services(n: u8, from: i64, palantir: i64, arda: i64) -> Vec<Spans> {
    let span = |id, parent, kind, service, node, name, at: (i64, i64), ahead: i64| Spans {
        trace: n,
        id,
        parent,
        kind,
        service,
        node,
        name,
        at: (from + at.0 + ahead, from + at.1 + ahead),
        ..Spans::default()
    };
    use SpanKind::{Client, Server};
    vec![
        span(1, 0, Server, "beorn", "a", "GET /order", (0, 100), 0),
        span(2, 1, Client, "beorn", "a", "GET palantir", (10, 90), 0),
        span(3, 2, Server, "palantir", "b", "GET /see", (20, 80), palantir),
        span(4, 3, Client, "palantir", "b", "GET arda", (30, 70), palantir),
        span(5, 4, Server, "arda", "c", "GET /map", (40, 60), arda),
    ]
}
