//! Metric records.
//!
//! Body: number of entries; then columns, each entry in order: series reference (signed difference to the one
//! before); definitions of references that are new in this epoch (labels as difference to the definition before);
//! sample counts; timestamps (signed difference to the sample before); value modes, one byte each; starts; histograms;
//! exemplars; values. The length of each column but the last precedes it. Records of version 0 have no columns of
//! starts, histograms and exemplars.
//!
//! A value is coded against the series' last number in this epoch (0 at first), by mode: 0 the same bits; 1, 2, 3 a
//! signed difference of integers after scaling both by 1, 100, 1000, used only when undoing it gives the same
//! bits; 4 the bits themselves; 5 the next histogram of its column.
//!
//! Starts: for each entry whose start is another than the series' last one in this epoch (0 at first), number of
//! entries since the one before, and the start as signed difference to that one's. Histograms are as
//! `bramble_signal::encode_histogram` writes them, relative to the series' last one that is remembered; see
//! [`rich`]. Exemplars: number of entries since the one before, timestamp as signed difference, 8 bytes
//! value, labels as difference to the labels of the one before.

pub(crate) mod rich;

use super::bytes::{Reader, put_bytes, put_difference, put_varint, zigzag};
use super::{METADATA, METRICS, RecordError};
use bramble_signal::{LabelsRef, MetricBatch, MetricKind, MetricMetadata};
use bramble_storage::{MetricSink, PreparedMetrics, Sequence, SeriesRef};
use rich::{ReadRich, Remembered, RichColumns, Starts};

const SCALES: [f64; 3] = [1.0, 100.0, 1000.0];
const SAME: u8 = 0;
const RAW: u8 = 4;
const HISTOGRAM: u8 = 5;

/// References above this are not believed when replaying: no cap admits so many series.
const SERIES_REF_MAX: u64 = 1 << 26;

/// A value's integer at a scale, if turning it back gives the same bits.
fn scaled(value: f64, scale: f64) -> Option<i64> {
    let rounded = (value * scale).round();
    let integer = rounded as i64;
    // Through the integer and back, so that negative zero is seen to differ.
    let exact = rounded.abs() < 9e15 && (integer as f64 / scale).to_bits() == value.to_bits();
    exact.then_some(integer)
}

