//! Prometheus remote write 1.0: `WriteRequest` to a [`MetricBatch`].
//!
//! Labels that come unsorted are sorted. A series that breaks the contract in a way that cannot be mended
//! (repeated or empty label names, no metric name, text that is not UTF-8, over a limit) is rejected with its
//! samples and the rest is kept. Native histograms are rejected, exemplars are skipped and counted. The body
//! must be decompressed already ([`compression`](crate::compression); snappy's block format by contract).
//!
//! Source: Prometheus' remote write specification 1.0 and `prompb/types.proto`.

use crate::error::ItemError;
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::{METRIC_NAME, MetricBatch, MetricKind, MetricMetadata};

/// Decodes write requests; keeps its scratch memory between them. One per worker, not shared.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    labels: LabelSet,
}

/// Memory of a series in the batch beside its labels: two ranges; and of a sample.
const SERIES_BYTES: usize = 16;
const SAMPLE_BYTES: usize = 16;

impl Decoder {
    /// A decoder that holds series to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, ..Default::default() }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Decodes a `WriteRequest`. Rejections count samples, a series without any as one.
    ///
    /// # Errors
    /// [`DecodeError`] when the request is damaged or would become too large.
    pub fn decode(&mut self, body: &[u8]) -> Result<Decoded<MetricBatch>, DecodeError> {
        let mut decoded = Decoded::default();
        let mut meter = Meter::new(self.limits.batch_bytes_max);
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.series(&field, &mut decoded, &mut meter)?,
                3 => metadata(&field, &mut decoded, &mut meter)?,
                _ => {}
            }
        }
        Ok(decoded)
    }

    fn series(
        &mut self,
        field: &Field<'_>,
        decoded: &mut Decoded<MetricBatch>,
        meter: &mut Meter,
    ) -> Result<(), DecodeError> {
        let (samples, histograms, exemplars) = count_items(field.message()?)?;
        decoded.exemplars_skipped += exemplars;
        let labels = &mut self.labels;
        match read_labels(field.message()?, labels).and_then(|()| Ok(check(labels, &self.limits)?)) {
            Ok(()) => {}
            Err(ItemError::Reject(reason)) => {
                let detail = || format!("series {} at byte {}", describe(labels), field.position);
                decoded.rejected.add(reason, (samples + histograms).max(1), detail);
                return Ok(());
            }
            Err(ItemError::Fatal(error)) => return Err(error),
        }
        decoded.rejected.add(RejectReason::NativeHistogram, histograms, || describe(labels));
        if samples == 0 {
            return Ok(());
        }
        let encoded = match labels.encode_unique() {
            Ok(encoded) => encoded,
            Err(reason) => {
                let detail = || format!("series {} at byte {}", describe(labels), field.position);
                decoded.rejected.add(reason, samples, detail);
                return Ok(());
            }
        };
        let bytes = SERIES_BYTES
            + encoded.as_bytes().len()
            + SAMPLE_BYTES * usize::try_from(samples).unwrap_or(usize::MAX / 32);
        meter.add(bytes, field.position)?;
        decoded.batch.start_series_encoded(encoded);
        push_samples(field.message()?, &mut decoded.batch)
    }
}

/// Numbers of samples, histograms and exemplars.
fn count_items(mut reader: Reader<'_>) -> Result<(u64, u64, u64), DecodeError> {
    let (mut samples, mut histograms, mut exemplars) = (0, 0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            2 => samples += 1,
            3 => exemplars += 1,
            4 => histograms += 1,
            _ => {}
        }
    }
    Ok((samples, histograms, exemplars))
}

fn read_labels(mut reader: Reader<'_>, labels: &mut LabelSet) -> Result<(), ItemError> {
    labels.clear();
    while let Some(field) = reader.next()? {
        if field.number != 1 {
            continue;
        }
        let (name, value) = name_and_value(field.message()?)?;
        labels.push(name, value);
    }
    Ok(())
}

