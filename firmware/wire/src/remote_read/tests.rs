//! What is written, read by readers that are written here from the formats' descriptions.

use super::histogram_chunk::FloatHistogramChunk;
use super::xor::XorChunk;
use super::*;
use crate::protobuf::{Reader, Writer};
use bramble_signal::{BucketSpan, Labels, NativeHistogram, ResetHint, SeriesSamples, histogram::histogram_marker};
use proptest::prelude::*;

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bits(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |value, _| {
            let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u64::from(bit)
        })
    }

    fn signed(&mut self, count: u32) -> i64 {
        let value = self.bits(count);
        // One more on the positive side: the pattern of the largest stands for itself.
        let half = 1u64 << (count - 1);
        if count == 64 || value <= half { value as i64 } else { value as i64 - (1i64 << count) }
    }

    fn ones(&mut self, max: u32) -> u32 {
        let mut ones = 0;
        while ones < max && self.bits(1) == 1 {
            ones += 1;
        }
        ones
    }

    fn uvarint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.bits(8);
            value |= (byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn varint(&mut self) -> i64 {
        let raw = self.uvarint();
        (raw >> 1) as i64 ^ -((raw & 1) as i64)
    }

    fn varbit_int(&mut self) -> i64 {
        match self.ones(8) {
            0 => 0,
            8 => self.bits(64) as i64,
            n => self.signed([3, 6, 9, 12, 18, 25, 56][n as usize - 1]),
        }
    }

    fn varbit_uint(&mut self) -> u64 {
        match self.ones(8) {
            0 => 0,
            8 => self.bits(64),
            n => self.bits([3, 6, 9, 12, 18, 25, 56][n as usize - 1]),
        }
    }

    fn xor(&mut self, column: &mut (u64, u32, u32)) -> f64 {
        if self.bits(1) == 1 {
            if self.bits(1) == 1 {
                column.1 = self.bits(5) as u32;
                let significant = match self.bits(6) as u32 {
                    0 => 64,
                    n => n,
                };
                column.2 = 64 - column.1 - significant;
            }
            column.0 ^= self.bits(64 - column.1 - column.2) << column.2;
        }
        f64::from_bits(column.0)
    }
}

fn read_xor(bytes: &[u8]) -> Vec<(i64, u64)> {
    let mut bits = Bits { bytes, at: 0 };
    let count = bits.bits(16);
    let (mut t, mut delta, mut column) = (0, 0, (0, 0, 0));
    (0..count)
        .map(|i| {
            match i {
                0 => (t, column.0) = (bits.varint(), bits.bits(64)),
                1 => delta = bits.uvarint() as i64,
                _ => {
                    let change = match bits.ones(4) {
                        0 => 0,
                        4 => bits.bits(64) as i64,
                        n => bits.signed([14, 17, 20][n as usize - 1]),
                    };
                    delta = delta.wrapping_add(change);
                }
            }
            if i > 0 {
                t = t.wrapping_add(delta);
                bits.xor(&mut column);
            }
            (t, column.0)
        })
        .collect()
}

fn read_histograms(bytes: &[u8]) -> Vec<(i64, NativeHistogram)> {
    let mut bits = Bits { bytes, at: 0 };
    let count = bits.bits(16);
    let gauge = bits.bits(8) == 0b1100_0000;
    let zero_threshold = match bits.bits(8) {
        0 => 0.0,
        255 => f64::from_bits(bits.bits(64)),
        n => 0.5 * 2f64.powi(n as i32 - 243),
    };
    let schema = bits.varbit_int() as i8;
    let mut spans = || {
        let count = bits.varbit_uint();
        let mut span = || {
            let length = bits.varbit_uint() as u32;
            BucketSpan { length, offset: bits.varbit_int() as i32 }
        };
        (0..count).map(|_| span()).collect::<Vec<_>>()
    };
    let (positive_spans, negative_spans) = (spans(), spans());
    let length = |spans: &[BucketSpan]| spans.iter().map(|s| s.length as usize).sum::<usize>();
    let (positive, negative) = (length(&positive_spans), length(&negative_spans));
    let mut custom_bounds = Vec::new();
    if schema == -53 {
        for _ in 0..bits.varbit_uint() {
            assert_eq!(bits.bits(1), 0);
            custom_bounds.push(f64::from_bits(bits.bits(64)));
        }
    }
    let mut columns = vec![(0, 0, 0); 3 + positive + negative];
    let (mut t, mut delta) = (0i64, 0i64);
    (0..count)
        .map(|i| {
            match i {
                0 => t = bits.varbit_int(),
                1 => delta = bits.varbit_int(),
                _ => delta = delta.wrapping_add(bits.varbit_int()),
            }
            let numbers: Vec<f64> = columns
                .iter_mut()
                .map(|column| match i {
                    0 => {
                        column.0 = bits.bits(64);
                        f64::from_bits(column.0)
                    }
                    _ => bits.xor(column),
                })
                .collect();
            t = if i > 0 { t.wrapping_add(delta) } else { t };
            let histogram = NativeHistogram {
                schema,
                reset_hint: if gauge { ResetHint::Gauge } else { ResetHint::Unknown },
                zero_threshold,
                count: numbers[0],
                zero_count: numbers[1],
                sum: numbers[2],
                positive_spans: positive_spans.clone(),
                positive_counts: numbers[3..3 + positive].to_vec(),
                negative_spans: negative_spans.clone(),
                negative_counts: numbers[3 + positive..].to_vec(),
                custom_bounds: custom_bounds.clone(),
            };
            (t, histogram)
        })
        .collect()
}

