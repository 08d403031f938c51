//! The columns of a metric record that most batches leave empty: starts, histograms and exemplars.

use super::super::RecordError;
use super::super::bytes::{Reader, put_difference, put_varint, zigzag};
use bramble_signal::histogram::{BUCKETS_MAX, decode_histogram, encode_histogram};
use bramble_signal::{Exemplar, LabelsRef, NativeHistogram};
use std::collections::HashMap;

/// Histograms that an epoch remembers, in bytes of their own; beyond that a new series' histograms are written
/// without reference to the one before.
const REMEMBERED_BYTES_MAX: usize = 4 << 20;

/// The last start of each series, in an epoch.
#[derive(Default)]
pub(super) struct Starts(Vec<i64>);

impl Starts {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * 8
    }

    /// Remembers a start; whether it is another than before.
    pub(super) fn change(&mut self, series: u32, start_ms: i64) -> bool {
        let at = series as usize;
        if self.0.len() <= at {
            if start_ms == 0 {
                return false;
            }
            self.0.resize(at + 1, 0);
        }
        std::mem::replace(&mut self.0[at], start_ms) != start_ms
    }
}

/// The last histogram of series, in an epoch: as many as fit. Writing and replaying side remember the same.
#[derive(Default)]
pub(super) struct Remembered {
    last: HashMap<u32, NativeHistogram>,
    bytes: usize,
}

impl Remembered {
    pub(super) fn clear(&mut self) {
        self.last.clear();
        self.bytes = 0;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        // Capacities may be twice what is used.
        2 * self.bytes
    }

    pub(super) fn encode(&mut self, series: u32, histogram: &NativeHistogram, out: &mut Vec<u8>) {
        encode_histogram(histogram, self.last.get(&series), out);
        self.remember(series, histogram);
    }

    pub(super) fn decode(&mut self, series: u32, bytes: &mut Reader<'_>) -> Result<NativeHistogram, RecordError> {
        let histogram = decode_histogram(&mut bytes.0, self.last.get(&series)).map_err(|_| RecordError("histogram"))?;
        self.remember(series, &histogram);
        Ok(histogram)
    }

    fn remember(&mut self, series: u32, histogram: &NativeHistogram) {
        let own = bytes_of(histogram);
        match self.last.get_mut(&series) {
            Some(last) => {
                self.bytes = self.bytes - bytes_of(last) + own;
                last.clone_from(histogram);
            }
            None if self.bytes + own <= REMEMBERED_BYTES_MAX => {
                self.bytes += own;
                self.last.insert(series, histogram.clone());
            }
            None => {}
        }
        if self.bytes > REMEMBERED_BYTES_MAX
            && let Some(grown) = self.last.remove(&series)
        {
            self.bytes -= bytes_of(&grown);
        }
    }
}

/// Size by what is in it, the same on both sides.
fn bytes_of(histogram: &NativeHistogram) -> usize {
    let h = histogram;
    let numbers = h.positive_spans.len()
        + h.negative_spans.len()
        + h.positive_counts.len()
        + h.negative_counts.len()
        + h.custom_bounds.len();
    size_of::<NativeHistogram>() + 16 + numbers * 8
}

/// Whether a histogram is of one piece, so that what is written of it can be read again; and the most bytes that
/// takes.
pub fn histogram_record_bytes(histogram: &NativeHistogram) -> Result<usize, &'static str> {
    let h = histogram;
    for (spans, counts) in [(&h.positive_spans, &h.positive_counts), (&h.negative_spans, &h.negative_counts)] {
        if spans.iter().map(|s| u64::from(s.length)).sum::<u64>() != counts.len() as u64 {
            return Err("spans and buckets differ in number");
        }
        if spans.len() > BUCKETS_MAX || counts.len() > BUCKETS_MAX {
            return Err("too many buckets");
        }
    }
    if h.custom_bounds.len() > BUCKETS_MAX {
        return Err("too many bounds");
    }
    let numbers = h.positive_counts.len() + h.negative_counts.len() + 3;
    let spans = h.positive_spans.len() + h.negative_spans.len();
    Ok(32 + numbers * 10 + spans * 10 + h.custom_bounds.len() * 8)
}

/// Most bytes of an exemplar's place, time and value beside its labels.
pub const EXEMPLAR_BYTES_MAX: usize = 64;

/// Columns being written.
#[derive(Default)]
pub(super) struct RichColumns {
    starts: Vec<u8>,
    pub(super) histograms: Vec<u8>,
    exemplars: Vec<u8>,
    entry: u64,
    start: (u64, i64),
    exemplar: (u64, i64),
    last_labels: Vec<u8>,
}

