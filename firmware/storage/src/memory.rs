//! The naive implementation: keeps batches as they came and scans them all. Obvious enough to be right, so that
//! tests of engines can run on it and tests of stores can compare with it. Not for production: unbounded.

use crate::logs::answer_order;
use crate::{
    Cardinality, Direction, LogCursor, LogRows, LogSelect, LogSink, LogSource, MetricSelect, MetricSink, MetricSource,
    PreparedLogs, PreparedMetrics, PreparedSeries, PreparedSpans, QueryContext, ReadError, RejectReason, Rejections,
    Selector, Sequence, SeriesCursor, SeriesRef, SpanCursor, SpanScan, SpanSink, TraceSource,
};
use bramble_runtime::{Budget, BudgetName, OverBudget, Reservation};
use bramble_signal::{
    Exemplar, Labels, LabelsRef, LogBatch, LogEntry, METRIC_NAME, Matcher, MetricBatch, MetricMetadata,
    NativeHistogram, Sample, SeriesExemplars, SeriesSamples, SpanBatch, SpanEntry, SpanId, SpanKind, StartChange,
    TraceId, floating_label, histogram_marker,
};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};

fn nothing_reserved(name: BudgetName) -> Reservation {
    Budget::standalone(name, 0).reserve(0).unwrap_or_else(|_| unreachable!("zero bytes always fit"))
}

fn all_match(labels: LabelsRef<'_>, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or("")))
}

#[derive(Default)]
struct MemorySeries {
    /// Values by timestamp, with when the count began.
    samples: BTreeMap<i64, (f64, i64)>,
    histograms: Vec<NativeHistogram>,
    exemplars: Vec<Exemplar>,
}

#[derive(Default)]
struct MetricState {
    series: BTreeMap<Labels, MemorySeries>,
    refs: Vec<Labels>,
    metadata: BTreeMap<String, MetricMetadata>,
}

/// All samples in maps.
#[derive(Default)]
pub struct MemoryMetrics(RwLock<MetricState>);

impl MemoryMetrics {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prepares and applies in one go: for tests that only need data.
    pub fn load(&self, batch: MetricBatch) {
        if let Ok(prepared) = self.prepare(batch, i64::MAX / 2) {
            self.apply(prepared, 1);
        }
    }
}

impl MetricSink for MemoryMetrics {
    fn prepare(&self, batch: MetricBatch, _now_ms: i64) -> Result<PreparedMetrics, OverBudget> {
        let series = (0..batch.series_count())
            .map(|i| PreparedSeries { entry: i as u32, series: self.resolve(batch.series(i).0) })
            .collect();
        let accepted = batch.sample_count() as u64;
        Ok(PreparedMetrics {
            batch,
            series,
            accepted,
            rejections: Rejections::new(),
            space: nothing_reserved(BudgetName::MetricHead),
        })
    }

    fn apply(&self, prepared: PreparedMetrics, sequence: Sequence) {
        for s in &prepared.series {
            self.enter(s.series, &prepared.batch, s.entry as usize);
        }
        self.apply_metadata(&prepared.batch.metadata, sequence);
    }

    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef {
        let mut state = self.0.write();
        let labels = labels.to_labels();
        if let Some(at) = state.refs.iter().position(|l| *l == labels) {
            return SeriesRef(at as u32);
        }
        state.refs.push(labels);
        SeriesRef((state.refs.len() - 1) as u32)
    }

    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, _sequence: Sequence) {
        for (entry, series) in series.iter().enumerate().take(batch.series_count()) {
            self.enter(*series, batch, entry);
        }
    }

    fn apply_metadata(&self, metadata: &[MetricMetadata], _sequence: Sequence) {
        let mut state = self.0.write();
        for m in metadata {
            state.metadata.insert(m.name.clone(), m.clone());
        }
    }
}

struct Gathered(std::vec::IntoIter<SeriesSamples>);

impl SeriesCursor for Gathered {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, ReadError> {
        match self.0.next() {
            Some(series) => {
                *out = series;
                Ok(true)
            }
            None => {
                *out = SeriesSamples::default();
                Ok(false)
            }
        }
    }
}

impl MemoryMetrics {
    fn enter(&self, series: SeriesRef, batch: &MetricBatch, entry: usize) {
        let mut state = self.0.write();
        let Some(labels) = state.refs.get(series.0 as usize).cloned() else { return };
        let series = state.series.entry(labels).or_default();
        for sample in batch.series(entry).1 {
            let mut value = sample.value;
            if let Some(histogram) = batch.histogram(value) {
                value = histogram_marker(series.histograms.len() as u32);
                series.histograms.push(histogram.clone());
            }
            series.samples.insert(sample.timestamp_ms, (value, batch.start_ms(entry)));
        }
        for exemplar in batch.exemplars(entry).filter(|e| !series.exemplars.contains(e)).cloned().collect::<Vec<_>>() {
            series.exemplars.push(exemplar);
        }
    }

