//! `ReadResponse`: all samples in one message.

use crate::protobuf::Writer;
use bramble_signal::{LabelsRef, NativeHistogram, ResetHint, SeriesSamples, is_histogram_marker};

/// Appends the results of queries, one after the other.
#[derive(Clone, Copy, Default, Debug)]
pub struct SamplesWriter;

impl SamplesWriter {
    /// Appends the result of the next query: what `next` gives until it says that there is no more. `next` is told how
    /// many bytes `out` holds.
    ///
    /// # Errors
    /// What `next` fails with; what `out` holds then is no whole message.
    pub fn result<E>(
        &self,
        out: &mut Vec<u8>,
        mut next: impl FnMut(&mut SeriesSamples, usize) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut series = SeriesSamples::default();
        Writer::new(out).message(1, |result| {
            loop {
                let written = result.out().len();
                if !next(&mut series, written)? {
                    return Ok(());
                }
                result.message(1, |w| write_series(&series, w));
            }
        })
    }
}

/// The message as it goes over the wire: snappy's block format.
///
/// # Errors
/// A message of 4 GiB or more.
pub fn compressed(message: &[u8]) -> Result<Vec<u8>, String> {
    snap::raw::Encoder::new().compress_vec(message).map_err(|error| format!("snappy: {error}"))
}

pub(super) fn write_labels(labels: LabelsRef<'_>, w: &mut Writer<'_>) {
    for (name, value) in labels.iter() {
        w.message(1, |label| {
            label.bytes(1, name);
            label.bytes(2, value);
        });
    }
}

fn write_series(series: &SeriesSamples, w: &mut Writer<'_>) {
    write_labels(series.labels.as_ref(), w);
    for (timestamp_ms, value) in series.timestamps_ms.iter().zip(&series.values) {
        if let Some(histogram) = series.histogram(*value) {
            w.message(4, |w| write_histogram(histogram, *timestamp_ms, w));
        } else if !is_histogram_marker(*value) {
            w.message(2, |sample| {
                sample.double(1, *value);
                sample.varint(2, timestamp_ms.cast_unsigned());
            });
        }
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Floating point counts, as they are kept.
fn write_histogram(histogram: &NativeHistogram, timestamp_ms: i64, w: &mut Writer<'_>) {
    w.double(2, histogram.count);
    w.double(3, histogram.sum);
    w.varint(4, zigzag(histogram.schema.into()));
    w.double(5, histogram.zero_threshold);
    w.double(7, histogram.zero_count);
    let sides = [
        (8, 10, &histogram.negative_spans, &histogram.negative_counts),
        (11, 13, &histogram.positive_spans, &histogram.positive_counts),
    ];
    for (spans_field, counts_field, spans, counts) in sides {
        for span in spans {
            w.message(spans_field, |w| {
                w.varint(1, zigzag(span.offset.into()));
                w.varint(2, span.length.into());
            });
        }
        counts.iter().for_each(|count| w.double(counts_field, *count));
    }
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    w.varint(14, hint);
    w.varint(15, timestamp_ms.cast_unsigned());
    histogram.custom_bounds.iter().for_each(|bound| w.double(16, *bound));
}
