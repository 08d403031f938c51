//! Metric records.
//!
//! Body: number of entries; then columns, each entry in order: series references (numbers from 0 by first use in the
//! epoch); definitions of references that are new in this epoch (labels as difference to the definition before); sample
//! counts; timestamps; starts; histograms; exemplars; values. The length of each column but the last precedes it.
//!
//! References, counts and timestamps are runs, `signed number, repetitions - 1`, since senders repeat themselves. A
//! reference is counted from the one after the last, a count as it is. A timestamp is counted from the one at the same
//! place in the entry before, or, where that has none, from the sample before.
//!
//! Values go through one range coder, series by series modelled as [`numbers`] says.
//!
//! Starts: for each entry whose start is another than the series' last one in this epoch (0 at first), number of
//! entries since the one before, and the start as signed difference to that one's. Histograms are as
//! `bramble_signal::encode_histogram` writes them, relative to the series' last one that is remembered; see
//! [`rich`]. Exemplars: number of entries since the one before, timestamp as signed difference, 8 bytes
//! value, labels as difference to the labels of the one before.
//!
//! Version 0 is only read: [`version_0`].

mod numbering;
mod numbers;
pub(crate) mod rich;
mod runs;
mod version_0;

use super::MetricReplay;
use super::bytes::{Reader, put_bytes, put_difference, put_varint};
use super::range_coder::{RangeDecoder, RangeEncoder};
use super::{METADATA, METRICS, RECORD_HEAD_BYTES_MAX, RecordError};
use bramble_signal::{LabelsRef, MetricBatch, MetricKind, MetricMetadata};
use bramble_storage::{PreparedMetrics, PreparedSeries, Sequence, SeriesRef};
use numbering::Numbering;
use numbers::{Coded, Contexts, Model};
use rich::{ReadRich, Remembered, RichColumns, Starts};
use runs::{ReadRuns, Runs, Times};

/// References above this are not believed when replaying: no cap admits so many series.
const SERIES_REF_MAX: u64 = 1 << 26;

/// Most bytes that one sample takes in a record: timestamp with repetitions 12, a value 18 (64 bits and 13 that are as
/// unlikely as the coder lets them be, 6 bits each).
pub const SAMPLE_BYTES_MAX: usize = 30;
/// And an entry beside its samples and definition: reference and count with repetitions, start.
const ENTRY_BYTES_MAX: usize = 40;

/// Samples after which a record ends, as for bytes: values that stay take next to none, and a reader must know how
/// many to expect of a record at most.
const RECORD_SAMPLES_SOFT_MAX: usize = 256 << 10;
/// An entry has at most 16,384 samples when it arrives here; twice that is not believed.
const RECORD_SAMPLES_MAX: usize = RECORD_SAMPLES_SOFT_MAX + (32 << 10);
/// Samples that are handed over together when replaying.
const HANDED_SAMPLES: usize = 8 << 10;

/// What the writing side remembers of an epoch.
#[derive(Default)]
pub(super) struct Dictionary {
    /// Of the series that are defined in this epoch: what records call their references.
    numbering: Numbering,
    /// By number.
    models: Vec<Model>,
    contexts: Contexts,
    starts: Starts,
    histograms: Remembered,
    last_definition: Vec<u8>,
    scratch: Columns,
}

#[derive(Default)]
struct Columns {
    refs: Runs,
    definitions: Vec<u8>,
    counts: Runs,
    times: Runs,
    values: RangeEncoder,
    rich: RichColumns,
}

impl Columns {
    fn clear(&mut self) {
        [&mut self.refs, &mut self.counts, &mut self.times].into_iter().for_each(Runs::clear);
        self.definitions.clear();
        self.values.clear();
        self.rich.clear();
    }

    fn len(&self) -> usize {
        self.refs.len()
            + self.definitions.len()
            + self.counts.len()
            + self.times.len()
            + self.values.len()
            + self.rich.len()
    }

