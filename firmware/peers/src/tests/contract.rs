//! What every store must do, two hubs do together, however what is written is spread over them.

use super::{Hub, peers, placed};
use crate::merge::{MergedLogs, MergedMetrics, MergedTraces};
use bramble_runtime::{OverBudget, SystemClock};
use bramble_signal::{
    Labels, LabelsRef, LogBatch, Matcher, MetricBatch, MetricMetadata, SeriesExemplars, SpanBatch, SpanKind, TraceId,
};
use bramble_storage::{
    AttributeScope, Cardinality, FoundValue, LogCursor, LogSelect, LogSink, LogSource, MetricSelect, MetricSink,
    MetricSource, PreparedLogs, PreparedMetrics, PreparedSpans, QueryContext, ReadError, Sequence, SeriesCursor,
    SeriesRef, SpanCursor, SpanScan, SpanSink, TraceSource, contract,
};
use std::sync::Arc;

/// Two hubs as one store.
struct Both {
    seed: u64,
    ours: Arc<Hub>,
    theirs: Arc<Hub>,
    metrics: MergedMetrics,
    logs: MergedLogs,
    traces: MergedTraces,
}

fn both(seed: u64) -> Both {
    let (ours, theirs) = (Arc::new(Hub::default()), Arc::new(Hub::default()));
    let others = peers(std::slice::from_ref(&theirs));
    Both {
        seed,
        metrics: MergedMetrics::new(ours.metrics.clone(), others.clone()),
        logs: MergedLogs::new(ours.logs.clone(), others.clone()),
        traces: MergedTraces::new(ours.traces.clone(), others, Arc::new(SystemClock::new())),
        ours,
        theirs,
    }
}

/// The samples of a batch that go to one hub and to the other.
pub(super) fn split_metrics(seed: u64, batch: &MetricBatch) -> [MetricBatch; 2] {
    let mut parts = [MetricBatch::new(), MetricBatch::new()];
    for (index, (labels, samples)) in batch.iter().enumerate() {
        for part in &mut parts {
            part.start_series_encoded(labels);
            part.set_start(batch.start_ms(index));
        }
        for sample in samples {
            let (ours, theirs) = placed(seed, &[labels.as_bytes(), &sample.timestamp_ms.to_le_bytes()]);
            for (part, wanted) in parts.iter_mut().zip([ours, theirs]) {
                if wanted {
                    part.push_sample_of(batch, *sample);
                }
            }
        }
        for exemplar in batch.exemplars(index) {
            let (ours, theirs) = placed(seed, &[&exemplar.timestamp_ms.to_le_bytes()]);
            for (part, wanted) in parts.iter_mut().zip([ours, theirs]) {
                if wanted {
                    part.push_exemplar(exemplar.clone());
                }
            }
        }
    }
    parts
}

/// Likewise for log entries.
pub(super) fn split_logs(seed: u64, batch: &LogBatch) -> [LogBatch; 2] {
    let mut parts = [LogBatch::new(), LogBatch::new()];
    for stream in batch.streams() {
        for entry in stream.entries() {
            let of =
                [stream.labels().as_bytes(), entry.line, entry.metadata.as_bytes(), &entry.timestamp_ns.to_le_bytes()];
            let (ours, theirs) = placed(seed, &of);
            for (part, wanted) in parts.iter_mut().zip([ours, theirs]) {
                if wanted {
                    part.start_stream_encoded(stream.labels());
                    part.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
                }
            }
        }
    }
    parts
}

/// Likewise for spans.
pub(super) fn split_spans(seed: u64, batch: &SpanBatch) -> [SpanBatch; 2] {
    let mut parts = [SpanBatch::new(), SpanBatch::new()];
    for span in &batch.spans {
        let (ours, theirs) = placed(seed, &[&span.trace_id.0, &span.span_id.0]);
        for (part, wanted) in parts.iter_mut().zip([ours, theirs]) {
            if wanted {
                part.push_from(batch, span);
            }
        }
    }
    parts
}

impl MetricSink for Both {
    fn prepare(&self, batch: MetricBatch, now_ms: i64) -> Result<PreparedMetrics, OverBudget> {
        self.ours.metrics.prepare(batch, now_ms)
    }

    fn apply(&self, prepared: PreparedMetrics, _: Sequence) {
        let [ours, theirs] = split_metrics(self.seed, &prepared.batch);
        self.ours.metrics.load(ours);
        self.theirs.metrics.load(theirs);
    }

    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef {
        self.ours.metrics.resolve(labels)
    }

    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, sequence: Sequence) {
        self.ours.metrics.replay(series, batch, sequence);
    }

    fn apply_metadata(&self, metadata: &[MetricMetadata], sequence: Sequence) {
        self.ours.metrics.apply_metadata(metadata, sequence);
    }
}

