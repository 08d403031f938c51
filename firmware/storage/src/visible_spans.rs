//! Spans that were made up to connect others: shown where a trace is shown, and not where spans are counted or searched.

use crate::{
    AttributeScope, FoundValue, QueryContext, ReadError, SpanCursor, SpanPredicate, SpanScan, TraceSource, ValueTest,
};
use bramble_signal::attributes::SYNTHETIC;
use bramble_signal::{SpanBatch, SpanKind, TraceId};
use std::sync::Arc;

/// Service of the spans that Bramble makes up.
const SERVICE: &str = "bramble";
/// Name, and first part of the attributes, of those that tell of a correlation.
const CORRELATION: &str = "correlation";

/// A source as people see it: searches and counts leave out synthetic spans
/// ([`bramble_signal::attributes::AttributesRef::is_synthetic`]), unless they ask for them: by the
/// name `correlation`, the service `bramble`, or one of their own attributes. A trace asked for by its id has them.
pub struct VisibleSpans<S: ?Sized>(Arc<S>);

impl<S: TraceSource + ?Sized> VisibleSpans<S> {
    /// What is to be seen of `source`.
    pub fn new(source: Arc<S>) -> Self {
        VisibleSpans(source)
    }
}

/// Whether an attribute is one that only synthetic spans have.
fn is_own(key: &str) -> bool {
    key == SYNTHETIC || key.strip_prefix(CORRELATION).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a test asks for synthetic spans.
fn asks(predicate: &SpanPredicate) -> bool {
    match predicate {
        SpanPredicate::All(all) | SpanPredicate::Any(all) => all.iter().any(asks),
        SpanPredicate::Name(ValueTest::Is(name)) => name == CORRELATION,
        SpanPredicate::Service(ValueTest::Is(service)) => service == SERVICE,
        SpanPredicate::Attribute { key, .. } => is_own(key),
        _ => false,
    }
}

/// A cursor without synthetic spans.
struct Measured<'a>(Box<dyn SpanCursor + 'a>);

impl SpanCursor for Measured<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        let more = self.0.next(out)?;
        let is_synthetic: Vec<bool> =
            out.resources.iter().map(|resource| out.attributes(resource.attributes).is_synthetic()).collect();
        if is_synthetic.contains(&true) {
            out.spans.retain(|span| !is_synthetic.get(span.resource as usize).copied().unwrap_or(false));
        }
        Ok(more)
    }
}

impl<S: TraceSource + ?Sized> TraceSource for VisibleSpans<S> {
    fn trace(&self, id: TraceId, context: &QueryContext) -> Result<SpanBatch, ReadError> {
        self.0.trace(id, context)
    }

    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        if scan.predicates.iter().any(asks) {
            return self.0.scan(scan, context);
        }
        // What a store can tell cheaply it need not look for; a trace that is wanted comes with all its spans.
        let predicates: Vec<SpanPredicate> =
            [SpanPredicate::Measured].into_iter().chain(scan.predicates.iter().cloned()).collect();
        let scan = SpanScan { predicates: &predicates, ..scan.clone() };
        Ok(Box::new(Measured(self.0.scan(&scan, context)?)))
    }

    fn services(&self, start_ns: u64, end_ns: u64, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        self.0.services(start_ns, end_ns, context)
    }

    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError> {
        self.0.operations(service, start_ns, end_ns, context)
    }

    fn attribute_names(
        &self,
        scope: AttributeScope,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<(AttributeScope, String)>, bool), ReadError> {
        let (mut names, partial) = self.0.attribute_names(scope, range_ns, limit, context)?;
        names.retain(|(_, key)| !is_own(key));
        Ok((names, partial))
    }

    fn attribute_values(
        &self,
        scope: AttributeScope,
        key: &str,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<FoundValue>, bool), ReadError> {
        self.0.attribute_values(scope, key, range_ns, limit, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpanSink;
    use crate::memory::MemoryTraces;
    use bramble_signal::attributes::{AttributeValue, put_attribute};
    use bramble_signal::{ResourceEntry, ScopeEntry, SpanEntry, SpanId};

    /// A trace with a span of beorn and a synthetic one.
    fn store() -> Arc<MemoryTraces> {
        let mut batch = SpanBatch::new();
        for synthetic in [false, true] {
            let mut attributes = Vec::new();
            let service = if synthetic { SERVICE } else { "beorn" };
            put_attribute(&mut attributes, "service.name", AttributeValue::Str(service));
            if synthetic {
                put_attribute(&mut attributes, SYNTHETIC, AttributeValue::Bool(true));
            }
            let attributes = batch.put(&attributes);
            batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
        }
        batch.scopes.push(ScopeEntry::default());
        for (resource, name) in [(0, "GET /"), (1, CORRELATION)] {
            let name = batch.put(name.as_bytes());
            let span_id = SpanId([resource as u8 + 1; 8]);
            batch.spans.push(SpanEntry {
                trace_id: TraceId([1; 16]),
                span_id,
                resource,
                name,
                start_ns: 5,
                end_ns: 6,
                ..SpanEntry::default()
            });
        }
        let store = MemoryTraces::new();
        let prepared = store.prepare(batch, 10).unwrap();
        store.apply(prepared, 1);
        Arc::new(store)
    }

    fn names(predicates: &[SpanPredicate], whole_traces: bool) -> Vec<String> {
        let (visible, context) = (VisibleSpans::new(store()), QueryContext::unlimited());
        let scan = SpanScan { whole_traces, ..SpanScan::whole(0, 100, predicates) };
        let (mut cursor, mut batch, mut names) = (visible.scan(&scan, &context).unwrap(), SpanBatch::new(), Vec::new());
        while cursor.next(&mut batch).unwrap() {
            names.extend(batch.spans.iter().map(|span| batch.text(span.name).to_owned()));
        }
        names.sort();
        names
    }

    #[test]
    fn made_up_spans_are_seen_where_they_are_asked_for() {
        assert_eq!((names(&[], true), names(&[], false)), (vec!["GET /".to_owned()], vec!["GET /".to_owned()]));
        let by_name = SpanPredicate::All(vec![SpanPredicate::Name(ValueTest::is(CORRELATION))]);
        assert_eq!(names(&[by_name], true), ["GET /", CORRELATION]);
        assert_eq!(names(&[SpanPredicate::Service(ValueTest::is(SERVICE))], false), [CORRELATION]);
        let key = "correlation.services".to_owned();
        let own = SpanPredicate::Attribute { scope: AttributeScope::Any, key, test: ValueTest::Present };
        assert!(asks(&SpanPredicate::Any(vec![own])) && !is_own("correlation_id") && !is_own("circuit_id"));
        let visible = VisibleSpans::new(store());
        assert_eq!(visible.trace(TraceId([1; 16]), &QueryContext::unlimited()).unwrap().spans.len(), 2);
        let range = (0, 100);
        let (keys, _) = visible.attribute_names(AttributeScope::Any, range, 10, &QueryContext::unlimited()).unwrap();
        assert_eq!(keys, [(AttributeScope::Resource, "service.name".to_owned())]);
    }
}