    fn memory_bytes(&self) -> usize {
        self.refs.memory_bytes()
            + self.definitions.capacity()
            + self.counts.memory_bytes()
            + self.times.memory_bytes()
            + self.values.memory_bytes()
            + self.rich.memory_bytes()
    }
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.numbering.clear();
        self.models.clear();
        self.contexts = Contexts::default();
        self.starts.clear();
        self.histograms.clear();
        self.last_definition.clear();
    }

    /// Most bytes of records in this epoch.
    pub(super) fn bytes_max(&self, prepared: &PreparedMetrics, memory_bytes: usize) -> usize {
        let batch = &prepared.batch;
        let is_plain = batch.histogram_count() == 0 && batch.exemplar_count() == 0 && batch.metadata.is_empty();
        if !is_plain {
            // Numbers of histograms take ten bytes for eight; all that is not plain is rare.
            return RECORD_HEAD_BYTES_MAX + memory_bytes.saturating_mul(4);
        }
        let entry = |resolved: &PreparedSeries| {
            let (labels, samples) = batch.series(resolved.entry as usize);
            let definition = if self.numbering.knows(resolved.series) { 0 } else { labels.as_bytes().len() + 16 };
            definition + ENTRY_BYTES_MAX + samples.len() * SAMPLE_BYTES_MAX
        };
        // A large batch is several records.
        let bytes = prepared.series.iter().map(entry).sum::<usize>();
        bytes + RECORD_HEAD_BYTES_MAX * (2 + bytes / (64 << 10))
    }

    pub(super) fn defined_series(&self) -> usize {
        self.numbering.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.numbering.memory_bytes()
            + self.models.capacity() * size_of::<Model>()
            + Contexts::BYTES
            + self.starts.memory_bytes()
            + self.histograms.memory_bytes()
            + self.scratch.memory_bytes()
    }

    /// The number of a series in this epoch, and whether it is new.
    fn number(&mut self, series: SeriesRef) -> (u32, bool) {
        let (number, is_new) = self.numbering.number(series);
        if is_new {
            if self.models.len() == self.models.capacity() {
                // By an eighth and not to the double: with many series this is the largest part of the encoder.
                self.models.reserve_exact((self.models.len() / 8).max(64));
            }
            self.models.push(Model::NEW);
        }
        (number, is_new)
    }

    pub(super) fn encode(
        &mut self,
        prepared: &PreparedMetrics,
        from: usize,
        soft_max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        if from >= prepared.series.len() && !prepared.batch.metadata.is_empty() {
            let first = from - prepared.series.len();
            let next = encode_metadata(&prepared.batch.metadata, first, soft_max_bytes, out);
            return next.map(|next| prepared.series.len() + next);
        }
        let mut columns = std::mem::take(&mut self.scratch);
        columns.clear();
        let (mut expected_ref, mut times, mut entries, mut next) = (0i64, Times::default(), 0u64, from);
        let mut sample_count = 0;
        self.contexts.start_record();
        while next < prepared.series.len() && columns.len() < soft_max_bytes && sample_count < RECORD_SAMPLES_SOFT_MAX {
            let resolved = prepared.series[next];
            let entry = resolved.entry as usize;
            let (labels, samples) = prepared.batch.series(entry);
            next += 1;
            if samples.is_empty() && prepared.batch.exemplars(entry).next().is_none() {
                continue;
            }
            entries += 1;
            sample_count += samples.len();
            columns.rich.next_entry();
            let (number, is_new) = self.number(resolved.series);
            columns.refs.push(i64::from(number) - expected_ref);
            expected_ref = i64::from(number) + 1;
            if is_new {
                put_difference(&mut columns.definitions, &self.last_definition, labels.as_bytes());
                self.last_definition.clear();
                self.last_definition.extend_from_slice(labels.as_bytes());
            }
            columns.counts.push(samples.len() as i64);
            times.next_entry();
            self.contexts.start_entry();
            let model = &mut self.models[number as usize];
            for sample in samples {
                columns.times.push(sample.timestamp_ms.wrapping_sub(times.expected()));
                times.seen(sample.timestamp_ms);
                let value = match prepared.batch.histogram(sample.value) {
                    Some(histogram) => {
                        self.histograms.encode(number, histogram, &mut columns.rich.histograms);
                        Coded::Histogram
                    }
                    None => Coded::Number(sample.value),
                };
                self.contexts.encode(model, value, &mut columns.values);
            }
            if !samples.is_empty() && self.starts.change(number, prepared.batch.start_ms(entry)) {
                columns.rich.put_start(prepared.batch.start_ms(entry));
            }
            prepared.batch.exemplars(entry).for_each(|exemplar| columns.rich.put_exemplar(exemplar));
        }
        out.push(METRICS);
        put_varint(out, entries);
        put_bytes(out, columns.refs.finish());
        put_bytes(out, &columns.definitions);
        put_bytes(out, columns.counts.finish());
        put_bytes(out, columns.times.finish());
        for column in columns.rich.columns() {
            put_bytes(out, column);
        }
        out.extend_from_slice(columns.values.finish());
        self.scratch = columns;
        let left = next < prepared.series.len() || !prepared.batch.metadata.is_empty();
        left.then_some(next)
    }
}

