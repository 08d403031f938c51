//! Everything that the stores hold, read as queries read it.

use crate::machine::Machine;
use crate::model::Item;
use bramble_signal::{Exemplar, MatchOp, Matcher, NativeHistogram, SeriesSamples, SpanBatch, SpanEntry};
use bramble_storage::{
    Direction, LogRows, LogSelect, LogSource, MetadataWanted, MetricSelect, MetricSource, QueryContext, ReadError,
    SpanScan, TraceSource,
};

pub(crate) fn sample_item(
    labels: &str,
    timestamp_ms: i64,
    value: f64,
    histogram: Option<&NativeHistogram>,
    start_ms: i64,
) -> Item {
    let content = match histogram {
        // Exactly, bit for bit: Rust prints the shortest decimals that give back the same number, and all NaNs alike.
        Some(h) => {
            let numbers = h.positive_counts.iter().chain(&h.negative_counts).chain([&h.sum, &h.count, &h.zero_count]);
            let bits: Vec<u64> = numbers.map(|n| n.to_bits()).collect();
            format!("{start_ms} {h:?} {bits:x?}")
        }
        None => format!("{start_ms} {:016x}", value.to_bits()),
    };
    Item { key: format!("sample {labels} @{timestamp_ms}"), content }
}

pub(crate) fn exemplar_item(labels: &str, exemplar: &Exemplar) -> Item {
    let (time, value) = (exemplar.timestamp_ms, exemplar.value.to_bits());
    Item { key: format!("exemplar {labels} @{time} {value:016x} {}", exemplar.labels), content: String::new() }
}

pub(crate) fn entry_item(labels: &str, timestamp_ns: i64, line: &[u8], metadata: &str) -> Item {
    let key = format!("entry {labels} @{timestamp_ns} {metadata} {}", line.escape_ascii());
    Item { key, content: String::new() }
}

/// A span with everything that belongs to it.
pub(crate) fn span_item(batch: &SpanBatch, span: &SpanEntry) -> Item {
    let (resource, scope) = (&batch.resources[span.resource as usize], &batch.scopes[span.scope as usize]);
    let numbers = (span.parent_span_id, span.start_ns, span.end_ns, span.kind, span.status, span.flags);
    let dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links);
    let of_others = (resource.dropped_attributes, scope.dropped_attributes);
    let ranges = [
        span.name,
        span.status_message,
        span.trace_state,
        span.attributes,
        span.events,
        span.links,
        resource.attributes,
        resource.schema_url,
        scope.name,
        scope.version,
        scope.attributes,
        scope.schema_url,
    ];
    let texts: Vec<String> = ranges.iter().map(|range| batch.bytes(*range).escape_ascii().to_string()).collect();
    Item {
        key: format!("span {}/{}", span.trace_id, span.span_id),
        content: format!("{numbers:?} {dropped:?} {of_others:?} {}", texts.join("|")),
    }
}

/// Reads all that is there, and what the stores had to say about it.
pub(crate) fn everything(machine: &Machine, backward: bool) -> Result<(Vec<Item>, Vec<String>), ReadError> {
    let context = QueryContext::unlimited();
    let mut found = Vec::new();
    samples(machine, &context, &mut found)?;
    entries(machine, backward, &context, &mut found)?;
    spans(machine, &context, &mut found)?;
    Ok((found, context.warnings()))
}

fn samples(machine: &Machine, context: &QueryContext, found: &mut Vec<Item>) -> Result<(), ReadError> {
    let named = [Matcher::new("__name__", MatchOp::NotEqual, "").unwrap()];
    let select = MetricSelect { matchers: &named, start_ms: i64::MIN / 4, end_ms: i64::MAX / 4 };
    let mut cursor = machine.metrics.select(&select, context)?;
    let mut series = SeriesSamples::default();
    while cursor.next(&mut series)? {
        let labels = series.labels.to_string();
        let mut starts = series.starts.iter().peekable();
        let mut start_ms = 0;
        for (&timestamp_ms, &value) in series.timestamps_ms.iter().zip(&series.values) {
            if let Some(change) = starts.next_if(|change| change.timestamp_ms == timestamp_ms) {
                start_ms = change.start_ms;
            }
            found.push(sample_item(&labels, timestamp_ms, value, series.histogram(value), start_ms));
        }
    }
    for series in machine.metrics.exemplars(&select, context)? {
        let labels = series.labels.to_string();
        found.extend(series.exemplars.iter().map(|exemplar| exemplar_item(&labels, exemplar)));
    }
    Ok(())
}

fn entries(machine: &Machine, backward: bool, context: &QueryContext, found: &mut Vec<Item>) -> Result<(), ReadError> {
    let of_sim = [Matcher::equal("app", "sim")];
    let direction = if backward { Direction::Backward } else { Direction::Forward };
    let select = LogSelect {
        matchers: &of_sim,
        start_ns: i64::MIN / 4,
        end_ns: i64::MAX / 4,
        lines: &[],
        direction,
        ..LogSelect::default()
    };
    let mut cursor = machine.logs.select(&select, context)?;
    let (mut rows, before) = (LogRows::default(), found.len());
    while cursor.next(&mut rows)? {
        assert_eq!(rows.order.len(), rows.batch.entry_count(), "rows and their order");
        for stream in rows.batch.streams() {
            let labels = stream.labels().to_string();
            found.extend(
                stream
                    .entries()
                    .map(|entry| entry_item(&labels, entry.timestamp_ns, entry.line, &entry.metadata.to_string())),
            );
        }
    }
    // Counting them must come to the same.
    let (mut counted, rows) = (0, found.len() - before);
    machine.logs.tally(&select, MetadataWanted::None, false, context, &mut |run| {
        counted += run.timestamps_ns.len();
        Ok(())
    })?;
    if counted != rows {
        return Err(ReadError::Storage(format!("{rows} entries, {counted} by counting")));
    }
    Ok(())
}

fn spans(machine: &Machine, context: &QueryContext, found: &mut Vec<Item>) -> Result<(), ReadError> {
    let scan = SpanScan::whole(0, u64::MAX / 4, &[]);
    let mut cursor = machine.traces.scan(&scan, context)?;
    let mut batch = SpanBatch::new();
    while cursor.next(&mut batch)? {
        found.extend(batch.spans.iter().map(|span| span_item(&batch, span)));
        // The other way to a span must lead to the same.
        if let Some(first) = batch.spans.first() {
            let trace = machine.traces.trace(first.trace_id, context)?;
            let scanned = batch.spans.iter().filter(|span| span.trace_id == first.trace_id).count();
            if trace.spans.len() != scanned {
                let (id, by_id) = (first.trace_id, trace.spans.len());
                return Err(ReadError::Storage(format!("trace {id}: {by_id} spans by id, {scanned} by scan")));
            }
        }
    }
    Ok(())
}
