//! Questions about traces.

use crate::digest::Digests;
use crate::frame::{FRAME_BYTES, FrameWriter, IDS};
use crate::lists::{self, Key, Operation, Value};
use crate::request::{KnownTrace, Question, Spans};
use crate::spans;
use bramble_signal::{SpanBatch, TraceId};
use bramble_storage::{QueryContext, ReadError, SpanFields, SpanPredicate, SpanScan, TraceSource};

pub(super) fn answer(
    question: &Question,
    source: &dyn TraceSource,
    context: &QueryContext,
    out: &mut FrameWriter<'_>,
) -> Result<bool, ReadError> {
    match question {
        Question::Traces { traces, fields } => known_traces(traces, &fields.wanted(), source, context, out)?,
        Question::TraceIds(asked) => trace_ids(asked, source, context, out)?,
        Question::Spans(asked) => {
            let mut payload = Vec::new();
            let fields = asked.fields.wanted();
            each_wanted(asked, fields, source, context, &mut |batch| spans::send(batch, &mut payload, out))?;
        }
        Question::SpanDigests { of, width_ns } => {
            let mut digests = Digests::default();
            each_wanted(of, SpanFields::LEAST, source, context, &mut |batch| {
                batch.spans.iter().for_each(|span| digests.add_span(span, of.start_ns, *width_ns));
                Ok(())
            })?;
            lists::send(digests.list(), out)?;
        }
        Question::Services { start_ns, end_ns } => lists::send(source.services(*start_ns, *end_ns, context)?, out)?,
        Question::Operations { service, start_ns, end_ns } => {
            let found = source.operations(service, *start_ns, *end_ns, context)?;
            lists::send(found.into_iter().map(|(name, kind)| -> Operation { (name, kind as u8) }), out)?;
        }
        Question::AttributeNames { scope, start_ns, end_ns, limit } => {
            let (found, more) = source.attribute_names(scope.0, (*start_ns, *end_ns), *limit, context)?;
            lists::send(found.into_iter().map(|(scope, key)| Key { scope, key }), out)?;
            return Ok(more);
        }
        Question::AttributeValues { scope, key, start_ns, end_ns, limit } => {
            let (found, more) = source.attribute_values(scope.0, key, (*start_ns, *end_ns), *limit, context)?;
            lists::send(found.into_iter().map(Value::from), out)?;
            return Ok(more);
        }
        _ => {}
    }
    Ok(false)
}

/// Those traces of which the asker has not the same spans.
fn known_traces(
    traces: &[KnownTrace],
    fields: &SpanFields,
    source: &dyn TraceSource,
    context: &QueryContext,
    out: &mut FrameWriter<'_>,
) -> Result<(), ReadError> {
    let mut payload = Vec::new();
    for asked in traces {
        context.check()?;
        let mut found = source.trace(asked.id, context)?;
        let same = (found.spans.len() as u64, spans::digest(found.spans.iter())) == (asked.spans, asked.digest);
        if !same {
            spans::strip(&mut found, fields);
            spans::send(&found, &mut payload, out)?;
        }
    }
    Ok(())
}

/// Ids of traces with a wanted span, one after the other as the store finds them; an id may come again.
fn trace_ids(
    asked: &Spans,
    source: &dyn TraceSource,
    context: &QueryContext,
    out: &mut FrameWriter<'_>,
) -> Result<(), ReadError> {
    let (mut payload, mut last) = (Vec::new(), None::<TraceId>);
    each_wanted(asked, SpanFields::LEAST, source, context, &mut |batch| {
        for span in &batch.spans {
            if last.replace(span.trace_id) != Some(span.trace_id) {
                payload.extend_from_slice(&span.trace_id.0);
                payload.extend_from_slice(&span.start_ns.to_le_bytes());
            }
        }
        // What is found is told at once: the asker waits for it, to give what is newest first.
        for part in payload.chunks(FRAME_BYTES / 24 * 24) {
            out.send(IDS, part)?;
        }
        payload.clear();
        Ok(())
    })
}

/// Shows `each` batches of spans that are wanted.
fn each_wanted(
    asked: &Spans,
    mut fields: SpanFields,
    source: &dyn TraceSource,
    context: &QueryContext,
    each: &mut dyn FnMut(&SpanBatch) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let predicates: Vec<SpanPredicate> = asked.predicates.iter().map(|predicate| predicate.0.clone()).collect();
    // A store may give what it cannot judge cheaply. Here it is judged, so that it need not travel.
    spans::looked_at(&predicates, &mut fields);
    let (start_ns, end_ns) = (asked.start_ns, asked.end_ns);
    let scan = SpanScan { start_ns, end_ns, predicates: &predicates, whole_traces: false, fields };
    let mut cursor = source.scan(&scan, context)?;
    let mut batch = SpanBatch::new();
    while cursor.next(&mut batch)? {
        context.check()?;
        let mut all = std::mem::take(&mut batch.spans);
        all.retain(|span| {
            (start_ns..=end_ns).contains(&span.start_ns) && predicates.iter().all(|p| p.accepts(&batch, span))
        });
        batch.spans = all;
        if !batch.is_empty() {
            each(&batch)?;
        }
    }
    Ok(())
}
