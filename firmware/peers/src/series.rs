//! Series as frames: rollups, which node deliveries have no place for, and then a batch as those have it.
//!
//! A series whose samples are many, or whose counts began at different times, is several entries one after the other, also
//! over frames: entries of equal labels that follow each other are one series.

use crate::frame::{FRAME_BYTES, FrameWriter, SERIES};
use bramble_signal::{Labels, LabelsRef, MetricBatch, Rollup, Sample, SeriesSamples, StartChange, histogram_marker};
use bramble_storage::ReadError;
use bramble_wire::delivery::{put_metrics, read_metrics};

/// Samples of an entry.
const ENTRY_SAMPLES: usize = 4096;
/// Bytes of a rollup in a frame: entry, two counts, a flag, three times, six values, and room for one more.
const ROLLUP_BYTES: usize = 4 + 4 + 4 + 1 + 10 * 8;

/// Gathers series and sends them.
#[derive(Default)]
pub(crate) struct SeriesWriter {
    batch: MetricBatch,
    rollups: Vec<(u32, Rollup)>,
    payload: Vec<u8>,
    bytes: usize,
}

impl SeriesWriter {
    /// Adds a series with its samples, and sends frames that are full.
    pub(crate) fn put(&mut self, series: &SeriesSamples, out: &mut FrameWriter<'_>) -> Result<(), ReadError> {
        self.start(series.labels.as_ref(), 0);
        let entry = (self.batch.series_count().saturating_sub(1)) as u32;
        self.rollups.extend(series.rollups.iter().map(|rollup| (entry, *rollup)));
        self.bytes += series.rollups.len() * ROLLUP_BYTES;
        let (mut starts, mut start_ms, mut in_entry) = (series.starts.iter().peekable(), 0, 0);
        for (&timestamp_ms, &value) in series.timestamps_ms.iter().zip(&series.values) {
            let before = start_ms;
            while let Some(change) = starts.next_if(|change| change.timestamp_ms <= timestamp_ms) {
                start_ms = change.start_ms;
            }
            if self.bytes >= FRAME_BYTES {
                self.flush(out)?;
                self.start(series.labels.as_ref(), start_ms);
                in_entry = 0;
            } else if in_entry >= ENTRY_SAMPLES || before != start_ms {
                self.start(series.labels.as_ref(), start_ms);
                in_entry = 0;
            }
            match series.histogram(value) {
                Some(histogram) => {
                    self.bytes += histogram.memory_bytes();
                    self.batch.push_histogram(timestamp_ms, histogram.clone());
                }
                None => self.batch.push_sample(timestamp_ms, value),
            }
            self.bytes += 16;
            in_entry += 1;
        }
        self.flush_full(out)
    }

    /// Adds a batch's entry without samples: a label set, with exemplars.
    pub(crate) fn put_labels(
        &mut self,
        labels: LabelsRef<'_>,
        exemplars: &[bramble_signal::Exemplar],
        out: &mut FrameWriter<'_>,
    ) -> Result<(), ReadError> {
        self.start(labels, 0);
        for exemplar in exemplars {
            self.bytes += exemplar.labels.as_bytes().len() + 32;
            self.batch.push_exemplar(exemplar.clone());
        }
        self.flush_full(out)
    }

    /// Adds metadata.
    pub(crate) fn put_metadata(
        &mut self,
        metadata: bramble_signal::MetricMetadata,
        out: &mut FrameWriter<'_>,
    ) -> Result<(), ReadError> {
        self.bytes += metadata.name.len() + metadata.help.len() + metadata.unit.len() + 16;
        self.batch.metadata.push(metadata);
        self.flush_full(out)
    }

    fn start(&mut self, labels: LabelsRef<'_>, start_ms: i64) {
        self.batch.start_series_encoded(labels);
        self.batch.set_start(start_ms);
        self.bytes += labels.as_bytes().len() + 16;
    }

    fn flush_full(&mut self, out: &mut FrameWriter<'_>) -> Result<(), ReadError> {
        if self.bytes >= FRAME_BYTES { self.flush(out) } else { Ok(()) }
    }