#[test]
#[rustfmt::skip]
fn a_chunk_of_floats_is_golden() {
    let mut chunk = XorChunk::new();
    for (t, v) in [(1000, 1.0), (2000, 1.0), (3000, 2.0), (4005, 2.0)] {
        chunk.push(t, v);
    }
    let expected = [
        0, 4, // count
        0xd0, 0x0f, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, // varint 1000, 1.0
        0xe8, 0x07, // uvarint 1000
        // 0: the same value. 0: the same step; 11, 00001, 001011 and eleven ones. 10 and 5 in 14 bits; 0.
        0b0011_0000, 0b1001_0111, 0b1111_1111, 0b1110_0000, 0b0000_0001, 0b0100_0000,
    ];
    assert_eq!(chunk.bytes(), expected);
    assert_eq!(chunk.range_ms(), (1000, 4005));
}

/// As a Prometheus 3.5 read it: the zero threshold comes before the schema.
#[test]
#[rustfmt::skip]
fn a_chunk_of_histograms_is_golden() {
    let histogram = NativeHistogram {
        schema: 2,
        zero_threshold: 2f64.powi(-128),
        count: 1.0,
        positive_spans: vec![BucketSpan { offset: -1, length: 1 }],
        positive_counts: vec![1.0],
        ..Default::default()
    };
    let mut chunk = FloatHistogramChunk::new();
    assert!(chunk.push(1, &histogram) && chunk.push(2, &histogram));
    let head = [
        0, 2, 0, // count, flags
        116, // 2^-128 is 0.5 * 2^-127
        // 10 010: schema 2; 10 001: one span; 10 001 10 111: its length and offset; 0: none; 10 001: the time
        0b1001_0100, 0b0110_0011, 0b0111_0100, 0b0100_1111,
    ];
    assert_eq!(chunk.bytes()[..head.len()], head);
    assert_eq!(read_histograms(chunk.bytes()), [(1, histogram.clone()), (2, histogram)]);
}

proptest! {
    #[test]
    fn floats_read_back(
        samples in prop::collection::vec((prop_oneof![1i64..100, 9_000i64..200_000, Just(1i64 << 40)],
            prop_oneof![prop::num::f64::ANY, (0u32..50).prop_map(f64::from)]), 1..200),
        start in prop_oneof![Just(0i64), Just(-5_000_000i64), 1_700_000_000_000i64..1_800_000_000_000],
    ) {
        let mut chunk = XorChunk::new();
        let mut t = start;
        let mut wanted = Vec::new();
        for (step, value) in samples {
            t += step;
            chunk.push(t, value);
            wanted.push((t, value.to_bits()));
        }
        prop_assert_eq!(read_xor(chunk.bytes()), wanted);
    }

    #[test]
    fn histograms_read_back(
        growth in prop::collection::vec((1i64..100_000, prop::array::uniform3(0u32..1000)), 1..100),
        threshold in prop_oneof![Just(0.0), Just(0.001), Just(2f64.powi(-128)), Just(1.0)],
        is_gauge in any::<bool>(),
        is_custom in any::<bool>(),
    ) {
        let mut histogram = NativeHistogram {
            schema: if is_custom { -53 } else { 3 },
            reset_hint: if is_gauge { ResetHint::Gauge } else { ResetHint::Unknown },
            zero_threshold: if is_custom { 0.0 } else { threshold },
            positive_spans: vec![BucketSpan { offset: if is_custom { 0 } else { -700 }, length: 3 }],
            positive_counts: vec![0.0; 3],
            custom_bounds: if is_custom { vec![0.5, 1.0, 7.25] } else { Vec::new() },
            ..Default::default()
        };
        let (mut chunk, mut t, mut wanted) = (FloatHistogramChunk::new(), 1_700_000_000_000, Vec::new());
        for (step, counts) in growth {
            t += step;
            for (count, more) in histogram.positive_counts.iter_mut().zip(counts) {
                *count += f64::from(more);
            }
            histogram.count = histogram.positive_counts.iter().sum();
            histogram.sum = histogram.count * 1.5;
            prop_assert!(chunk.push(t, &histogram));
            wanted.push((t, histogram.clone()));
        }
        let read = read_histograms(chunk.bytes());
        prop_assert_eq!(read, wanted);
        histogram.count -= 1.0;
        prop_assert_eq!(chunk.push(t + 1, &histogram), is_gauge, "what shrinks begins a new chunk");
    }

    #[test]
    fn any_request_ends(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ReadRequest::decode(&body);
    }
}

