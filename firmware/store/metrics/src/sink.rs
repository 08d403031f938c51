//! The writing side.

use crate::bytes::{pairs, put_bytes};
use crate::head::{Generation, LABELS_MAX, SeriesIndex};
use crate::store::MetricStore;
use bramble_runtime::OverBudget;
use bramble_signal::histogram::BUCKETS_MAX;
use bramble_signal::{LabelsRef, METRIC_NAME, MetricBatch, MetricMetadata, NativeHistogram, Sample};
use bramble_storage::{MetricSink, PreparedMetrics, PreparedSeries, RejectReason, Rejections, Sequence, SeriesRef};
use std::sync::atomic::Ordering;

/// Head space asked for one sample: most need one to three bytes, full doubles with jitter twelve.
const SAMPLE_BYTES: usize = 8;
/// And for each series of a batch: it may open a slab, and a page of chains if it is new.
const SERIES_BYTES: usize = 48;
/// Index space asked for a new series, beside four times its number of labels and its label bytes.
const NEW_SERIES_BYTES: usize = 160;

const UNKNOWN: SeriesRef = SeriesRef(u32::MAX);

impl MetricSink for MetricStore {
    fn prepare(&self, batch: MetricBatch, now_ms: i64) -> Result<PreparedMetrics, OverBudget> {
        let mut series = Vec::with_capacity(batch.series_count());
        let missing_bytes = self.find(&batch, &mut series);
        let wanted = batch.sample_count() * SAMPLE_BYTES + batch.series_count() * SERIES_BYTES + rich_bytes(&batch);
        let space = self.budgets.head.reserve(wanted)?;
        let mut rejections = Rejections::new();
        if missing_bytes > 0 {
            let _for_index = self.budgets.head.reserve(missing_bytes)?;
            self.create(&batch, &mut series, &mut rejections);
        }
        let oldest = self.limits.too_old_ms.map_or(i64::MIN, |age| now_ms.saturating_sub(age));
        let newest = now_ms.saturating_add(self.limits.future_ms);
        let floors = self.floors(&batch, &series);
        let whole = |(entry, s): (usize, &PreparedSeries)| {
            let (_, samples) = batch.series(entry);
            s.series != UNKNOWN
                && !samples.is_empty()
                && samples.iter().all(|s| (oldest..=newest).contains(&s.timestamp_ms))
                && (batch.histogram_count() == 0 || samples.iter().all(|s| fault(&batch, s).is_none()))
                && batch.exemplars(entry).all(|e| (oldest..=newest).contains(&e.timestamp_ms))
        };
        if floors.is_empty() && series.iter().enumerate().all(whole) {
            let accepted = batch.sample_count() as u64;
            return Ok(PreparedMetrics { batch, series, accepted, rejections, space });
        }
        let (batch, series) = keep_accepted(&batch, &series, (oldest, newest), &floors, now_ms, &mut rejections);
        let accepted = batch.sample_count() as u64;
        Ok(PreparedMetrics { batch, series, accepted, rejections, space })
    }

    fn apply(&self, prepared: PreparedMetrics, sequence: Sequence) {
        let PreparedMetrics { batch, series, space, .. } = prepared;
        let index = self.index.read();
        if series.iter().all(|s| index.is_live(s.series.0)) {
            self.enter(&batch, series.iter().map(|s| s.series.0), sequence);
        } else {
            drop(index);
            // A trim forgot some series while the batch waited for the journal.
            let mut index = self.index.write();
            let again: Vec<u32> =
                series.iter().map(|s| index.resolve(batch.series(s.entry as usize).0.as_bytes())).collect();
            self.account_index(&index);
            self.enter(&batch, again.into_iter(), sequence);
        }
        drop(space);
        self.apply_metadata(&batch.metadata, sequence);
    }

    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef {
        if let Some(found) = self.index.read().find(labels.as_bytes(), u32::MAX) {
            return SeriesRef(found);
        }
        let mut index = self.index.write();
        let series = index.resolve(labels.as_bytes());
        self.counters.series_created.inc();
        self.account_index(&index);
        SeriesRef(series)
    }

    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, sequence: Sequence) {
        let _index = self.index.read();
        self.enter(batch, series.iter().map(|s| s.0), sequence);
    }

    fn apply_metadata(&self, metadata: &[MetricMetadata], _sequence: Sequence) {
        if metadata.is_empty() {
            return;
        }
        let mut map = self.metadata.lock();
        for family in metadata {
            if !map.put(family, true) {
                self.counters.metadata_dropped.inc();
            }
        }
    }
}

fn start(active: &mut Generation, sequence: Sequence) {
    if active.first_sequence == 0 {
        active.first_sequence = sequence;
    }
}