    fn gather(&self, select: &MetricSelect<'_>) -> Vec<SeriesSamples> {
        let state = self.0.read();
        let mut found = Vec::new();
        for (labels, column) in &state.series {
            if select.start_ms > select.end_ms || !all_match(labels.as_ref(), select.matchers) {
                continue;
            }
            let mut series = SeriesSamples { labels: labels.clone(), ..SeriesSamples::default() };
            for (&timestamp_ms, &(value, start_ms)) in column.samples.range(select.start_ms..=select.end_ms) {
                series.push(Sample { timestamp_ms, value }, &column.histograms);
                if series.starts.last().map_or(0, |s| s.start_ms) != start_ms {
                    series.starts.push(StartChange { timestamp_ms, start_ms });
                }
            }
            if !series.values.is_empty() {
                found.push(series);
            }
        }
        found
    }
}

impl MetricSource for MemoryMetrics {
    fn select<'a>(
        &'a self,
        select: &MetricSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SeriesCursor + 'a>, ReadError> {
        context.check()?;
        Ok(Box::new(Gathered(self.gather(select).into_iter())))
    }

    fn series(&self, select: &MetricSelect<'_>, _context: &QueryContext) -> Result<Vec<Labels>, ReadError> {
        Ok(self.gather(select).into_iter().map(|s| s.labels).collect())
    }

    fn label_names(&self, select: &MetricSelect<'_>, _context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let found = self.gather(select);
        let names: BTreeSet<&str> = found.iter().flat_map(|s| s.labels.iter().map(|(n, _)| n)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        _context: &QueryContext,
    ) -> Result<Vec<String>, ReadError> {
        let found = self.gather(select);
        let values: BTreeSet<&str> = found.iter().filter_map(|s| s.labels.get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    fn metadata(&self) -> Vec<MetricMetadata> {
        self.0.read().metadata.values().cloned().collect()
    }

    fn exemplars(&self, select: &MetricSelect<'_>, _context: &QueryContext) -> Result<Vec<SeriesExemplars>, ReadError> {
        let state = self.0.read();
        let of = |(labels, series): (&Labels, &MemorySeries)| {
            let within = |e: &&Exemplar| (select.start_ms..=select.end_ms).contains(&e.timestamp_ms);
            let mut exemplars: Vec<Exemplar> = series.exemplars.iter().filter(within).cloned().collect();
            exemplars.sort_by_key(|e| e.timestamp_ms);
            SeriesExemplars { labels: labels.clone(), exemplars }
        };
        let matching = state.series.iter().filter(|(labels, _)| all_match(labels.as_ref(), select.matchers));
        Ok(matching.map(of).filter(|s| !s.exemplars.is_empty()).collect())
    }

    fn cardinality(&self, limit: usize) -> Cardinality {
        let state = self.0.read();
        let mut out = Cardinality { min_ms: i64::MAX, max_ms: i64::MIN, ..Cardinality::default() };
        let (mut metrics, mut bytes, mut pairs) = (Tally::new(), Tally::new(), Tally::new());
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (labels, series) in &state.series {
            out.series += 1;
            out.samples += series.samples.len() as u64;
            out.min_ms = out.min_ms.min(series.samples.keys().next().copied().unwrap_or(i64::MAX));
            out.max_ms = out.max_ms.max(series.samples.keys().next_back().copied().unwrap_or(i64::MIN));
            for (name, value) in labels.iter() {
                if name == METRIC_NAME {
                    *metrics.entry(value.to_owned()).or_default() += 1;
                }
                *bytes.entry(name.to_owned()).or_default() += value.len() as u64;
                *pairs.entry(format!("{name}={value}")).or_default() += 1;
                values.entry(name.to_owned()).or_default().insert(value.to_owned());
            }
        }
        out.label_pairs = pairs.len() as u64;
        out.series_by_metric = largest(metrics, limit);
        out.values_by_label = largest(values.into_iter().map(|(n, v)| (n, v.len() as u64)).collect(), limit);
        out.bytes_by_label = largest(bytes, limit);
        out.series_by_pair = largest(pairs, limit);
        out
    }
}

type Tally = BTreeMap<String, u64>;

fn largest(tally: Tally, limit: usize) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = tally.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(limit);
    all
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct OwnedEntry {
    timestamp_ns: i64,
    line: Vec<u8>,
    metadata: Labels,
}

/// All entries in a list per stream.
#[derive(Default)]
pub struct MemoryLogs(RwLock<BTreeMap<Labels, Vec<OwnedEntry>>>);

impl MemoryLogs {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl LogSink for MemoryLogs {
    fn prepare(&self, batch: LogBatch, _now_ns: i64) -> Result<PreparedLogs, OverBudget> {
        let accepted = batch.entry_count() as u64;
        Ok(PreparedLogs {
            batch,
            accepted,
            rejections: Rejections::new(),
            space: nothing_reserved(BudgetName::LogHead),
        })
    }

    fn apply(&self, prepared: PreparedLogs, sequence: Sequence) {
        self.replay(&prepared.batch, sequence);
    }

    fn replay(&self, batch: &LogBatch, _sequence: Sequence) {
        let mut streams = self.0.write();
        for stream in batch.streams() {
            let entries = streams.entry(stream.labels().to_labels()).or_default();
            for e in stream.entries() {
                let owned = OwnedEntry {
                    timestamp_ns: e.timestamp_ns,
                    line: e.line.to_vec(),
                    metadata: e.metadata.to_labels(),
                };
                if !entries.contains(&owned) {
                    entries.push(owned);
                }
            }
        }
    }
}

/// Names of floating labels that entries have, ascending.
fn floating_names(streams: &BTreeMap<Labels, Vec<OwnedEntry>>) -> Vec<String> {
    let entries = streams.values().flatten();
    let names: BTreeSet<String> = entries
        .flat_map(|e| {
            e.metadata
                .as_ref()
                .iter()
                .filter_map(|(name, _)| floating_label(name))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    names.into_iter().collect()
}

struct OneAnswer(Option<LogRows>);

impl LogCursor for OneAnswer {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        out.clear();
        match self.0.take() {
            Some(rows) => {
                *out = rows;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl LogSource for MemoryLogs {
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        context.check()?;
        let streams = self.0.read();
        let mut rows = LogRows::default();
        let mut order: Vec<(Labels, OwnedEntry, (u32, u32))> = Vec::new();
        let selector = Selector::new(select.matchers.to_vec(), &floating_names(&streams));
        for (labels, entries) in streams.iter() {
            let Some(tests) = selector.of_stream(labels.as_ref()) else { continue };
            let wanted = |e: &&OwnedEntry| {
                tests.accepts(e.metadata.as_ref())
                    && (select.start_ns..select.end_ns).contains(&e.timestamp_ns)
                    && select.lines.iter().all(|p| p.accepts(&e.line))
                    && select.mentions.iter().all(|mention| {
                        let (timestamp_ns, metadata) = (e.timestamp_ns, e.metadata.as_ref());
                        mention.accepts(labels.as_ref(), &LogEntry { timestamp_ns, line: &e.line, metadata })
                    })
            };
            let mut wanted: Vec<&OwnedEntry> = entries.iter().filter(wanted).collect();
            if wanted.is_empty() {
                continue;
            }
            // Stable, so that arrival order stays among equal timestamps in both directions.
            match select.direction {
                Direction::Forward => wanted.sort_by_key(|e| e.timestamp_ns),
                Direction::Backward => wanted.sort_by_key(|e| std::cmp::Reverse(e.timestamp_ns)),
            }
            let stream = rows.batch.stream_count() as u32;
            rows.batch.start_stream_encoded(labels.as_ref());
            for (i, e) in wanted.into_iter().enumerate() {
                rows.batch.push_entry_encoded(e.timestamp_ns, &e.line, e.metadata.as_ref());
                order.push((labels.clone(), e.clone(), (stream, i as u32)));
            }
        }
        let view = |e: &OwnedEntry| e.timestamp_ns;
        order.sort_by(|a, b| {
            let entry = |e: &OwnedEntry| LogEntry { timestamp_ns: view(e), line: &[], metadata: LabelsRef::EMPTY };
            answer_order((&a.0, &entry(&a.1)), (&b.0, &entry(&b.1)), select.direction)
        });
        rows.order = order.into_iter().map(|(_, _, at)| at).collect();
        Ok(Box::new(OneAnswer((!rows.order.is_empty()).then_some(rows))))
    }

    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        _context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError> {
        let streams = self.0.read();
        let selector = Selector::new(matchers.to_vec(), &floating_names(&streams));
        let found = streams.iter().filter(|(labels, entries)| {
            let tests = selector.of_stream(labels.as_ref());
            let wanted = |e: &OwnedEntry| {
                (start_ns..end_ns).contains(&e.timestamp_ns)
                    && tests.as_ref().is_some_and(|t| t.accepts(e.metadata.as_ref()))
            };
            entries.iter().any(wanted)
        });
        Ok(found.map(|(l, _)| l.clone()).collect())
    }

    fn floating_names(&self) -> Vec<String> {
        floating_names(&self.0.read())
    }
}

/// All spans in one batch per trace.
#[derive(Default)]
pub struct MemoryTraces(RwLock<BTreeMap<TraceId, SpanBatch>>);

impl MemoryTraces {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl SpanSink for MemoryTraces {
    fn prepare(&self, batch: SpanBatch, _now_ns: i64) -> Result<PreparedSpans, OverBudget> {
        let mut rejections = Rejections::new();
        let mut kept = SpanBatch::new();
        for span in &batch.spans {
            if span.trace_id.is_zero() || span.span_id.is_zero() {
                rejections.add(RejectReason::InvalidId, 1, || "span without trace id or span id".to_owned());
            } else {
                kept.push_from(&batch, span);
            }
        }
        let accepted = kept.spans.len() as u64;
        Ok(PreparedSpans { batch: kept, accepted, rejections, space: nothing_reserved(BudgetName::TraceHead) })
    }

    fn apply(&self, prepared: PreparedSpans, sequence: Sequence) {
        self.replay(&prepared.batch, sequence);
    }

    fn replay(&self, batch: &SpanBatch, _sequence: Sequence) {
        let mut traces = self.0.write();
        for span in &batch.spans {
            let trace = traces.entry(span.trace_id).or_default();
            if trace.spans.iter().all(|s| (s.span_id, s.kind) != (span.span_id, span.kind)) {
                trace.push_from(batch, span);
            }
        }
    }
}

struct Traces(std::vec::IntoIter<SpanBatch>);

impl SpanCursor for Traces {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        let next = self.0.next();
        let more = next.is_some();
        *out = next.unwrap_or_default();
        Ok(more)
    }
}

impl MemoryTraces {
    fn in_range(&self, start_ns: u64, end_ns: u64) -> Vec<(SpanBatch, Vec<SpanEntry>)> {
        let traces = self.0.read();
        let spans = |t: &SpanBatch| {
            t.spans.iter().filter(|s| (start_ns..=end_ns).contains(&s.start_ns)).copied().collect::<Vec<_>>()
        };
        traces.values().map(|t| (t.clone(), spans(t))).filter(|(_, s)| !s.is_empty()).collect()
    }
}

impl TraceSource for MemoryTraces {
    fn trace(&self, id: TraceId, _context: &QueryContext) -> Result<SpanBatch, ReadError> {
        let mut trace = self.0.read().get(&id).cloned().unwrap_or_default();
        trace.spans.sort_by_key(|s| s.start_ns);
        Ok(trace)
    }

    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        context.check()?;
        let accepts = |t: &SpanBatch, s: &SpanEntry| scan.predicates.iter().all(|p| p.accepts(t, s));
        let wanted = |(mut trace, mut spans): (SpanBatch, Vec<SpanEntry>)| {
            spans.retain(|s| accepts(&trace, s));
            let some = !spans.is_empty();
            if !scan.whole_traces {
                trace.spans = spans;
            }
            some.then_some(trace)
        };
        let mut found: Vec<SpanBatch> =
            self.in_range(scan.start_ns, scan.end_ns).into_iter().filter_map(wanted).collect();
        found.sort_by_key(|t| std::cmp::Reverse(t.spans.iter().map(|s| s.start_ns).min()));
        Ok(Box::new(Traces(found.into_iter())))
    }

    fn services(&self, start_ns: u64, end_ns: u64, _context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let found = self.in_range(start_ns, end_ns);
        let names: BTreeSet<String> =
            found.iter().flat_map(|(t, spans)| spans.iter().map(|s| t.service(s).to_owned())).collect();
        Ok(names.into_iter().collect())
    }

    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        _context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError> {
        let found = self.in_range(start_ns, end_ns);
        let of_service = found.iter().flat_map(|(t, spans)| {
            spans.iter().filter(|s| t.service(s) == service).map(|s| (t.text(s.name).to_owned(), s.kind as u8))
        });
        let unique: BTreeSet<(String, u8)> = of_service.collect();
        Ok(unique.into_iter().map(|(name, kind)| (name, SpanKind::from_code(u64::from(kind)))).collect())
    }
}

/// Ids of a batch's spans, for comparing answers in tests.
pub fn span_ids(batch: &SpanBatch) -> BTreeSet<(TraceId, SpanId)> {
    batch.spans.iter().map(|s| (s.trace_id, s.span_id)).collect()
}
