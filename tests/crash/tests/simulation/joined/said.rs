//! What correlators say: publishing it, reading it back, and what one says that is never interrupted.

use super::requests::{Parts, Request, batches};
use super::{BASE_NS, SECOND_NS, correlator_options};
use crate::machine::Machine;
use bramble_correlate::row::{as_stored, published_in};
use bramble_correlate::{Correlation, CorrelationId, Correlator};
use bramble_runtime::{BudgetName, Budgets, ManualClock};
use bramble_signal::{Matcher, TraceId};
use bramble_storage::{
    Done, Durable, LogRows, LogSelect, LogSource, OWN_STREAM_LABEL, Observer, QueryContext, TraceSource, Urgency,
    Writer,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step of the publishing task.
pub(super) fn publish(machine: &Machine) {
    let Some(correlator) = &machine.correlator else { return };
    let publication = correlator.publish();
    let (batch, spans) = (publication.log_batch(), publication.span_batch());
    if batch.entry_count() == 0 {
        correlator.settle(publication.round, true);
        return;
    }
    let (round, settling) = (publication.round, correlator.clone());
    let done: Done = Box::new(move |outcome| settling.settle(round, outcome.is_ok()));
    let Ok(held) = machine.receive.reserve(batch.memory_bytes()) else { return };
    machine.path.write_logs(batch, held, Urgency::Background, done);
    let Ok(held) = machine.receive.reserve(spans.memory_bytes()) else { return };
    if !spans.spans.is_empty() {
        machine.path.write_spans(spans, held, Urgency::Background, Box::new(|_| {}));
    }
}

/// All rows of correlations in the store.
pub(super) fn rows(machine: &Machine) -> Result<Vec<Correlation>, String> {
    let own = [Matcher::equal(OWN_STREAM_LABEL, "correlations")];
    let select =
        LogSelect { matchers: &own, start_ns: i64::MIN / 4, end_ns: i64::MAX / 4, lines: &[], ..Default::default() };
    let context = QueryContext::unlimited();
    let mut cursor = machine.logs.select(&select, &context).map_err(|e| e.to_string())?;
    let (mut page, mut found) = (LogRows::default(), Vec::new());
    while cursor.next(&mut page).map_err(|e| e.to_string())? {
        published_in(&page.batch, &mut |correlation| found.push(correlation));
    }
    match context.warnings() {
        warnings if warnings.is_empty() => Ok(found),
        warnings => Err(format!("warnings: {warnings:?}")),
    }
}

/// Contents, without what tells of when they were said, by trace and start.
pub(super) fn by_trace<'a>(correlations: impl Iterator<Item = &'a Correlation>) -> BTreeMap<TraceId, Vec<Correlation>> {
    let mut newest: BTreeMap<CorrelationId, &Correlation> = BTreeMap::new();
    for correlation in correlations {
        if newest.get(&correlation.id).is_none_or(|known| known.revision < correlation.revision) {
            newest.insert(correlation.id, correlation);
        }
    }
    let mut found: BTreeMap<TraceId, Vec<Correlation>> = BTreeMap::new();
    for correlation in newest.values() {
        let trace_id = correlation.id.trace_id;
        let mut content = as_stored(correlation);
        (content.id, content.revision) = (CorrelationId { trace_id, opened_ms: 0 }, 0);
        found.entry(trace_id).or_default().push(content);
    }
    found.values_mut().for_each(|windows| windows.sort_by_key(|content| content.start_ns));
    found
}

/// What one says of the same items that sees them all at once.
pub(super) fn uninterrupted(requests: &[Request], machine: &Machine) -> BTreeMap<TraceId, Vec<Correlation>> {
    let clock = Arc::new(ManualClock::new(BASE_NS + 1000 * 3600 * SECOND_NS as i64));
    let budget = Budgets::new(64 << 20).get(BudgetName::Correlate);
    let registry = prometheus::Registry::new();
    let correlator =
        Correlator::new(correlator_options(), clock.clone(), &budget, &registry, machine.logs.clone()).unwrap();
    let of = |(of, request): (usize, &Request)| (0..request.parts.len()).map(move |part| (of, part));
    let all: Vec<_> = requests.iter().enumerate().flat_map(of).collect();
    for (sequence, (batch, _)) in batches(requests, &all).into_iter().enumerate() {
        match &batch {
            Parts::Logs(batch) => correlator.observe(Durable::Logs(batch), sequence as u64 + 1),
            Parts::Spans(batch) => correlator.observe(Durable::Spans(batch), sequence as u64 + 1),
        }
    }
    let mut said = Vec::new();
    for _ in 0..100 {
        clock.advance_ns(10 * SECOND_NS);
        let publication = correlator.publish();
        said.extend(publication.fresh().map(|correlation| Correlation::clone(correlation)));
        correlator.settle(publication.round, true);
    }
    by_trace(said.iter())
}

/// Number of synthetic spans in the traces of requests.
pub(super) fn synthetic(requests: &[Request], machine: &Machine) -> Result<usize, String> {
    let context = QueryContext::unlimited();
    let mut count = 0;
    for request in requests {
        let trace = machine.traces.trace(request.trace_id, &context).map_err(|e| e.to_string())?;
        count += trace.spans.iter().filter(|span| trace.bytes(span.name) == b"correlation").count();
    }
    Ok(count)
}