/// A message whose fields 1 and 2 are a name and a value.
pub(crate) fn name_and_value(mut reader: Reader<'_>) -> Result<(&str, &str), DecodeError> {
    let (mut name, mut value) = ("", "");
    while let Some(field) = reader.next()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn check(labels: &LabelSet, limits: &Limits) -> Result<(), RejectReason> {
    labels.check(limits, limits.series_labels_max)?;
    match labels.iter().any(|(name, value)| name == METRIC_NAME && !value.is_empty()) {
        true => Ok(()),
        false => Err(RejectReason::MissingName),
    }
}

/// The start of a label set, for a message.
fn describe(labels: &LabelSet) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter().take(8) {
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(&format!("{separator}{name:.64}={value:.64?}"));
    }
    format!("{{{text}}}")
}

fn push_samples(mut reader: Reader<'_>, batch: &mut MetricBatch) -> Result<(), DecodeError> {
    while let Some(field) = reader.next()? {
        if field.number != 2 {
            continue;
        }
        let (mut value, mut timestamp_ms) = (0.0, 0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => value = field.double()?,
                2 => timestamp_ms = field.int64()?,
                _ => {}
            }
        }
        batch.push_sample(timestamp_ms, value);
    }
    Ok(())
}

fn metadata(field: &Field<'_>, decoded: &mut Decoded<MetricBatch>, meter: &mut Meter) -> Result<(), DecodeError> {
    let (mut kind, mut name, mut help, mut unit) = (0, "", "", "");
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        // Metadata that is not UTF-8 is left out; it is no item that a sender counts.
        match field.number {
            1 => kind = field.varint()?,
            2 => name = field.text().unwrap_or_default(),
            4 => help = field.text().unwrap_or_default(),
            5 => unit = field.text().unwrap_or_default(),
            _ => {}
        }
    }
    if name.is_empty() {
        return Ok(());
    }
    meter.add(name.len() + help.len() + unit.len() + 80, field.position)?;
    decoded.batch.metadata.push(MetricMetadata {
        name: name.to_owned(),
        kind: metric_kind(kind),
        help: help.to_owned(),
        unit: unit.to_owned(),
    });
    Ok(())
}

