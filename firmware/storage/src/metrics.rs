//! The metric contracts.

use crate::Sequence;
use crate::query::{QueryContext, ReadError};
use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::{Labels, LabelsRef, Matcher, MetricBatch, MetricMetadata, SeriesExemplars, SeriesSamples};

/// A series of this process's head: dense, from 0, never reused while the process lives, unknown to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct SeriesRef(pub u32);

/// A series entry of a prepared batch whose samples (some or all) were accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PreparedSeries {
    /// Index of the entry in the batch.
    pub entry: u32,
    /// The resolved series.
    pub series: SeriesRef,
}

/// A batch that was judged: what remains to be made durable and applied.
///
/// `batch` holds only accepted samples and exemplars: entries without any were emptied, entries of unknown shape removed.
pub struct PreparedMetrics {
    /// The accepted samples.
    pub batch: MetricBatch,
    /// One element per entry of `batch`, in its order.
    pub series: Vec<PreparedSeries>,
    /// Items stored or there already.
    pub accepted: u64,
    /// What was refused for good.
    pub rejections: Rejections,
    /// Head space for the batch; [`MetricSink::apply`] takes it over.
    pub space: Reservation,
}

/// The writing side of a metric store.
pub trait MetricSink: Send + Sync + 'static {
    /// Judges every sample against `now_ms`, resolves series and reserves head space.
    ///
    /// A sample equal to one already there is accepted and dropped; one with the same series and timestamp but
    /// another value is accepted too, and the value written last wins (a store may instead reject it as a
    /// conflict if it says so in its documentation). A store may refuse samples that are far older than the newest of
    /// their series, unless the batch fills in the past ([`MetricBatch::backfill`]).
    ///
    /// # Errors
    /// [`OverBudget`]: nothing was taken; try later.
    fn prepare(&self, batch: MetricBatch, now_ms: i64) -> Result<PreparedMetrics, OverBudget>;

    /// Enters a prepared batch, durable at `sequence`, into the head. Cannot fail. Batches of one series are
    /// applied in journal order.
    fn apply(&self, prepared: PreparedMetrics, sequence: Sequence);

    /// The series of these labels, for replay: creates it without asking budget or limits, since the journal
    /// has accepted it before.
    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef;

    /// Enters the entries of `batch` (samples, histograms, starts, exemplars) during replay, without judging again: entry
    /// `i` is of `series[i]`, whatever labels it carries; entries beyond `series` are left out.
    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, sequence: Sequence);

    /// Enters metadata (type, unit, help); also during replay.
    fn apply_metadata(&self, metadata: &[MetricMetadata], sequence: Sequence);
}

/// What a selector asks for.
#[derive(Clone, Debug)]
pub struct MetricSelect<'a> {
    /// All must match; at least one must not match the empty value, unless the caller has checked otherwise.
    pub matchers: &'a [Matcher],
    /// First timestamp wanted, milliseconds, inclusive.
    pub start_ms: i64,
    /// Last timestamp wanted, milliseconds, inclusive.
    pub end_ms: i64,
}

/// Series one by one, in ascending order of labels.
pub trait SeriesCursor {
    /// Fills `out` (cleared first) with the next series that has at least one sample in range: all its samples
    /// in range, timestamps strictly ascending, duplicates merged, staleness markers included. `false` at the end.
    ///
    /// # Errors
    /// [`ReadError`]; the cursor is finished then.
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, ReadError>;
}

/// What a metric store's head is made of: for finding out whose labels fill it. The lists are descending by number,
/// then ascending by text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cardinality {
    /// Series in the head.
    pub series: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// Samples not yet in a block.
    pub samples: u64,
    /// First timestamp in the head, milliseconds; `i64::MAX` when it is empty.
    pub min_ms: i64,
    /// Last timestamp, milliseconds; `i64::MIN` when it is empty.
    pub max_ms: i64,
    /// Series by metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Distinct values by label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of all values by label name, each value counted as often as series have it.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

/// The reading side of a metric store. One call sees one snapshot of heads and blocks.
pub trait MetricSource: Send + Sync + 'static {
    /// Series that match and have samples in range.
    ///
    /// # Errors
    /// [`ReadError`].
    fn select<'a>(
        &'a self,
        select: &MetricSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SeriesCursor + 'a>, ReadError>;

    /// Label sets of the series that match and have samples in range (to the precision of a block), ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn series(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<Labels>, ReadError>;

    /// Names of labels of matching series (all series when there are no matchers), ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn label_names(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<String>, ReadError>;

    /// Values of the label `name` of matching series, ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, ReadError>;

    /// As [`label_values`](Self::label_values), but at most `limit` of them, and whether there are more. Which ones is the
    /// store's choice, which may stop looking: those it has known longest, if it can tell.
    ///
    /// # Errors
    /// [`ReadError`].
    fn some_label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<String>, bool), ReadError> {
        let mut values = self.label_values(name, select, context)?;
        let more = values.len() > limit;
        values.truncate(limit);
        Ok((values, more))
    }

    /// Metadata by family name, ascending.
    fn metadata(&self) -> Vec<MetricMetadata>;

    /// Exemplars in range of matching series, ascending by labels; as many as are kept.
    ///
    /// # Errors
    /// [`ReadError`].
    fn exemplars(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<SeriesExemplars>, ReadError>;

    /// Where full resolution begins, milliseconds: before it, answers may come from rollups
    /// ([`SeriesSamples::rollups`]). `i64::MIN` when there are none.
    fn rolled_up_before_ms(&self) -> i64 {
        i64::MIN
    }

    /// What the head is made of, with the `limit` largest of each kind.
    fn cardinality(&self, limit: usize) -> Cardinality;
}