impl MetricStore {
    /// Resolves the series that are known; returns the index space that the others need.
    fn find(&self, batch: &MetricBatch, series: &mut Vec<PreparedSeries>) -> usize {
        let index = self.index.read();
        let (mut guess, mut missing_bytes) = (0, 0);
        for (entry, (labels, _)) in batch.iter().enumerate() {
            let found = index.find(labels.as_bytes(), guess);
            match found {
                Some(series) => guess = series.wrapping_add(1),
                None => missing_bytes += NEW_SERIES_BYTES + labels.as_bytes().len(),
            }
            series.push(PreparedSeries { entry: entry as u32, series: found.map_or(UNKNOWN, SeriesRef) });
        }
        missing_bytes
    }

    fn create(&self, batch: &MetricBatch, series: &mut [PreparedSeries], rejections: &mut Rejections) {
        let mut index = self.index.write();
        let before = index.end();
        let mut name = Vec::new();
        for prepared in series.iter_mut().filter(|s| s.series == UNKNOWN) {
            let (labels, samples) = batch.series(prepared.entry as usize);
            match self.may_create(&index, labels, &mut name) {
                Ok(()) => prepared.series = SeriesRef(index.resolve(labels.as_bytes())),
                Err((reason, why)) => rejections.add(reason, samples.len() as u64, || format!("{labels}: {why}")),
            }
        }
        self.counters.series_created.inc_by(u64::from(index.end() - before));
        self.account_index(&index);
    }

    fn may_create(
        &self,
        index: &SeriesIndex,
        labels: LabelsRef<'_>,
        name: &mut Vec<u8>,
    ) -> Result<(), (RejectReason, String)> {
        if index.find(labels.as_bytes(), u32::MAX).is_some() {
            return Ok(());
        }
        if pairs(labels.as_bytes()).count() > LABELS_MAX {
            return Err((RejectReason::InvalidLabels, format!("more than {LABELS_MAX} labels")));
        }
        if index.len() >= self.limits.series_max {
            return Err((RejectReason::SeriesLimit, format!("more than {} series", self.limits.series_max)));
        }
        let metric = labels.get(METRIC_NAME).unwrap_or_default();
        name.clear();
        put_bytes(name, METRIC_NAME.as_bytes());
        put_bytes(name, metric.as_bytes());
        if index.pairs.count(name) >= self.limits.series_per_metric_max {
            let most = self.limits.series_per_metric_max;
            return Err((RejectReason::SeriesLimit, format!("more than {most} series of metric {metric:?}")));
        }
        Ok(())
    }

    /// Entries with samples that are too far out of order, ascending.
    fn floors(&self, batch: &MetricBatch, series: &[PreparedSeries]) -> Vec<Floor> {
        let Some(window_ms) = self.limits.out_of_order_ms.filter(|_| !batch.backfill) else { return Vec::new() };
        // Nearly all samples are near the newest of all, and then no series has to be asked.
        let near_ms = self.newest_ms.load(Ordering::Relaxed).saturating_sub(window_ms);
        let is_far = |samples: &[Sample]| samples.iter().any(|sample| sample.timestamp_ms < near_ms);
        if !batch.iter().any(|(_, samples)| is_far(samples)) {
            return Vec::new();
        }
        let tip = self.tip.read();
        let generations: Vec<_> =
            tip.frozen.iter().map(|frozen| frozen.generation.read()).chain([tip.active.read()]).collect();
        let mut floors = Vec::new();
        for (prepared, (_, samples)) in series.iter().zip(batch.iter()) {
            let Some(first) = samples.iter().map(|sample| sample.timestamp_ms).min() else { continue };
            if first >= near_ms || prepared.series == UNKNOWN {
                continue;
            }
            let newest = generations.iter().filter_map(|generation| generation.newest_ms(prepared.series.0)).max();
            if let Some(newest_ms) = newest.filter(|newest| first < newest.saturating_sub(window_ms)) {
                floors.push(Floor { entry: prepared.entry, newest_ms, window_ms });
            }
        }
        floors
    }

    fn enter(&self, batch: &MetricBatch, series: impl Iterator<Item = u32>, sequence: Sequence) {
        let tip = self.tip.read();
        let mut active = tip.active.write();
        let (items, late) = (active.items, active.late);
        start(&mut active, sequence);
        for (entry, number) in series.enumerate().take(batch.series_count()) {
            active.push_entry(number, batch, entry);
        }
        self.counters.out_of_order.inc_by(active.late - late);
        self.counters.duplicates.inc_by((batch.sample_count() as u64).saturating_sub(active.items - items));
        self.newest_ms.fetch_max(active.max_ms, Ordering::Relaxed);
        self.account_active(active.bytes());
    }
}

