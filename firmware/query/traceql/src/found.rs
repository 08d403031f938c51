//! What a search answers: traces, their accepted sets of spans, and what is shown of each span.

use crate::eval::Spanset;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::shown::Shown;
use crate::syntax::ast::{Field, Intrinsic};
use bramble_signal::{SpanId, TraceId};
use std::collections::BTreeMap;

/// A trace that was found.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundTrace {
    /// Which.
    pub trace_id: TraceId,
    /// Service and operation of the root; `None` when the root is not known.
    pub root: Option<(String, String)>,
    /// First start, nanoseconds.
    pub start_ns: u64,
    /// From the first start to the last end, nanoseconds.
    pub duration_ns: u64,
    /// Accepted sets, at least one.
    pub sets: Vec<FoundSet>,
    /// Number of spans and of failed ones, by service.
    pub services: BTreeMap<String, (u32, u32)>,
}

/// A set of spans that was accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundSet {
    /// Values that steps computed for the set, by their text.
    pub attributes: Vec<(String, Value<'static>)>,
    /// The first spans by start.
    pub spans: Vec<FoundSpan>,
    /// How many there are.
    pub matched: usize,
}

/// A span that was accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundSpan {
    /// Which.
    pub span_id: SpanId,
    /// The operation, if the query asks for names.
    pub name: Option<String>,
    /// Nanoseconds.
    pub start_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// Fields that the query speaks of, by key without scope.
    pub attributes: Vec<(String, Value<'static>)>,
}

/// A trace as lists show it.
pub(crate) fn describe(
    view: &TraceView<'_>,
    sets: Vec<Spanset<'_>>,
    shown: &[Shown],
    spans_per_set: usize,
) -> FoundTrace {
    let (start_ns, end_ns) = view.bounds();
    let sets = sets.into_iter().map(|mut set| {
        let matched = set.spans.len();
        set.spans.sort_by_key(|at| view.spans.get(*at).map(|s| s.start_ns));
        set.spans.truncate(spans_per_set);
        let spans = set.spans.iter().filter_map(|at| describe_span(view, *at, shown)).collect();
        let attributes = set.attributes.into_iter().map(|(name, value)| (name, value.into_owned())).collect();
        FoundSet { attributes, spans, matched }
    });
    FoundTrace {
        trace_id: view.spans.first().map(|s| s.trace_id).unwrap_or_default(),
        root: view.root().map(|r| (view.batch.service(r).to_owned(), view.batch.text(r.name).to_owned())),
        start_ns,
        duration_ns: end_ns - start_ns,
        sets: sets.collect(),
        services: view.services(),
    }
}

fn describe_span(view: &TraceView<'_>, at: At, shown: &[Shown]) -> Option<FoundSpan> {
    let span = view.spans.get(at)?;
    let (mut name, mut attributes) = (None, Vec::new());
    for shown in shown {
        let value = shown.value(view, at);
        if value == Value::Nil {
            continue;
        }
        match &shown.field {
            Field::Intrinsic(Intrinsic::Name) => name = Some(view.batch.text(span.name).to_owned()),
            Field::Intrinsic(intrinsic) => attributes.push((intrinsic.as_str().to_owned(), value.into_owned())),
            Field::Attribute(_, key) => attributes.push((key.clone(), value.into_owned())),
        }
    }
    Some(FoundSpan {
        span_id: span.span_id,
        name,
        start_ns: span.start_ns,
        duration_ns: span.duration_ns(),
        attributes,
    })
}

impl FoundTrace {
    pub(crate) fn memory_bytes(&self) -> usize {
        let attributes =
            |list: &[(String, Value<'_>)]| list.iter().map(|(k, v)| 64 + k.len() + v.heap_bytes()).sum::<usize>();
        let sets = self.sets.iter().map(|set| {
            let spans: usize = set
                .spans
                .iter()
                .map(|s| size_of::<FoundSpan>() + s.name.as_ref().map_or(0, String::len) + attributes(&s.attributes))
                .sum();
            size_of::<FoundSet>() + attributes(&set.attributes) + spans
        });
        let services: usize = self.services.keys().map(|name| 64 + name.len()).sum();
        size_of::<FoundTrace>()
            + self.root.as_ref().map_or(0, |(a, b)| a.len() + b.len())
            + services
            + sets.sum::<usize>()
    }
}