fn put_value(modes: &mut Vec<u8>, values: &mut Vec<u8>, last: f64, value: f64) {
    if last.to_bits() == value.to_bits() {
        modes.push(SAME);
        return;
    }
    for (i, &scale) in SCALES.iter().enumerate() {
        if let (Some(new), Some(old)) = (scaled(value, scale), scaled(last, scale)) {
            modes.push(i as u8 + 1);
            put_varint(values, zigzag(new - old));
            return;
        }
    }
    modes.push(RAW);
    values.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn take_value(mode: u8, values: &mut Reader<'_>, last: f64) -> Result<f64, RecordError> {
    match mode {
        SAME => Ok(last),
        1..=3 => {
            let scale = SCALES[usize::from(mode - 1)];
            let old = scaled(last, scale).ok_or(RecordError("difference to a value that has no integer"))?;
            let new = old.checked_add(values.signed()?).ok_or(RecordError("value overflows"))?;
            Ok(new as f64 / scale)
        }
        RAW => Ok(f64::from_bits(u64::from_le_bytes(values.array()?))),
        _ => Err(RecordError("unknown value mode")),
    }
}

/// What the writing side remembers of an epoch.
#[derive(Default)]
pub(super) struct Dictionary {
    /// One bit per series reference: defined in this epoch.
    defined: Vec<u64>,
    /// Last value by series reference.
    last: Vec<f64>,
    starts: Starts,
    histograms: Remembered,
    last_definition: Vec<u8>,
    scratch: Columns,
}

#[derive(Default)]
struct Columns {
    refs: Vec<u8>,
    definitions: Vec<u8>,
    counts: Vec<u8>,
    times: Vec<u8>,
    modes: Vec<u8>,
    values: Vec<u8>,
    rich: RichColumns,
}

impl Columns {
    fn clear(&mut self) {
        for column in [
            &mut self.refs,
            &mut self.definitions,
            &mut self.counts,
            &mut self.times,
            &mut self.modes,
            &mut self.values,
        ] {
            column.clear();
        }
        self.rich.clear();
    }

    fn len(&self) -> usize {
        self.refs.len()
            + self.definitions.len()
            + self.counts.len()
            + self.times.len()
            + self.modes.len()
            + self.values.len()
            + self.rich.len()
    }
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.defined.clear();
        self.last.clear();
        self.starts.clear();
        self.histograms.clear();
        self.last_definition.clear();
    }

    pub(super) fn defined_series(&self) -> usize {
        self.defined.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let c = &self.scratch;
        let scratch = c.refs.capacity() + c.definitions.capacity() + c.counts.capacity() + c.times.capacity();
        (self.defined.capacity() + self.last.capacity()) * 8
            + self.starts.memory_bytes()
            + self.histograms.memory_bytes()
            + scratch
            + c.modes.capacity()
            + c.values.capacity()
            + c.rich.memory_bytes()
    }

    /// Marks a reference as defined; whether it was before.
    fn define(&mut self, series: SeriesRef) -> bool {
        let (at, bit) = (series.0 as usize / 64, 1u64 << (series.0 % 64));
        if at >= self.defined.len() {
            self.defined.resize(at + 1, 0);
            self.last.resize((at + 1) * 64, 0.0);
        }
        let before = self.defined[at] & bit != 0;
        self.defined[at] |= bit;
        if !before {
            self.last[series.0 as usize] = 0.0;
        }
        before
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
        let (mut last_ref, mut last_time, mut entries, mut next) = (0i64, 0i64, 0u64, from);
        while next < prepared.series.len() && columns.len() < soft_max_bytes {
            let resolved = prepared.series[next];
            let entry = resolved.entry as usize;
            let (labels, samples) = prepared.batch.series(entry);
            next += 1;
            if samples.is_empty() && prepared.batch.exemplars(entry).next().is_none() {
                continue;
            }
            entries += 1;
            columns.rich.next_entry();
            put_varint(&mut columns.refs, zigzag(i64::from(resolved.series.0) - last_ref));
            last_ref = i64::from(resolved.series.0);
            if !self.define(resolved.series) {
                put_difference(&mut columns.definitions, &self.last_definition, labels.as_bytes());
                self.last_definition.clear();
                self.last_definition.extend_from_slice(labels.as_bytes());
            }
            put_varint(&mut columns.counts, samples.len() as u64);
            let mut last = self.last[resolved.series.0 as usize];
            for sample in samples {
                put_varint(&mut columns.times, zigzag(sample.timestamp_ms.wrapping_sub(last_time)));
                last_time = sample.timestamp_ms;
                if let Some(histogram) = prepared.batch.histogram(sample.value) {
                    columns.modes.push(HISTOGRAM);
                    self.histograms.encode(resolved.series.0, histogram, &mut columns.rich.histograms);
                    continue;
                }
                put_value(&mut columns.modes, &mut columns.values, last, sample.value);
                last = sample.value;
            }
            self.last[resolved.series.0 as usize] = last;
            if !samples.is_empty() && self.starts.change(resolved.series.0, prepared.batch.start_ms(entry)) {
                columns.rich.put_start(prepared.batch.start_ms(entry));
            }
            prepared.batch.exemplars(entry).for_each(|exemplar| columns.rich.put_exemplar(exemplar));
        }
        out.push(METRICS);
        put_varint(out, entries);
        for column in [&columns.refs, &columns.definitions, &columns.counts, &columns.times, &columns.modes] {
            put_bytes(out, column);
        }
        for column in columns.rich.columns() {
            put_bytes(out, column);
        }
        out.extend_from_slice(&columns.values);
        self.scratch = columns;
        let left = next < prepared.series.len() || !prepared.batch.metadata.is_empty();
        left.then_some(next)
    }
}

#[derive(Clone, Copy)]
struct Known {
    series: Option<SeriesRef>,
    last: f64,
    start_ms: i64,
}

/// What the replaying side remembers of an epoch.
#[derive(Default)]
pub(super) struct Replay {
    /// By the reference that the writing process used.
    known: Vec<Option<Known>>,
    last_definition: Vec<u8>,
    histograms: Remembered,
    /// The entry being replayed, without its labels.
    entry: MetricBatch,
    /// Definitions whose series no target wanted yet, by reference; resolved when a target appears.
    texts: std::collections::HashMap<u32, Box<[u8]>>,
}

