//! Batches as records, of a hub's journal and of a queue: one accepted batch each, or a part of a large one.
//!
//! A record is `kind byte, body`. Bodies are columns (all references, then all timestamps, then all values),
//! because the journal compresses records as one stream and columns of like bytes cost it least. What repeats
//! between records (a series' labels, a stream's labels, a series' last value) is kept in a dictionary that both
//! sides build alike and that starts empty with each journal epoch, so that replay may begin at any extent.
//!
//! Layouts are in docs/formats.md, "Journal records"; the version is in the kind byte's upper half.

pub mod bytes;
mod coder;
mod logs;
mod metrics;
mod range_coder;
mod shown_metrics;
mod spans;
#[cfg(test)]
mod tests;

pub use metrics::SAMPLE_BYTES_MAX;
pub use metrics::rich::{EXEMPLAR_BYTES_MAX, histogram_record_bytes};

use bramble_signal::{LabelsRef, LogBatch, MetricBatch, MetricMetadata, Signal, SpanBatch};
use bramble_storage::{LogSink, MetricSink, Sequence, SeriesRef, SpanSink};

/// Raw bytes after which a record ends and a large batch goes on in the next one. A record is at most this plus
/// one item (the largest line is far smaller than this).
pub const RECORD_SOFT_MAX_BYTES: usize = 512 << 10;

/// What a series costs anew in each epoch: its definition, compressed (8 to 10 bytes on node and Kubernetes series), its
/// first value and that of learning its spread.
const DEFINITION_BYTES: usize = 17;

/// Kind, counts and the lengths of columns, with room to spare.
const RECORD_HEAD_BYTES_MAX: usize = 1024;

/// Metrics as version 0 wrote them: numbers only. Only read.
const METRICS_0: u8 = 0x01;
const METRICS: u8 = 0x11;
/// Logs as version 0 wrote them: lines as they are. Only read.
const LOGS_0: u8 = 0x02;
const LOGS: u8 = 0x12;
/// Spans as version 0 wrote them: field by field. Only read.
const SPANS_0: u8 = 0x03;
/// Spans as version 1 wrote them: links with their span ids. Only read.
const SPANS_1: u8 = 0x13;
const SPANS: u8 = 0x23;
const METADATA: u8 = 0x04;

/// A record that the journal vouches for (its checksums fit) but that does not decode: written by a newer or
/// faulty version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("journal record: {0}")]
pub struct RecordError(pub &'static str);

/// Turns batches into records.
pub struct Encoder {
    epoch: u64,
    soft_max_bytes: usize,
    metrics: metrics::Dictionary,
    logs: logs::Dictionary,
    spans: spans::Dictionary,
    /// Series that the epoch before this one defined.
    defined_before: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder::new(RECORD_SOFT_MAX_BYTES)
    }
}

impl Encoder {
    fn empty() -> Self {
        Encoder {
            epoch: 0,
            soft_max_bytes: RECORD_SOFT_MAX_BYTES,
            metrics: Default::default(),
            logs: Default::default(),
            spans: Default::default(),
            defined_before: 0,
        }
    }

    /// An encoder whose records end after `soft_max_bytes`, where that is less than [`RECORD_SOFT_MAX_BYTES`].
    pub fn new(soft_max_bytes: usize) -> Self {
        let soft_max_bytes = soft_max_bytes.min(RECORD_SOFT_MAX_BYTES);
        Encoder { soft_max_bytes, ..Encoder::empty() }
    }

    /// Forgets everything when the journal has moved on to another epoch.
    pub fn enter(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.defined_before = self.metrics.defined_series();
            self.metrics.clear();
            self.logs.clear();
            self.spans.clear();
        }
    }

    /// Most bytes that the records of `body` take if the epoch stays the same; a new one begins with an empty extent, into
    /// which any commit fits. Of logs and spans, what they are likely to take: their most is many times that, and asking for it
    /// would leave much of each extent empty. `memory_bytes`: what the batch takes in memory.
    pub fn bytes_wanted(&self, body: &Body, memory_bytes: usize) -> usize {
        match body {
            Body::Metrics(prepared) => self.metrics.bytes_max(prepared, memory_bytes),
            Body::Logs(_) => self.logs.bytes_likely(memory_bytes),
            Body::Spans(_) => self.spans.bytes_likely(memory_bytes),
            Body::Nothing(_) => 0,
        }
    }

    /// Rough size that definitions take in an epoch: what each extent must repeat.
    pub fn definition_bytes(&self) -> usize {
        self.metrics.defined_series().max(self.defined_before) * DEFINITION_BYTES
    }

    /// Makes the next [`enter`](Self::enter) start afresh: after a failed append the journal does not have what
    /// the dictionary says.
    pub fn invalidate(&mut self) {
        self.epoch = u64::MAX;
    }

    /// Memory of the dictionaries, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.metrics.memory_bytes() + self.logs.memory_bytes() + self.spans.memory_bytes()
    }
}

/// Turns records back into what stores take.
#[derive(Default)]
pub struct Decoder {
    epoch: u64,
    metrics: metrics::Replay,
    shown_metrics: shown_metrics::ShownMetrics,
    logs: logs::Replay,
    spans: spans::Replay,
}

/// What is done with samples that are read from the journal.
pub trait MetricReplay {
    /// See [`MetricSink::resolve`].
    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef;
    /// See [`MetricSink::replay`].
    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, sequence: Sequence);
    /// See [`MetricSink::apply_metadata`].
    fn apply_metadata(&self, metadata: &[MetricMetadata], sequence: Sequence);
}

/// A store's head as what is replayed into.
pub struct Head<'a>(pub &'a dyn MetricSink);