/// `MetricMetadata.MetricType`.
fn metric_kind(code: u64) -> MetricKind {
    match code {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::Writer;
    use proptest::prelude::*;

    type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

    fn write(out: &mut Vec<u8>, series: &[Series<'_>]) {
        for (labels, samples) in series {
            Writer::new(out).message(1, |w| {
                for (name, value) in *labels {
                    w.message(1, |w| {
                        w.bytes(1, name);
                        w.bytes(2, value);
                    });
                }
                for (timestamp_ms, value) in *samples {
                    w.message(2, |w| {
                        w.double(1, *value);
                        w.varint(2, timestamp_ms.cast_unsigned());
                    });
                }
            });
        }
    }

    fn decode(bytes: &[u8]) -> Decoded<MetricBatch> {
        Decoder::new(Limits::default()).decode(bytes).unwrap()
    }

    #[test]
    fn golden_bytes() {
        // up{job="a"} 1 @ 1000, as any Prometheus writes it.
        let bytes = b"\x0a\x28\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x08\x0a\x03job\x12\x01a\
            \x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07";
        let mut written = Vec::new();
        write(&mut written, &[(&[("__name__", "up"), ("job", "a")], &[(1000, 1.0)])]);
        assert_eq!(written, bytes);
        let decoded = decode(bytes);
        let (labels, samples) = decoded.batch.series(0);
        assert_eq!(labels.to_string(), r#"{__name__="up", job="a"}"#);
        assert_eq!((samples[0].timestamp_ms, samples[0].value), (1000, 1.0));
    }

    #[test]
    fn bad_series_go_and_good_ones_stay() {
        let one: &[(i64, f64)] = &[(1, 1.0), (2, 2.0)];
        let mut bytes = Vec::new();
        write(
            &mut bytes,
            &[
                (&[("z", "1"), ("__name__", "unsorted"), ("a", "")], one),
                (&[("job", "nameless")], one),
                (&[("__name__", "m"), ("a", "1"), ("a", "2")], one),
                (&[("__name__", "m"), ("", "1")], one),
                (&[("__name__", "no_samples")], &[]),
            ],
        );
        Writer::new(&mut bytes).message(1, |w| {
            w.message(1, |w| {
                w.bytes(1, "__name__");
                w.bytes(2, [0xff]);
            });
            w.message(2, |w| w.varint(2, 3));
        });
        Writer::new(&mut bytes).message(1, |w| {
            w.message(1, |w| {
                w.bytes(1, "__name__");
                w.bytes(2, "native");
            });
            w.message(3, |w| w.double(2, 1.0));
            w.message(4, |w| w.varint(1, 3));
        });
        Writer::new(&mut bytes).message(3, |w| {
            w.varint(1, 1);
            w.bytes(2, "m");
            w.bytes(4, "Help.");
        });
        let decoded = decode(&bytes);
        assert_eq!(decoded.batch.series_count(), 1);
        assert_eq!(decoded.batch.series(0).0.to_string(), r#"{__name__="unsorted", z="1"}"#);
        let reasons: Vec<_> = decoded.rejected.by_reason().collect();
        assert_eq!(
            reasons,
            [
                (RejectReason::InvalidUtf8, 1),
                (RejectReason::MissingName, 2),
                (RejectReason::EmptyLabelName, 2),
                (RejectReason::DuplicateLabel, 2),
                (RejectReason::NativeHistogram, 1)
            ]
        );
        assert_eq!(
            decoded.rejected.first_reason().unwrap().1.split(" at byte").next(),
            Some(r#"metric has no name: series {job="nameless"}"#)
        );
        assert_eq!((decoded.exemplars_skipped, decoded.batch.metadata[0].kind), (1, MetricKind::Counter));
    }

    #[test]
    fn limits_hold() {
        let long = "x".repeat(5000);
        let many: Vec<String> = (0..200).map(|i| format!("l{i}")).collect();
        let mut labels: Vec<(&str, &str)> = many.iter().map(|n| (n.as_str(), "v")).collect();
        labels.push(("__name__", "m"));
        let mut bytes = Vec::new();
        write(
            &mut bytes,
            &[
                (&[("__name__", &long)], &[(1, 1.0)]),
                (&[("__name__", "m"), (&long, "v")], &[(1, 1.0)]),
                (&labels, &[(1, 1.0)]),
            ],
        );
        let reasons: Vec<_> = decode(&bytes).rejected.by_reason().map(|(reason, _)| reason).collect();
        assert_eq!(
            reasons,
            [RejectReason::LabelNameTooLong, RejectReason::LabelValueTooLong, RejectReason::TooManyLabels]
        );
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_batch_bytes_max(10);
        let mut bytes = Vec::new();
        write(&mut bytes, &[(&[("__name__", "m")], &[(1, 1.0)])]);
        assert_eq!(decoder.decode(&bytes).unwrap_err().kind(), crate::DecodeErrorKind::TooLarge);
    }

    proptest! {
        // Each case cuts the request at every byte: few cases are many requests.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_written_is_read(
            series in proptest::collection::vec((
                proptest::collection::btree_map("[a-z]{1,4}", "\\PC{1,6}", 0..5),
                proptest::collection::vec((any::<i64>(), any::<u64>()), 1..5),
            ), 0..5),
        ) {
            let mut bytes = Vec::new();
            for (labels, samples) in &series {
                let mut pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                pairs.push(("__name__", "m"));
                let samples: Vec<_> = samples.iter().map(|&(t, bits)| (t, f64::from_bits(bits))).collect();
                write(&mut bytes, &[(&pairs, &samples)]);
            }
            let decoded = decode(&bytes);
            prop_assert_eq!(decoded.batch.series_count(), series.len());
            for ((labels, samples), (want_labels, want_samples)) in decoded.batch.iter().zip(&series) {
                let rest: Vec<_> = labels.iter().filter(|(n, _)| *n != "__name__").collect();
                let want: Vec<_> = want_labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                prop_assert_eq!(rest, want);
                let got: Vec<_> = samples.iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
                prop_assert_eq!(&got, want_samples);
            }
            // Cut anywhere: an error or fewer series, never a panic.
            for cut in 0..bytes.len() {
                let _ = Decoder::new(Limits::default()).decode(&bytes[..cut]);
            }
        }
    }
}