impl Replay {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.last_definition.clear();
        self.histograms.clear();
        self.texts.clear();
    }

    /// `rich`: whether the record has columns of starts, histograms and exemplars.
    pub(super) fn replay(
        &mut self,
        body: &[u8],
        rich: bool,
        sink: Option<&dyn MetricSink>,
        sequence: Sequence,
    ) -> Result<u64, RecordError> {
        let mut body = Reader(body);
        let entries = body.varint()?;
        let mut refs = Reader(body.bytes()?);
        let mut definitions = Reader(body.bytes()?);
        let mut counts = Reader(body.bytes()?);
        let mut times = Reader(body.bytes()?);
        let mut modes = Reader(body.bytes()?);
        let mut rich = if rich { ReadRich::open(&mut body)? } else { ReadRich::none() };
        let mut values = body;
        let (mut reference, mut time, mut items) = (0i64, 0i64, 0);
        for _ in 0..entries {
            reference = reference.wrapping_add(refs.signed()?);
            let index =
                u64::try_from(reference).ok().filter(|r| *r < SERIES_REF_MAX).ok_or(RecordError("series reference"))?
                    as usize;
            if index >= self.known.len() {
                self.known.resize(index + 1, None);
            }
            let mut known = match self.known[index] {
                Some(known) => known,
                None => self.define(index as u32, &mut definitions, sink)?,
            };
            self.entry.clear();
            self.entry.start_series_encoded(LabelsRef::EMPTY);
            let count = counts.varint()?;
            for _ in 0..count {
                time = time.wrapping_add(times.signed()?);
                match modes.byte()? {
                    HISTOGRAM => {
                        let histogram = self.histograms.decode(index as u32, rich.histograms())?;
                        self.entry.push_histogram(time, histogram);
                    }
                    mode => {
                        known.last = take_value(mode, &mut values, known.last)?;
                        self.entry.push_sample(time, known.last);
                    }
                }
            }
            if let Some(start_ms) = rich.start()? {
                known.start_ms = start_ms;
            }
            if rich.has_starts() {
                self.entry.set_start(known.start_ms);
            }
            while let Some(exemplar) = rich.exemplar()? {
                self.entry.push_exemplar(exemplar);
            }
            rich.next_entry();
            if let Some(sink) = sink {
                let series = match known.series {
                    Some(series) => series,
                    None => self.resolve_late(index as u32, sink)?,
                };
                known.series = Some(series);
                sink.replay(series, &self.entry, 0, sequence);
                items += self.entry.sample_count() as u64;
            }
            self.known[index] = Some(known);
        }
        Ok(items)
    }

    fn define(
        &mut self,
        index: u32,
        definitions: &mut Reader<'_>,
        sink: Option<&dyn MetricSink>,
    ) -> Result<Known, RecordError> {
        definitions.difference(&mut self.last_definition)?;
        let labels = LabelsRef::parse(&self.last_definition).ok_or(RecordError("labels"))?;
        let series = sink.map(|s| s.resolve(labels));
        if series.is_none() {
            self.texts.insert(index, self.last_definition.as_slice().into());
        }
        Ok(Known { series, last: 0.0, start_ms: 0 })
    }

    /// The series was defined by a record that is in a block already, and is used by one that is not.
    fn resolve_late(&mut self, index: u32, sink: &dyn MetricSink) -> Result<SeriesRef, RecordError> {
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
        out.push(m.kind as u8);
        put_bytes(out, m.help.as_bytes());
        put_bytes(out, m.unit.as_bytes());
    }
    (next < metadata.len()).then_some(next)
}

fn kind_of(code: u8) -> MetricKind {
    use MetricKind::*;
    let all = [Unknown, Counter, Gauge, Histogram, GaugeHistogram, Summary, Info, StateSet];
    all.into_iter().find(|k| *k as u8 == code).unwrap_or(Unknown)
}

pub(super) fn replay_metadata(
    body: &[u8],
    sink: Option<&dyn MetricSink>,
    sequence: Sequence,
) -> Result<u64, RecordError> {
    let mut body = Reader(body);
    let mut metadata = Vec::new();
    for _ in 0..body.count()? {
        let name = body.text()?.to_owned();
        let kind = kind_of(body.byte()?);
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

    #[test]
    fn values_keep_their_bits() {
        let values = [
            0.0,
            -0.0,
            1.0,
            1.5,
            2.25,
            0.1 + 0.2,
            1e300,
            f64::NAN,
            bramble_signal::stale_marker(),
            f64::INFINITY,
            -7.0,
            1034.802,
            9e15,
            1e16,
        ];
        let (mut modes, mut bytes) = (Vec::new(), Vec::new());
        let mut last = 0.0;
        for value in values {
            put_value(&mut modes, &mut bytes, last, value);
            last = value;
        }
        let mut reader = Reader(&bytes);
        last = 0.0;
        for (value, mode) in values.iter().zip(&modes) {
            last = take_value(*mode, &mut reader, last).unwrap();
            assert_eq!(last.to_bits(), value.to_bits(), "{value}");
        }
        assert!(reader.0.is_empty());
    }
}