impl MetricReplay for Head<'_> {
    fn resolve(&self, labels: LabelsRef<'_>) -> SeriesRef {
        self.0.resolve(labels)
    }

    fn replay(&self, series: &[SeriesRef], batch: &MetricBatch, sequence: Sequence) {
        self.0.replay(series, batch, sequence);
    }

    fn apply_metadata(&self, metadata: &[MetricMetadata], sequence: Sequence) {
        self.0.apply_metadata(metadata, sequence);
    }
}

/// Where replayed records go: only signals whose blocks do not have them yet.
pub struct Targets<'a> {
    /// Samples and metadata.
    pub metrics: Option<&'a dyn MetricReplay>,
    /// Lines.
    pub logs: Option<&'a dyn LogSink>,
    /// Spans.
    pub spans: Option<&'a dyn SpanSink>,
}

impl Decoder {
    /// Decodes one record and hands it to the targets; a record without target still feeds the dictionary.
    /// Returns the number of items handed over.
    ///
    /// # Errors
    /// [`RecordError`]; items before the damage may have been handed over.
    pub fn replay(
        &mut self,
        epoch: u64,
        sequence: Sequence,
        record: &[u8],
        targets: &Targets<'_>,
    ) -> Result<u64, RecordError> {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.metrics.clear();
            self.logs.clear();
            self.spans.clear();
        }
        let (&kind, body) = record.split_first().ok_or(RecordError("empty"))?;
        match kind {
            METRICS => self.metrics.replay(body, targets.metrics, sequence),
            METRICS_0 => self.metrics.replay_0(body, targets.metrics, sequence),
            METADATA => metrics::replay_metadata(body, targets.metrics, sequence),
            LOGS | LOGS_0 => self.logs.replay(kind, body, targets.logs, sequence),
            SPANS | SPANS_1 | SPANS_0 => {
                let batch = self.read_spans(kind, body)?;
                let Some(sink) = targets.spans else { return Ok(0) };
                sink.replay(&batch, sequence);
                Ok(batch.spans.len() as u64)
            }
            _ => Err(RecordError("unknown kind")),
        }
    }

    /// The items of a record, if it has any; of other records nothing is decoded. To be asked about all
    /// records of an epoch, or all of the signals that are wanted.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn shown(&mut self, epoch: u64, record: &[u8]) -> Result<Option<Shown>, RecordError> {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.metrics.clear();
            self.shown_metrics.clear();
            self.logs.clear();
            self.spans.clear();
        }
        match record.split_first() {
            Some((&kind @ (METRICS | METRICS_0 | METADATA), body)) => {
                let sink: Option<&dyn MetricReplay> = Some(&self.shown_metrics);
                match kind {
                    METRICS => self.metrics.replay(body, sink, 0),
                    METRICS_0 => self.metrics.replay_0(body, sink, 0),
                    _ => metrics::replay_metadata(body, sink, 0),
                }?;
                Ok(Some(Shown::Metrics(self.shown_metrics.take())))
            }
            Some((&kind @ (LOGS | LOGS_0), body)) => self.logs.batch(kind, body).map(|batch| Some(Shown::Logs(batch))),
            Some((&kind @ (SPANS | SPANS_1 | SPANS_0), body)) => {
                self.read_spans(kind, body).map(|batch| Some(Shown::Spans(batch)))
            }
            _ => Ok(None),
        }
    }

    fn read_spans(&mut self, kind: u8, body: &[u8]) -> Result<SpanBatch, RecordError> {
        if kind == SPANS_0 { spans::version_0::read(body) } else { self.spans.read(kind, body) }
    }
}

/// What a record has for observers.
#[derive(Debug)]
pub enum Shown {
    /// Samples, or metadata alone.
    Metrics(MetricBatch),
    /// Lines.
    Logs(LogBatch),
    /// Spans.
    Spans(SpanBatch),
}

/// The signal of a record's items; `None` where it has none.
pub fn kind_of(record: &[u8]) -> Option<Signal> {
    match *record.first()? {
        METRICS | METRICS_0 | METADATA => Some(Signal::Metrics),
        LOGS | LOGS_0 => Some(Signal::Logs),
        SPANS | SPANS_1 | SPANS_0 => Some(Signal::Traces),
        _ => None,
    }
}

/// A prepared batch on its way into the journal.
pub enum Body {
    /// Samples with the references of their series, and metadata.
    Metrics(bramble_storage::PreparedMetrics),
    /// Lines.
    Logs(bramble_storage::PreparedLogs),
    /// Spans.
    Spans(bramble_storage::PreparedSpans),
    /// Of a delivery, nothing to store is left but where it comes from.
    Nothing(Signal),
}

impl Body {
    /// What it holds.
    pub fn signal(&self) -> Signal {
        match self {
            Body::Metrics(_) => Signal::Metrics,
            Body::Logs(_) => Signal::Logs,
            Body::Spans(_) => Signal::Traces,
            Body::Nothing(signal) => *signal,
        }
    }
}

impl Encoder {
    /// Appends one record with the items of `body` from index `from` on (series entries, log entries counted over
    /// streams, or spans) to `out` and returns the index of the first item that is left; `None` when all are in.
    pub fn encode(&mut self, body: &Body, from: usize, out: &mut Vec<u8>) -> Option<usize> {
        match body {
            Body::Metrics(prepared) => self.metrics.encode(prepared, from, self.soft_max_bytes, out),
            Body::Logs(prepared) => self.logs.encode(&prepared.batch, from, self.soft_max_bytes, out),
            Body::Spans(prepared) => self.spans.encode(&prepared.batch, from, self.soft_max_bytes, out),
            Body::Nothing(_) => None,
        }
    }
}