impl MetricSource for Both {
    fn select<'a>(
        &'a self,
        select: &MetricSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SeriesCursor + 'a>, ReadError> {
        self.metrics.select(select, context)
    }

    fn series(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<Labels>, ReadError> {
        self.metrics.series(select, context)
    }

    fn label_names(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        self.metrics.label_names(select, context)
    }

    fn label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, ReadError> {
        self.metrics.label_values(name, select, context)
    }

    fn metadata(&self) -> Vec<MetricMetadata> {
        self.metrics.metadata()
    }

    fn exemplars(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<SeriesExemplars>, ReadError> {
        self.metrics.exemplars(select, context)
    }

    fn cardinality(&self, limit: usize) -> Cardinality {
        self.metrics.cardinality(limit)
    }
}

impl LogSink for Both {
    fn prepare(&self, batch: LogBatch, now_ns: i64) -> Result<PreparedLogs, OverBudget> {
        self.ours.logs.prepare(batch, now_ns)
    }

    fn apply(&self, prepared: PreparedLogs, sequence: Sequence) {
        LogSink::replay(self, &prepared.batch, sequence);
    }

    fn replay(&self, batch: &LogBatch, sequence: Sequence) {
        let [ours, theirs] = split_logs(self.seed, batch);
        self.ours.logs.replay(&ours, sequence);
        self.theirs.logs.replay(&theirs, sequence);
    }
}

impl LogSource for Both {
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        self.logs.select(select, context)
    }

    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError> {
        self.logs.streams(matchers, start_ns, end_ns, context)
    }

    fn totals(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<bramble_storage::StreamTotals>, ReadError> {
        self.logs.totals(matchers, start_ns, end_ns, context)
    }

    fn floating_names(&self) -> Vec<String> {
        self.logs.floating_names()
    }
}

impl SpanSink for Both {
    fn prepare(&self, batch: SpanBatch, now_ns: i64) -> Result<PreparedSpans, OverBudget> {
        self.ours.traces.prepare(batch, now_ns)
    }

    fn apply(&self, prepared: PreparedSpans, sequence: Sequence) {
        SpanSink::replay(self, &prepared.batch, sequence);
    }

    fn replay(&self, batch: &SpanBatch, sequence: Sequence) {
        let [ours, theirs] = split_spans(self.seed, batch);
        self.ours.traces.replay(&ours, sequence);
        self.theirs.traces.replay(&theirs, sequence);
    }
}

impl TraceSource for Both {
    fn trace(&self, id: TraceId, context: &QueryContext) -> Result<SpanBatch, ReadError> {
        self.traces.trace(id, context)
    }

    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        self.traces.scan(scan, context)
    }

    fn services(&self, start_ns: u64, end_ns: u64, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        self.traces.services(start_ns, end_ns, context)
    }

    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError> {
        self.traces.operations(service, start_ns, end_ns, context)
    }

    fn attribute_names(
        &self,
        scope: AttributeScope,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<(AttributeScope, String)>, bool), ReadError> {
        self.traces.attribute_names(scope, range_ns, limit, context)
    }

    fn attribute_values(
        &self,
        scope: AttributeScope,
        key: &str,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<FoundValue>, bool), ReadError> {
        self.traces.attribute_values(scope, key, range_ns, limit, context)
    }
}

#[test]
fn two_hubs_are_a_metric_store() {
    for seed in 0..20 {
        contract::metrics(&both(seed), &mut |_| {});
        contract::rich_metrics(&both(seed), &mut |_| {});
    }
}

#[test]
fn two_hubs_are_a_trace_store() {
    for seed in 0..20 {
        contract::traces(&both(seed), &mut |_| {});
    }
}

/// A hub knows of a label that is kept out of streams once it has seen one, so that each must be told of one.
#[test]
fn two_hubs_are_a_log_store() {
    for seed in 0..20 {
        let both = both(seed);
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", "elsewhere"), ("env", "other")]).unwrap();
        batch.push_entry(contract::BASE_MS * 1_000_000, b"floats", &mut [("\u{1}trace_id", "beef")]).unwrap();
        both.ours.logs.replay(&batch, 1);
        both.theirs.logs.replay(&batch, 1);
        contract::logs(&both, &mut |_| {});
    }
}
