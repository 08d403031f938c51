//! A [`MetricBatch`] as a write request of either version.

use super::{Message, Symbols};
use crate::delivery::put_histogram;
use crate::protobuf::Writer;
use bramble_signal::{LabelsRef, METRIC_NAME, MetricBatch, MetricKind, MetricMetadata};
use std::collections::HashMap;

/// Suffixes that a series' name has beyond that of its family.
const SUFFIXES: [&str; 6] = ["_bucket", "_count", "_sum", "_total", "_created", "_info"];

/// Appends the batch as a write request, uncompressed. Series keep their order; empty ones are left out. Metadata of
/// families travels as 1.0 has it, in 2.0 with each of their series.
pub fn encode(message: Message, batch: &MetricBatch, out: &mut Vec<u8>) {
    match message {
        Message::V1 => encode_v1(batch, out),
        Message::V2 => encode_v2(batch, out),
    }
}

/// The family's metadata by a series' name: its own, or that without a suffix.
pub(crate) fn family_of<'m, V>(families: &'m HashMap<&str, V>, name: &str) -> Option<&'m V> {
    families.get(name).or_else(|| SUFFIXES.iter().find_map(|suffix| families.get(name.strip_suffix(suffix)?)))
}

/// Prometheus' number of the kind, `MetricMetadata.MetricType` of both versions.
fn kind_number(kind: MetricKind) -> u64 {
    match kind {
        MetricKind::Unknown => 0,
        MetricKind::Counter => 1,
        MetricKind::Gauge => 2,
        MetricKind::Histogram => 3,
        MetricKind::GaugeHistogram => 4,
        MetricKind::Summary => 5,
        MetricKind::Info => 6,
        MetricKind::StateSet => 7,
    }
}

fn labels_v1(w: &mut Writer<'_>, labels: LabelsRef<'_>) {
    for (name, value) in labels.iter() {
        w.message(1, |w| {
            w.bytes(1, name);
            w.bytes(2, value);
        });
    }
}

fn encode_v1(batch: &MetricBatch, out: &mut Vec<u8>) {
    let w = &mut Writer::new(out);
    for (index, (labels, samples)) in batch.iter().enumerate() {
        if samples.is_empty() && batch.exemplars(index).next().is_none() {
            continue;
        }
        w.message(1, |w| {
            labels_v1(w, labels);
            for sample in samples {
                match batch.histogram(sample.value) {
                    Some(histogram) => w.message(4, |w| put_histogram(w, histogram, sample.timestamp_ms)),
                    None => w.message(2, |w| {
                        w.double(1, sample.value);
                        w.varint(2, sample.timestamp_ms.cast_unsigned());
                    }),
                }
            }
            for exemplar in batch.exemplars(index) {
                w.message(3, |w| {
                    labels_v1(w, exemplar.labels.as_ref());
                    w.double(2, exemplar.value);
                    w.varint(3, exemplar.timestamp_ms.cast_unsigned());
                });
            }
        });
    }
    for metadata in &batch.metadata {
        w.message(3, |w| {
            w.varint(1, kind_number(metadata.kind));
            w.bytes(2, &metadata.name);
            w.bytes(4, &metadata.help);
            w.bytes(5, &metadata.unit);
        });
    }
}

fn encode_v2(batch: &MetricBatch, out: &mut Vec<u8>) {
    let families: HashMap<&str, &MetricMetadata> = batch.metadata.iter().map(|m| (m.name.as_str(), m)).collect();
    let w = &mut Writer::new(out);
    let mut symbols = Symbols::new();
    for (index, (labels, samples)) in batch.iter().enumerate() {
        if samples.is_empty() && batch.exemplars(index).next().is_none() {
            continue;
        }
        let start_ms = batch.start_ms(index);
        w.message(5, |w| {
            symbols.labels(w, labels);
            for sample in samples {
                match batch.histogram(sample.value) {
                    Some(histogram) => w.message(3, |w| put_histogram(w, histogram, sample.timestamp_ms)),
                    None => w.message(2, |w| {
                        w.double(1, sample.value);
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
            if let Some(metadata) = family_of(&families, labels.get(METRIC_NAME).unwrap_or_default()) {
                w.message(5, |w| {
                    w.varint(1, kind_number(metadata.kind));
                    w.varint(3, symbols.reference(&metadata.help));
                    w.varint(4, symbols.reference(&metadata.unit));
                });
            }
            if start_ms != 0 {
                w.varint(6, start_ms.cast_unsigned());
            }
        });
    }
    for text in &symbols.texts {
        w.bytes(4, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::remote_write::Decoder;
    use bramble_signal::{Exemplar, Labels, NativeHistogram, stale_marker};

    #[test]
    fn both_versions_read_back() {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "requests_total"), ("job", "a")]).unwrap();
        batch.push_sample(5, 1.5);
        batch.push_sample(6, stale_marker());
        let labels = Labels::from_pairs([("trace_id", "abc")]);
        batch.push_exemplar(Exemplar { labels, value: 0.5, timestamp_ms: 5 });
        batch.start_series(&mut [("__name__", "sizes")]).unwrap();
        batch.push_histogram(7, NativeHistogram { count: 2.0, zero_count: 2.0, ..NativeHistogram::default() });
        let (name, help, unit) = ("requests_total".into(), "What came.".into(), String::new());
        batch.metadata.push(MetricMetadata { name, kind: MetricKind::Counter, help, unit });
        for message in [Message::V1, Message::V2] {
            let mut body = Vec::new();
            encode(message, &batch, &mut body);
            let decoded = Decoder::new(Limits::default()).decode(message, &body).unwrap();
            assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
            assert_eq!(decoded.batch, batch, "{message:?}");
        }
    }
}
