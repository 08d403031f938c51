//! Samples in the shape of remote write 2.0, with what it leaves out: order among a series' floats and histograms (that of
//! the fields), metadata per family, and whether the past is filled in.

use crate::error::DecodeError;
use crate::exemplar::EXEMPLAR_BYTES;
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::protobuf::{Field, Reader, Writer, zigzag};
use crate::remote_write::{Symbols, histogram as stored_histogram};
use crate::{Decoded, RejectReason, Rejected};
use bramble_signal::histogram::{BucketSpan, NativeHistogram, ResetHint};
use bramble_signal::{Exemplar, MetricBatch, MetricKind, MetricMetadata};

/// Field of a family's metadata, the `MetricMetadata` of remote write 1.0: 2.0 has metadata with each series only.
const METADATA: u32 = 100;
/// Field of the mark that the sender fills in the past.
const BACKFILL: u32 = 101;

/// Memory of a series, of a sample and of metadata in the batch beside their texts, and of a symbol while reading.
const SERIES_BYTES: usize = 24;
const SAMPLE_BYTES: usize = 16;
const METADATA_BYTES: usize = 160;
const SYMBOL_BYTES: usize = size_of::<Option<&str>>();
/// Most bytes of the labels of one series or exemplar: references are small, what they stand for may be large.
const LABELS_BYTES_MAX: usize = 1 << 20;

/// Appends the batch: series in order of arrival, also those that repeat, their samples in order.
pub fn put_metrics(batch: &MetricBatch, out: &mut Vec<u8>) {
    let w = &mut Writer::new(out);
    let mut symbols = Symbols::new();
    for (index, (labels, samples)) in batch.iter().enumerate() {
        w.message(5, |w| {
            symbols.labels(w, labels);
            if batch.start_ms(index) != 0 {
                w.varint(6, batch.start_ms(index).cast_unsigned());
            }
            for sample in samples {
                match batch.histogram(sample.value) {
                    Some(histogram) => w.message(3, |w| put_histogram(w, histogram, sample.timestamp_ms)),
                    None => w.message(2, |w| {
                        if sample.value.to_bits() != 0 {
                            w.double(1, sample.value);
                        }
                        w.varint(2, sample.timestamp_ms.cast_unsigned());
                    }),
                }
            }
            for exemplar in batch.exemplars(index) {
                w.message(4, |w| {
                    symbols.labels(w, exemplar.labels.as_ref());
                    w.double(2, exemplar.value);
                    w.varint(3, exemplar.timestamp_ms.cast_unsigned());
                });
            }
        });
    }
    for text in &symbols.texts {
        w.bytes(4, text);
    }
    for metadata in &batch.metadata {
        w.message(METADATA, |w| {
            w.varint(1, metadata.kind.code().into());
            w.bytes(2, &metadata.name);
            w.bytes(4, &metadata.help);
            w.bytes(5, &metadata.unit);
        });
    }
    if batch.backfill {
        w.varint(BACKFILL, 1);
    }
}

/// Whether a count comes back from an integer bit by bit.
fn is_integer(count: f64) -> bool {
    (0.0..9_007_199_254_740_992.0).contains(&count) && (count as u64 as f64).to_bits() == count.to_bits()
}

/// A histogram of whole counts is written as one of integers, whose differences take a byte or two where a double takes
/// eight.
pub(crate) fn put_histogram(w: &mut Writer<'_>, histogram: &NativeHistogram, timestamp_ms: i64) {
    let counts = histogram.positive_counts.iter().chain(&histogram.negative_counts);
    let whole = counts.chain([&histogram.count, &histogram.zero_count]).all(|count| is_integer(*count));
    if whole {
        w.varint(1, histogram.count as u64);
    } else {
        w.double(2, histogram.count);
    }
    w.double(3, histogram.sum);
    w.varint(4, zigzag(histogram.schema.into()));
    w.double(5, histogram.zero_threshold);
    if whole {
        w.varint(6, histogram.zero_count as u64);
    } else {
        w.double(7, histogram.zero_count);
    }
    put_side(w, 8, &histogram.negative_spans, &histogram.negative_counts, whole);
    put_side(w, 11, &histogram.positive_spans, &histogram.positive_counts, whole);
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    w.varint(14, hint);
    w.varint(15, timestamp_ms.cast_unsigned());
    put_doubles(w, 16, &histogram.custom_bounds);
}

fn put_side(w: &mut Writer<'_>, first: u32, spans: &[BucketSpan], counts: &[f64], whole: bool) {
    for span in spans {
        w.message(first, |w| {
            w.varint(1, zigzag(span.offset.into()));
            w.varint(2, span.length.into());
        });
    }
    match whole {
        true if counts.is_empty() => {}
        true => w.message(first + 1, |w| {
            let mut before = 0i64;
            for &count in counts {
                w.packed_varint(zigzag(count as i64 - before));
                before = count as i64;
            }
        }),
        false => put_doubles(w, first + 2, counts),
    }
}

fn put_doubles(w: &mut Writer<'_>, number: u32, values: &[f64]) {
    if !values.is_empty() {
        w.message(number, |w| values.iter().for_each(|value| w.out().extend_from_slice(&value.to_le_bytes())));
    }
}

struct Metrics<'a> {
    symbols: Vec<Option<&'a str>>,
    batch: MetricBatch,
    rejected: Rejected,
    meter: Meter,
    labels: LabelSet,
    histogram: stored_histogram::Scratch,
}