/// What the replaying side remembers of a series in an epoch.
#[derive(Clone, Copy)]
struct Known {
    series: Option<SeriesRef>,
    model: Model,
    /// The last value in records of version 0, which know no models.
    last: f64,
    start_ms: i64,
}

/// What the replaying side remembers of an epoch.
#[derive(Default)]
pub(super) struct Replay {
    /// By the reference that the writing process used.
    known: Vec<Option<Known>>,
    contexts: Contexts,
    last_definition: Vec<u8>,
    histograms: Remembered,
    /// Entries that were read and not handed over yet, without their labels, and whose they are. No series where nobody
    /// wants them.
    entries: MetricBatch,
    series: Vec<SeriesRef>,
    /// Definitions whose series no target wanted yet, by reference; resolved when a target appears.
    texts: std::collections::HashMap<u32, Box<[u8]>>,
}

impl Replay {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.contexts = Contexts::default();
        self.last_definition.clear();
        self.histograms.clear();
        self.texts.clear();
    }

    pub(super) fn replay(
        &mut self,
        body: &[u8],
        sink: Option<&dyn MetricReplay>,
        sequence: Sequence,
    ) -> Result<u64, RecordError> {
        let items = self.read(body, sink, sequence);
        // What came before damage is kept.
        let last = self.hand_over(sink, sequence);
        items.map(|items| items + last)
    }

    fn read(&mut self, body: &[u8], sink: Option<&dyn MetricReplay>, sequence: Sequence) -> Result<u64, RecordError> {
        let mut body = Reader(body);
        let entries = body.varint()?;
        let mut refs = ReadRuns::new(body.bytes()?);
        let mut definitions = Reader(body.bytes()?);
        let mut counts = ReadRuns::new(body.bytes()?);
        let mut column = ReadRuns::new(body.bytes()?);
        let mut rich = ReadRich::open(&mut body)?;
        let mut values = RangeDecoder::new(body.0);
        let (mut expected_ref, mut times, mut items) = (0i64, Times::default(), 0);
        let mut left = RECORD_SAMPLES_MAX;
        self.contexts.start_record();
        if entries > left as u64 + rich.exemplar_bytes() {
            return Err(RecordError("more entries than samples and exemplars"));
        }
        for _ in 0..entries {
            let reference = expected_ref.wrapping_add(refs.next()?);
            expected_ref = reference.wrapping_add(1);
            let (index, mut known) = self.known(reference, &mut definitions, sink)?;
            self.start(index, &mut known, sink)?;
            times.next_entry();
            self.contexts.start_entry();
            let count = usize::try_from(counts.next()?).ok().filter(|&n| n <= left);
            let count = count.ok_or(RecordError("more samples than a record has"))?;
            left -= count;
            for _ in 0..count {
                let time = times.expected().wrapping_add(column.next()?);
                times.seen(time);
                match self.contexts.decode(&mut known.model, &mut values)? {
                    Coded::Number(value) => self.entries.push_sample(time, value),
                    Coded::Histogram => {
                        let histogram = self.histograms.decode(index, rich.histograms())?;
                        self.entries.push_histogram(time, histogram);
                    }
                }
            }
            if let Some(start_ms) = rich.start()? {
                known.start_ms = start_ms;
            }
            self.entries.set_start(known.start_ms);
            while let Some(exemplar) = rich.exemplar()? {
                self.entries.push_exemplar(exemplar);
            }
            rich.next_entry();
            self.known[index as usize] = Some(known);
            if self.entries.sample_count() >= HANDED_SAMPLES {
                items += self.hand_over(sink, sequence);
            }
        }
        Ok(items)
    }

    /// What is known of a series, by its reference in the record; new ones are defined.
    fn known(
        &mut self,
        reference: i64,
        definitions: &mut Reader<'_>,
        sink: Option<&dyn MetricReplay>,
    ) -> Result<(u32, Known), RecordError> {
        let index = u64::try_from(reference).ok().filter(|r| *r < SERIES_REF_MAX);
        let index = index.ok_or(RecordError("series reference"))? as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, None);
        }
        let known = match self.known[index] {
            Some(known) => known,
            None => self.define(index as u32, definitions, sink)?,
        };
        Ok((index as u32, known))
    }

    /// Begins an entry of the series, which is resolved if someone wants it.
    fn start(&mut self, index: u32, known: &mut Known, sink: Option<&dyn MetricReplay>) -> Result<(), RecordError> {
        if let Some(sink) = sink {
            let series = match known.series {
                Some(series) => series,
                None => self.resolve_late(index, sink)?,
            };
            known.series = Some(series);
            self.series.push(series);
        }
        self.entries.start_series_encoded(LabelsRef::EMPTY);
        Ok(())
    }

    /// Gives what was read to the sink; returns the number of samples.
    fn hand_over(&mut self, sink: Option<&dyn MetricReplay>, sequence: Sequence) -> u64 {
        let mut items = 0;
        if let Some(sink) = sink {
            sink.replay(&self.series, &self.entries, sequence);
            items = self.entries.sample_count() as u64;
        }
        self.entries.clear();
        self.series.clear();
        items
    }

    fn define(
        &mut self,
        index: u32,
        definitions: &mut Reader<'_>,
        sink: Option<&dyn MetricReplay>,
    ) -> Result<Known, RecordError> {
        definitions.difference(&mut self.last_definition)?;
        let labels = LabelsRef::parse(&self.last_definition).ok_or(RecordError("labels"))?;
        let series = sink.map(|s| s.resolve(labels));
        if series.is_none() {
            self.texts.insert(index, self.last_definition.as_slice().into());
        }
        Ok(Known { series, model: Model::NEW, last: 0.0, start_ms: 0 })
    }

    /// The series was defined by a record that is in a block already, and is used by one that is not.
    fn resolve_late(&mut self, index: u32, sink: &dyn MetricReplay) -> Result<SeriesRef, RecordError> {
        let labels = self.texts.remove(&index).ok_or(RecordError("undefined series"))?;
        Ok(sink.resolve(LabelsRef::parse(&labels).ok_or(RecordError("labels"))?))
    }
}

