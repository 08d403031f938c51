//! Until the engine has them: its entry points that tell of progress.

use bramble_query_traceql::tags::Tags;
use bramble_query_traceql::{
    Field, FoundTrace, MetricSeries, MetricsOptions, Query, Scope, SearchOptions, Value, measure, search,
};
use bramble_storage::{QueryContext, ReadError, TraceSource};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Searched {
    pub(super) traces: Vec<FoundTrace>,
    pub(super) partial: Option<String>,
}

pub(super) fn search_with(
    query: &Query,
    source: &dyn TraceSource,
    options: &SearchOptions,
    context: &QueryContext,
    on_found: &mut dyn FnMut(&FoundTrace) -> bool,
) -> Result<Searched, ReadError> {
    let traces = search(query, source, options, context)?;
    let _ = traces.iter().all(on_found);
    Ok(Searched { traces, partial: None })
}

pub(super) struct Measured {
    pub(super) series: Vec<MetricSeries>,
    pub(super) partial: Option<String>,
}

pub(super) fn measure_with(
    query: &Query,
    source: &dyn TraceSource,
    options: &MetricsOptions,
    _exemplars: Option<usize>,
    context: &QueryContext,
    _on_progress: &mut dyn FnMut(&dyn Fn() -> Vec<MetricSeries>) -> bool,
) -> Result<Measured, ReadError> {
    Ok(Measured { series: measure(query, source, options, context)?, partial: None })
}

pub(super) fn names_in(
    query: &Query,
    _scope: Option<Scope>,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    _limit: usize,
    context: &QueryContext,
) -> Result<Tags<BTreeMap<Scope, BTreeSet<String>>>, ReadError> {
    bramble_query_traceql::tags::names(query, source, range_ns, context)
}

pub(super) fn values_in(
    query: &Query,
    field: &Field,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    _limit: usize,
    context: &QueryContext,
) -> Result<Tags<Vec<Value<'static>>>, ReadError> {
    bramble_query_traceql::tags::values(query, field, source, range_ns, context)
}

/// An exemplar of a series.
pub(super) struct MetricExemplar {
    pub(super) time_ms: i64,
    pub(super) value: f64,
    pub(super) labels: Vec<(String, Value<'static>)>,
}