/// Reads a batch that takes at most `limit_bytes` of memory. Series whose labels are none (a name twice or empty, no UTF-8,
/// more than 1 MiB), histograms that contradict themselves and exemplars with such labels are rejected, the others stay.
///
/// # Errors
/// [`DecodeError`] for damage or a batch above the limit.
pub fn read_metrics(payload: &[u8], limit_bytes: usize) -> Result<Decoded<MetricBatch>, DecodeError> {
    let mut metrics = Metrics {
        symbols: Vec::new(),
        batch: MetricBatch::new(),
        rejected: Rejected::default(),
        meter: Meter::new(limit_bytes),
        labels: LabelSet::default(),
        histogram: stored_histogram::Scratch::default(),
    };
    let mut reader = Reader::new(payload);
    while let Some(field) = reader.next()? {
        match field.number {
            4 => {
                metrics.meter.add(SYMBOL_BYTES, field.position)?;
                metrics.symbols.push(std::str::from_utf8(field.bytes()?).ok());
            }
            METADATA => metrics.metadata(&field)?,
            BACKFILL => metrics.batch.backfill = field.bool()?,
            _ => {}
        }
    }
    // The table is known only now: it may be anywhere.
    let mut reader = Reader::new(payload);
    while let Some(field) = reader.next()? {
        if field.number == 5 {
            metrics.series(&field)?;
        }
    }
    Ok(Decoded { batch: metrics.batch, rejected: metrics.rejected, ..Decoded::default() })
}

impl Metrics<'_> {
    /// Collects the pairs of packed references, or says why their set must go.
    fn references(&mut self, field: &Field<'_>) -> Result<Option<RejectReason>, DecodeError> {
        let Metrics { symbols, labels, .. } = self;
        let (mut name, mut bad) = (None, None);
        let text = |reference: u64| {
            let symbol = usize::try_from(reference).ok().and_then(|place| symbols.get(place));
            symbol.ok_or(RejectReason::InvalidSymbol)?.ok_or(RejectReason::InvalidUtf8)
        };
        field.each_varint(|reference| match name.take() {
            None => name = Some(reference),
            Some(name) if bad.is_none() => match (text(name), text(reference)) {
                _ if labels.text_bytes() > LABELS_BYTES_MAX => bad = Some(RejectReason::TooManyLabels),
                (Ok(name), Ok(value)) => labels.push(name, value),
                (Err(reason), _) | (_, Err(reason)) => bad = Some(reason),
            },
            Some(_) => {}
        })?;
        Ok(bad.or(name.map(|_| RejectReason::InvalidSymbol)))
    }

    fn series(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.labels.clear();
        let (mut bad, mut items, mut start_ms) = (None, 0, 0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => bad = bad.or(self.references(&field)?),
                2..=4 => items += 1,
                6 => start_ms = field.int64()?,
                _ => {}
            }
        }
        if let Some(reason) = bad.or_else(|| self.labels.encode_unique().err()) {
            self.rejected.add(reason, items, || format!("series at byte {}", field.position));
            return Ok(());
        }
        let labels = self.labels.encoded();
        self.meter.add(SERIES_BYTES + labels.as_bytes().len(), field.position)?;
        self.batch.start_series_encoded(labels);
        self.batch.set_start(start_ms);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                2 => self.sample(&field)?,
                3 => self.histogram(&field)?,
                4 => self.exemplar(&field)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sample(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let (mut value, mut timestamp_ms) = (0.0, 0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => value = field.double()?,
                2 => timestamp_ms = field.int64()?,
                _ => {}
            }
        }
        self.meter.add(SAMPLE_BYTES, field.position)?;
        self.batch.push_sample(timestamp_ms, value);
        Ok(())
    }

    fn histogram(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let point = stored_histogram::read(field.message()?, &mut self.histogram)?;
        match point.histogram {
            Ok(histogram) => {
                self.meter.add(SAMPLE_BYTES + histogram.memory_bytes(), field.position)?;
                self.batch.push_histogram(point.timestamp_ms, histogram);
            }
            Err(error) => {
                let detail = || format!("{error}: histogram at byte {}", field.position);
                self.rejected.add(RejectReason::InvalidHistogram, 1, detail);
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.labels.clear();
        let (mut value, mut timestamp_ms, mut bad) = (0.0, 0, None);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => bad = bad.or(self.references(&field)?),
                2 => value = field.double()?,
                3 => timestamp_ms = field.int64()?,
                _ => {}
            }
        }
        if bad.is_some() || self.labels.encode_unique().is_err() {
            let detail = || format!("exemplar at byte {}", field.position);
            self.rejected.add(RejectReason::InvalidExemplar, 1, detail);
            return Ok(());
        }
        let labels = self.labels.encoded();
        self.meter.add(EXEMPLAR_BYTES + labels.as_bytes().len(), field.position)?;
        self.batch.push_exemplar(Exemplar { labels: labels.to_labels(), value, timestamp_ms });
        Ok(())
    }

    fn metadata(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.meter.add(METADATA_BYTES + field.bytes()?.len(), field.position)?;
        let (mut kind, mut name, mut help, mut unit) = (MetricKind::Unknown, "", "", "");
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => {
                    let code = u8::try_from(field.varint()?).ok();
                    kind = code.and_then(MetricKind::from_code).unwrap_or(MetricKind::Unknown);
                }
                2 => name = field.text()?,
                4 => help = field.text()?,
                5 => unit = field.text()?,
                _ => {}
            }
        }
        let (name, help, unit) = (name.to_owned(), help.to_owned(), unit.to_owned());
        self.batch.metadata.push(MetricMetadata { name, kind, help, unit });
        Ok(())
    }
}