/// One record with metadata from index `first` on; returns the index that is left to begin with, if any.
fn encode_metadata(
    metadata: &[MetricMetadata],
    first: usize,
    soft_max_bytes: usize,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let (mut bytes, mut next) = (0, first);
    while next < metadata.len() && bytes < soft_max_bytes {
        let m = &metadata[next];
        bytes += m.name.len() + m.help.len() + m.unit.len();
        next += 1;
    }
    out.push(METADATA);
    put_varint(out, (next - first) as u64);
    for m in &metadata[first..next] {
        put_bytes(out, m.name.as_bytes());
        out.push(m.kind.code());
        put_bytes(out, m.help.as_bytes());
        put_bytes(out, m.unit.as_bytes());
    }
    (next < metadata.len()).then_some(next)
}

pub(super) fn replay_metadata(
    body: &[u8],
    sink: Option<&dyn MetricReplay>,
    sequence: Sequence,
) -> Result<u64, RecordError> {
    let mut body = Reader(body);
    let mut metadata = Vec::new();
    for _ in 0..body.count()? {
        let name = body.text()?.to_owned();
        let kind = MetricKind::from_code(body.byte()?).unwrap_or(MetricKind::Unknown);
        metadata.push(MetricMetadata { name, kind, help: body.text()?.to_owned(), unit: body.text()?.to_owned() });
    }
    if let Some(sink) = sink {
        sink.apply_metadata(&metadata, sequence);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_metadata_takes_several_records() {
        let of = |i: usize| MetricMetadata {
            name: format!("m{i}"),
            kind: MetricKind::Counter,
            help: "h".repeat(1000),
            unit: String::new(),
        };
        let metadata: Vec<MetricMetadata> = (0..10).map(of).collect();
        let (mut first, mut records, mut read) = (Some(0), 0, 0);
        while let Some(at) = first {
            let mut record = Vec::new();
            first = encode_metadata(&metadata, at, 2500, &mut record);
            read += Reader(&record[1..]).count().unwrap();
            records += 1;
        }
        assert_eq!((records, read), (4, 10));
    }
}