impl RichColumns {
    pub(super) fn clear(&mut self) {
        self.starts.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.last_labels.clear();
        (self.entry, self.start, self.exemplar) = (0, (0, 0), (0, 0));
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() + self.histograms.len() + self.exemplars.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.starts.capacity() + self.histograms.capacity() + self.exemplars.capacity() + self.last_labels.capacity()
    }

    pub(super) fn columns(&self) -> [&[u8]; 3] {
        [&self.starts, &self.histograms, &self.exemplars]
    }

    /// Entries count from 1.
    pub(super) fn next_entry(&mut self) {
        self.entry += 1;
    }

    pub(super) fn put_start(&mut self, start_ms: i64) {
        let (entry, before) = std::mem::replace(&mut self.start, (self.entry, start_ms));
        put_varint(&mut self.starts, self.entry - entry);
        put_varint(&mut self.starts, zigzag(start_ms.wrapping_sub(before)));
    }

    pub(super) fn put_exemplar(&mut self, exemplar: &Exemplar) {
        let (entry, before) = std::mem::replace(&mut self.exemplar, (self.entry, exemplar.timestamp_ms));
        put_varint(&mut self.exemplars, self.entry - entry);
        put_varint(&mut self.exemplars, zigzag(exemplar.timestamp_ms.wrapping_sub(before)));
        self.exemplars.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        let labels = exemplar.labels.as_bytes();
        put_difference(&mut self.exemplars, &self.last_labels, labels);
        self.last_labels.clear();
        self.last_labels.extend_from_slice(labels);
    }
}

/// Columns being read.
pub(super) struct ReadRich<'a> {
    starts: Reader<'a>,
    histograms: Reader<'a>,
    exemplars: Reader<'a>,
    /// The current entry, from 1.
    entry: u64,
    start: Place,
    exemplar: Place,
    last_labels: Vec<u8>,
}

/// Where a sparse column is.
#[derive(Default)]
struct Place {
    /// Entry of its element read last.
    entry: u64,
    /// That its next element is some entries further.
    ahead: Option<u64>,
    /// Number of the element read last.
    number: i64,
}

impl Place {
    /// Whether the column's next element is of entry `entry`; then its number was read.
    fn arrive(&mut self, entry: u64, column: &mut Reader<'_>) -> Result<bool, RecordError> {
        if self.ahead.is_none() && !column.0.is_empty() {
            self.ahead = Some(column.varint()?);
        }
        if self.ahead.and_then(|ahead| self.entry.checked_add(ahead)) != Some(entry) {
            return Ok(false);
        }
        (self.entry, self.ahead) = (entry, None);
        self.number = self.number.wrapping_add(column.signed()?);
        Ok(true)
    }
}

impl<'a> ReadRich<'a> {
    /// Takes the columns off a body.
    pub(super) fn open(body: &mut Reader<'a>) -> Result<Self, RecordError> {
        let (starts, histograms, exemplars) = (Reader(body.bytes()?), Reader(body.bytes()?), Reader(body.bytes()?));
        let (start, exemplar) = (Place::default(), Place::default());
        Ok(ReadRich { starts, histograms, exemplars, entry: 1, start, exemplar, last_labels: Vec::new() })
    }

    /// Bytes of the exemplars that are left.
    pub(super) fn exemplar_bytes(&self) -> u64 {
        self.exemplars.0.len() as u64
    }

    pub(super) fn histograms(&mut self) -> &mut Reader<'a> {
        &mut self.histograms
    }

    pub(super) fn next_entry(&mut self) {
        self.entry += 1;
    }

    /// The start of the current entry, if it changes here.
    pub(super) fn start(&mut self) -> Result<Option<i64>, RecordError> {
        let here = self.start.arrive(self.entry, &mut self.starts)?;
        Ok(here.then_some(self.start.number))
    }

    /// The next exemplar of the current entry.
    pub(super) fn exemplar(&mut self) -> Result<Option<Exemplar>, RecordError> {
        if !self.exemplar.arrive(self.entry, &mut self.exemplars)? {
            return Ok(None);
        }
        let value = f64::from_bits(u64::from_le_bytes(self.exemplars.array()?));
        self.exemplars.difference(&mut self.last_labels)?;
        let labels = LabelsRef::parse(&self.last_labels).ok_or(RecordError("exemplar labels"))?.to_labels();
        Ok(Some(Exemplar { labels, value, timestamp_ms: self.exemplar.number }))
    }
}