/// Head space asked for histograms, exemplars and starts. Of a histogram's series the last one is kept as it is, and of
/// each about two bytes per number.
fn rich_bytes(batch: &MetricBatch) -> usize {
    const START_BYTES: usize = 24;
    if batch.histogram_count() == 0 && batch.exemplar_count() == 0 && batch.series_count() > 0 && batch.start_ms(0) == 0
    {
        let starts = (0..batch.series_count()).filter(|&entry| batch.start_ms(entry) != 0).count();
        return starts * START_BYTES;
    }
    let mut bytes = 0;
    for (entry, (_, samples)) in batch.iter().enumerate() {
        bytes += usize::from(batch.start_ms(entry) != 0) * START_BYTES;
        let sizes = samples.iter().filter_map(|s| batch.histogram(s.value)).map(NativeHistogram::memory_bytes);
        let (largest, all) = sizes.fold((0, 0), |(largest, all), size| (size.max(largest), all + size / 4));
        bytes += largest + all;
        bytes += batch.exemplars(entry).map(|e| e.labels.as_bytes().len() + 96).sum::<usize>();
    }
    bytes
}

/// What is wrong with a sample's histogram: pages need spans that say how many buckets there are, each once.
fn fault(batch: &MetricBatch, sample: &Sample) -> Option<&'static str> {
    let histogram = batch.histogram(sample.value)?;
    let sides = [
        (&histogram.positive_spans, histogram.positive_counts.len()),
        (&histogram.negative_spans, histogram.negative_counts.len()),
    ];
    for (spans, buckets) in sides {
        if spans.len() > BUCKETS_MAX || buckets > BUCKETS_MAX || histogram.custom_bounds.len() > BUCKETS_MAX {
            return Some("too many buckets");
        }
        if spans.iter().map(|span| u64::from(span.length)).sum::<u64>() != buckets as u64 {
            return Some("spans and buckets differ in number");
        }
        if spans.iter().skip(1).any(|span| span.offset < 0) {
            return Some("spans overlap");
        }
    }
    None
}

/// What an entry's samples may be older than.
struct Floor {
    entry: u32,
    newest_ms: i64,
    window_ms: i64,
}

/// A copy of the batch without what is refused. Samples of unknown series were counted when they were refused.
fn keep_accepted(
    batch: &MetricBatch,
    series: &[PreparedSeries],
    (oldest, newest): (i64, i64),
    floors: &[Floor],
    now_ms: i64,
    rejections: &mut Rejections,
) -> (MetricBatch, Vec<PreparedSeries>) {
    let (mut kept, mut kept_series) = (MetricBatch::new(), Vec::with_capacity(series.len()));
    kept.metadata.clone_from(&batch.metadata);
    kept.backfill = batch.backfill;
    let mut floors = floors.iter().peekable();
    for (entry, (prepared, (labels, samples))) in series.iter().zip(batch.iter()).enumerate() {
        let floor = floors.next_if(|floor| floor.entry as usize == entry);
        if prepared.series == UNKNOWN {
            continue;
        }
        let mut any = false;
        let mut open = |kept: &mut MetricBatch| {
            if !std::mem::replace(&mut any, true) {
                kept.start_series_encoded(labels);
                kept.set_start(batch.start_ms(entry));
                kept_series.push(PreparedSeries { entry: kept_series.len() as u32, series: prepared.series });
            }
        };
        for sample in samples {
            let age = now_ms.saturating_sub(sample.timestamp_ms);
            if let Some(what) = fault(batch, sample) {
                rejections.add(RejectReason::Malformed, 1, || format!("{labels}: histogram: {what}"));
                continue;
            }
            if let Some(floor) =
                floor.filter(|floor| sample.timestamp_ms < floor.newest_ms.saturating_sub(floor.window_ms))
            {
                let behind = floor.newest_ms.saturating_sub(sample.timestamp_ms) / 1000;
                let window = floor.window_ms / 1000;
                rejections.add(RejectReason::TooOld, 1, || {
                    let t = sample.timestamp_ms;
                    format!("{labels}: timestamp {t} is {behind} s before the series' newest sample, out of order by more than {window} s")
                });
                continue;
            }
            let reason = match sample.timestamp_ms {
                t if t < oldest => RejectReason::TooOld,
                t if t > newest => RejectReason::TooFarInFuture,
                _ => {
                    open(&mut kept);
                    kept.push_sample_of(batch, *sample);
                    continue;
                }
            };
            rejections.add(reason, 1, || match reason {
                RejectReason::TooOld => format!("{labels}: timestamp {} is {} s old", sample.timestamp_ms, age / 1000),
                _ => format!("{labels}: timestamp {} is {} s ahead", sample.timestamp_ms, -(age / 1000)),
            });
        }
        // No sender waits for word of an exemplar: what is out of bounds is left out.
        for exemplar in batch.exemplars(entry).filter(|e| (oldest..=newest).contains(&e.timestamp_ms)) {
            open(&mut kept);
            kept.push_exemplar(exemplar.clone());
        }
    }
    (kept, kept_series)
}