    /// Sends what is left.
    pub(crate) fn flush(&mut self, out: &mut FrameWriter<'_>) -> Result<(), ReadError> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.payload.clear();
        put_rollups(&self.rollups, &mut self.payload);
        put_metrics(&self.batch, &mut self.payload);
        out.send(SERIES, &self.payload)?;
        self.batch.clear();
        self.rollups.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn put_rollups(rollups: &[(u32, Rollup)], out: &mut Vec<u8>) {
    out.extend_from_slice(&(rollups.len() as u32).to_le_bytes());
    for (entry, rollup) in rollups {
        for number in [*entry, rollup.count, rollup.resets] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(rollup.stale.into());
        let (first, last) = (rollup.first, rollup.last);
        for number in [rollup.start_ms, first.timestamp_ms, last.timestamp_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let values = [rollup.sum, rollup.min, rollup.max, first.value, last.value, rollup.increase];
        values.iter().for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
        // Room for what a rollup may come to hold.
        out.extend_from_slice(&[0; 8]);
    }
}

/// Takes `N` bytes off.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn read_rollup(bytes: &mut &[u8]) -> Option<(u32, Rollup)> {
    let mut small = || take::<4>(bytes).map(u32::from_le_bytes);
    let (entry, count, resets) = (small()?, small()?, small()?);
    let stale = take::<1>(bytes)? != [0];
    let mut time = || take::<8>(bytes).map(i64::from_le_bytes);
    let (start_ms, first_ms, last_ms) = (time()?, time()?, time()?);
    let mut value = || take::<8>(bytes).map(|bits| f64::from_bits(u64::from_le_bytes(bits)));
    let (sum, min, max) = (value()?, value()?, value()?);
    let (first, last, increase) = (value()?, value()?, value()?);
    value()?;
    let sample = |timestamp_ms, value| Sample { timestamp_ms, value };
    let (first, last) = (sample(first_ms, first), sample(last_ms, last));
    Some((entry, Rollup { start_ms, count, resets, stale, sum, min, max, first, last, increase }))
}

/// A frame's series.
pub(crate) struct SeriesFrame {
    pub(crate) batch: MetricBatch,
    /// With the entry that each is of, ascending.
    rollups: Vec<(u32, Rollup)>,
}

impl SeriesFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(mut payload: &[u8]) -> Result<Self, String> {
        let cut = || "a frame of series is cut off".to_owned();
        let count = take::<4>(&mut payload).map(u32::from_le_bytes).ok_or_else(cut)? as usize;
        if count > payload.len() / ROLLUP_BYTES {
            return Err(cut());
        }
        let rollups: Option<Vec<_>> = (0..count).map(|_| read_rollup(&mut payload)).collect();
        // What is small on the wire may be larger in memory, but not by much more than this.
        let decoded = read_metrics(payload, payload.len() * 16 + (64 << 10)).map_err(|error| error.to_string())?;
        if let Some((_, story)) = decoded.rejected.first_reason() {
            return Err(story.to_owned());
        }
        Ok(SeriesFrame { batch: decoded.batch, rollups: rollups.ok_or_else(cut)? })
    }

    /// Memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.batch.memory_bytes() + self.rollups.capacity() * size_of::<(u32, Rollup)>()
    }

    /// Labels of an entry, if there is one.
    pub(crate) fn labels(&self, entry: usize) -> Option<LabelsRef<'_>> {
        (entry < self.batch.series_count()).then(|| self.batch.series(entry).0)
    }

    /// Adds an entry, which must be there, behind what `out` has.
    pub(crate) fn append(&self, entry: usize, out: &mut SeriesSamples) {
        let start_ms = self.batch.start_ms(entry);
        for sample in self.batch.series(entry).1 {
            let mut value = sample.value;
            if let Some(histogram) = self.batch.histogram(value) {
                value = histogram_marker(out.histograms.len() as u32);
                out.histograms.push(histogram.clone());
            }
            push(out, (sample.timestamp_ms, value), start_ms);
        }
        let first = self.rollups.partition_point(|(of, _)| (*of as usize) < entry);
        let of_entry = self.rollups.iter().skip(first).take_while(|(of, _)| *of as usize == entry);
        out.rollups.extend(of_entry.map(|(_, rollup)| *rollup));
    }

    /// Label sets of all entries.
    pub(crate) fn label_sets(&self) -> impl Iterator<Item = Labels> {
        self.batch.iter().map(|(labels, _)| labels.to_labels())
    }
}

/// Adds a sample whose count began then. The value stands for no histogram, or for one of `out`.
pub(crate) fn push(out: &mut SeriesSamples, (timestamp_ms, value): (i64, f64), start_ms: i64) {
    if out.starts.last().map_or(0, |change| change.start_ms) != start_ms {
        out.starts.push(StartChange { timestamp_ms, start_ms });
    }
    out.timestamps_ms.push(timestamp_ms);
    out.values.push(value);
}

/// Memory of a series.
pub(crate) fn memory_bytes(series: &SeriesSamples) -> usize {
    series.values.capacity() * 16
        + series.histograms.iter().map(bramble_signal::NativeHistogram::memory_bytes).sum::<usize>()
        + series.rollups.capacity() * size_of::<Rollup>()
        + series.starts.capacity() * size_of::<StartChange>()
}