fn request(wishes: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    w.message(1, |query| {
        query.varint(1, 1000);
        query.varint(2, 2000);
        for (kind, name, value) in [(0, "__name__", "up"), (3, "job", "a|b")] {
            query.message(3, |matcher| {
                matcher.varint(1, kind);
                matcher.bytes(2, name);
                matcher.bytes(3, value);
            });
        }
    });
    for wish in wishes {
        w.varint(2, *wish);
    }
    out
}

#[test]
fn requests_are_read() {
    let read = ReadRequest::decode(&request(&[7, 1, 0])).unwrap();
    assert_eq!(read.response_type, Some(ResponseType::StreamedXorChunks), "the first that is known");
    let query = &read.queries[0];
    assert_eq!((query.start_ms, query.end_ms), (1000, 2000));
    let matchers: Vec<String> = query.matchers.iter().map(|m| format!("{}{}{}", m.name, m.op, m.value)).collect();
    assert_eq!(matchers, ["__name__=up", "job!~a|b"]);
    assert_eq!(ReadRequest::decode(&request(&[])).unwrap().response_type, Some(ResponseType::Samples));
    assert_eq!(ReadRequest::decode(&request(&[9])).unwrap().response_type, None);
    let mut many = Vec::new();
    (0..=33).for_each(|_| many.extend_from_slice(&request(&[])));
    assert!(ReadRequest::decode(&many).is_err(), "too many matchers");
}

fn mixed_series() -> SeriesSamples {
    let histogram = NativeHistogram { count: 1.0, zero_count: 1.0, zero_threshold: 0.5, ..Default::default() };
    let mut series = SeriesSamples { labels: Labels::from_pairs([("__name__", "m")]), ..Default::default() };
    for t in 0..300 {
        series.timestamps_ms.push(t * 1000);
        series.values.push(t as f64);
    }
    series.timestamps_ms.push(400_000);
    series.values.push(histogram_marker(0));
    series.histograms.push(histogram);
    series
}

#[test]
fn frames_hold_chunks_of_120_samples_and_one_kind() {
    let series = mixed_series();
    let mut out = Vec::new();
    ChunkWriter::new().series(&series, 3, &mut out);
    let mut bits = Bits { bytes: &out, at: 0 };
    let length = bits.uvarint() as usize;
    let start = bits.at / 8;
    assert_eq!(out.len(), start + 4 + length);
    let message = &out[start + 4..];
    assert_eq!(out[start..start + 4], crc32c::crc32c(message).to_be_bytes());
    let (mut kinds, mut samples, mut index) = (Vec::new(), 0, 0);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next().unwrap() {
        if field.number == 2 {
            index = field.varint().unwrap();
            continue;
        }
        let mut chunked = field.message().unwrap();
        while let Some(field) = chunked.next().unwrap() {
            if field.number == 1 {
                continue;
            }
            let mut chunk = field.message().unwrap();
            while let Some(field) = chunk.next().unwrap() {
                match field.number {
                    3 => kinds.push(field.varint().unwrap()),
                    4 if kinds.last() == Some(&1) => samples += read_xor(field.bytes().unwrap()).len(),
                    4 => assert_eq!(read_histograms(field.bytes().unwrap())[0].0, 400_000),
                    _ => {}
                }
            }
        }
    }
    assert_eq!((kinds, samples, index), (vec![1, 1, 1, 3], 300, 3));
}

#[test]
fn samples_are_written_whole() {
    let mut out = Vec::new();
    let mut left = vec![mixed_series()];
    SamplesWriter
        .result(&mut out, |series, _| {
            let next = left.pop();
            let more = next.is_some();
            *series = next.unwrap_or_default();
            Ok::<_, ()>(more)
        })
        .unwrap();
    let mut reader = Reader::new(&out);
    let mut result = reader.next().unwrap().unwrap().message().unwrap();
    let mut series = result.next().unwrap().unwrap().message().unwrap();
    let (mut samples, mut histograms) = (0, 0);
    while let Some(field) = series.next().unwrap() {
        samples += usize::from(field.number == 2);
        histograms += usize::from(field.number == 4);
    }
    assert_eq!((samples, histograms), (300, 1));
}
