//! A compact form of a histogram, relative to the one before it in its series.
//!
//! ```text
//! histogram := flags, [layout], sum, count, zero count, positive count*, negative count*
//! flags     := bit 0 layout follows (else that of the one before); bits 1-2 reset hint
//! layout    := schema (i8), zero threshold (8 bytes LE), spans positive, spans negative, bound count, bound (8 bytes LE)*
//! spans     := count, (offset zigzag, length)*
//! number    := 2 * zigzag difference of integers to the one before, as varint; or 1 and the 8 bytes of the number
//! ```

use super::{BUCKETS_MAX, BucketSpan, NativeHistogram, ResetHint};
use crate::bytes::{put_varint, take_varint};

const NEW_LAYOUT: u8 = 1;
/// Integers beyond are stored as they are.
const INTEGER_MAX: f64 = 4_503_599_627_370_496.0;

/// The bytes are not of a histogram; the text says what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("histogram: {0}")]
pub struct HistogramDecodeError(&'static str);

type Decoded<T> = Result<T, HistogramDecodeError>;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn integer(value: f64) -> Option<i64> {
    let whole = value as i64;
    (value.abs() < INTEGER_MAX && (whole as f64).to_bits() == value.to_bits()).then_some(whole)
}

fn put_number(out: &mut Vec<u8>, value: f64, before: f64) {
    match (integer(value), integer(before)) {
        (Some(now), then) => put_varint(out, zigzag(now - then.unwrap_or(0)) << 1),
        (None, _) => {
            out.push(1);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

fn put_spans(out: &mut Vec<u8>, spans: &[BucketSpan]) {
    put_varint(out, spans.len() as u64);
    for span in spans {
        put_varint(out, zigzag(span.offset.into()));
        put_varint(out, span.length.into());
    }
}

fn put_counts(out: &mut Vec<u8>, counts: &[f64], before: Option<&[f64]>) {
    for (i, count) in counts.iter().enumerate() {
        put_number(out, *count, before.and_then(|b| b.get(i)).copied().unwrap_or(0.0));
    }
}

/// Appends `histogram`, whose spans and counts must agree, relative to `before`.
pub fn encode_histogram(histogram: &NativeHistogram, before: Option<&NativeHistogram>, out: &mut Vec<u8>) {
    let same = before.filter(|b| b.same_layout(histogram));
    out.push((histogram.reset_hint as u8) << 1 | if same.is_some() { 0 } else { NEW_LAYOUT });
    if same.is_none() {
        out.push(histogram.schema as u8);
        out.extend_from_slice(&histogram.zero_threshold.to_bits().to_le_bytes());
        put_spans(out, &histogram.positive_spans);
        put_spans(out, &histogram.negative_spans);
        put_varint(out, histogram.custom_bounds.len() as u64);
        for bound in &histogram.custom_bounds {
            out.extend_from_slice(&bound.to_bits().to_le_bytes());
        }
    }
    put_number(out, histogram.sum, same.map_or(0.0, |b| b.sum));
    put_number(out, histogram.count, same.map_or(0.0, |b| b.count));
    put_number(out, histogram.zero_count, same.map_or(0.0, |b| b.zero_count));
    put_counts(out, &histogram.positive_counts, same.map(|b| b.positive_counts.as_slice()));
    put_counts(out, &histogram.negative_counts, same.map(|b| b.negative_counts.as_slice()));
}

struct Input<'a, 'b>(&'b mut &'a [u8]);

impl Input<'_, '_> {
    fn byte(&mut self) -> Decoded<u8> {
        let (&byte, rest) = self.0.split_first().ok_or(HistogramDecodeError("cut off"))?;
        *self.0 = rest;
        Ok(byte)
    }

    fn double(&mut self) -> Decoded<f64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(HistogramDecodeError("cut off"))?;
        *self.0 = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    fn varint(&mut self) -> Decoded<u64> {
        take_varint(self.0).ok_or(HistogramDecodeError("a number is cut off or too long"))
    }

    fn number(&mut self, before: f64) -> Decoded<f64> {
        match self.varint()? {
            1 => self.double(),
            odd if odd & 1 == 1 => Err(HistogramDecodeError("unknown form of number")),
            even => Ok(integer(before).unwrap_or(0).wrapping_add(unzigzag(even >> 1)) as f64),
        }
    }

    fn spans(&mut self) -> Decoded<(Vec<BucketSpan>, usize)> {
        let count = self.varint()? as usize;
        if count > BUCKETS_MAX || count > self.0.len() {
            return Err(HistogramDecodeError("too many spans"));
        }
        let (mut spans, mut buckets) = (Vec::with_capacity(count), 0u64);
        for _ in 0..count {
            let offset = i32::try_from(unzigzag(self.varint()?)).map_err(|_| HistogramDecodeError("span offset"))?;
            let length = u32::try_from(self.varint()?).map_err(|_| HistogramDecodeError("span length"))?;
            buckets = buckets.saturating_add(length.into());
            spans.push(BucketSpan { offset, length });
        }
        match usize::try_from(buckets) {
            Ok(buckets) if buckets <= BUCKETS_MAX => Ok((spans, buckets)),
            _ => Err(HistogramDecodeError("too many buckets")),
        }
    }

    fn counts(&mut self, many: usize, before: Option<&[f64]>) -> Decoded<Vec<f64>> {
        if many > self.0.len() {
            return Err(HistogramDecodeError("cut off"));
        }
        (0..many).map(|i| self.number(before.and_then(|b| b.get(i)).copied().unwrap_or(0.0))).collect()
    }
}

/// Takes one histogram off the front of `bytes`.
///
/// # Errors
/// [`HistogramDecodeError`] for bytes that [`encode_histogram`] did not write with the same `before`.
pub fn decode_histogram(bytes: &mut &[u8], before: Option<&NativeHistogram>) -> Decoded<NativeHistogram> {
    let mut input = Input(bytes);
    let flags = input.byte()?;
    let reset_hint = match flags >> 1 {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return Err(HistogramDecodeError("unknown flags")),
    };
    let mut out = NativeHistogram { reset_hint, ..NativeHistogram::default() };
    let (positive, negative, same);
    if flags & NEW_LAYOUT != 0 {
        same = None;
        out.schema = input.byte()? as i8;
        out.zero_threshold = input.double()?;
        (out.positive_spans, positive) = input.spans()?;
        (out.negative_spans, negative) = input.spans()?;
        let bounds = input.varint()? as usize;
        if bounds > BUCKETS_MAX || bounds > input.0.len() / 8 {
            return Err(HistogramDecodeError("too many bounds"));
        }
        out.custom_bounds = (0..bounds).map(|_| input.double()).collect::<Decoded<_>>()?;
    } else {
        let before = before.ok_or(HistogramDecodeError("none before"))?;
        (out.schema, out.zero_threshold) = (before.schema, before.zero_threshold);
        out.positive_spans.clone_from(&before.positive_spans);
        out.negative_spans.clone_from(&before.negative_spans);
        out.custom_bounds.clone_from(&before.custom_bounds);
        (positive, negative) = (before.positive_counts.len(), before.negative_counts.len());
        same = Some(before);
    }
    out.sum = input.number(same.map_or(0.0, |b| b.sum))?;
    out.count = input.number(same.map_or(0.0, |b| b.count))?;
    out.zero_count = input.number(same.map_or(0.0, |b| b.zero_count))?;
    out.positive_counts = input.counts(positive, same.map(|b| b.positive_counts.as_slice()))?;
    out.negative_counts = input.counts(negative, same.map(|b| b.negative_counts.as_slice()))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![any::<u64>().prop_map(f64::from_bits), (0u32..1000).prop_map(f64::from), Just(-0.0), Just(0.0)]
    }

    fn side() -> impl Strategy<Value = (Vec<BucketSpan>, Vec<f64>)> {
        proptest::collection::vec((any::<i32>(), proptest::collection::vec(number(), 0..5)), 0..4).prop_map(|spans| {
            let of = |(offset, counts): &(i32, Vec<f64>)| BucketSpan { offset: *offset, length: counts.len() as u32 };
            (spans.iter().map(of).collect(), spans.into_iter().flat_map(|(_, counts)| counts).collect())
        })
    }

    fn histogram() -> impl Strategy<Value = NativeHistogram> {
        (
            -4i8..=8,
            0u8..4,
            number(),
            number(),
            number(),
            number(),
            side(),
            side(),
            proptest::collection::vec(number(), 0..4),
        )
            .prop_map(
                |(schema, hint, zero_threshold, zero_count, count, sum, positive, negative, custom_bounds)| {
                    let hints = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];
                    NativeHistogram {
                        schema,
                        reset_hint: hints[usize::from(hint)],
                        zero_threshold,
                        zero_count,
                        count,
                        sum,
                        positive_spans: positive.0,
                        positive_counts: positive.1,
                        negative_spans: negative.0,
                        negative_counts: negative.1,
                        custom_bounds,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn gives_back_every_bit(all in proptest::collection::vec((histogram(), any::<bool>()), 1..6)) {
            let mut series: Vec<NativeHistogram> = Vec::new();
            for (histogram, repeat) in all {
                let mut next = histogram;
                if repeat && let Some(last) = series.last() {
                    next = NativeHistogram { sum: next.sum, count: next.count, ..last.clone() };
                }
                series.push(next);
            }
            let mut bytes = Vec::new();
            for (i, histogram) in series.iter().enumerate() {
                encode_histogram(histogram, i.checked_sub(1).map(|b| &series[b]), &mut bytes);
            }
            let (mut rest, mut before) = (bytes.as_slice(), None);
            for histogram in &series {
                let read = decode_histogram(&mut rest, before.as_ref()).unwrap();
                // Debug text tells -0 from 0; NaN is compared by its bits.
                prop_assert_eq!(format!("{read:?}"), format!("{histogram:?}"));
                prop_assert_eq!(read.sum.to_bits(), histogram.sum.to_bits());
                before = Some(read);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn strange_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            let mut before = None;
            while let Ok(histogram) = decode_histogram(&mut rest, before.as_ref()) {
                before = Some(histogram);
            }
        }
    }

    #[test]
    fn a_growing_histogram_costs_a_byte_per_bucket() {
        let at = |n: f64| NativeHistogram {
            count: 4.0 * n,
            sum: 9.0 * n,
            positive_spans: vec![BucketSpan { offset: 0, length: 4 }],
            positive_counts: vec![n; 4],
            ..NativeHistogram::default()
        };
        let mut bytes = Vec::new();
        encode_histogram(&at(8.0), Some(&at(7.0)), &mut bytes);
        assert_eq!(bytes.len(), 8);
    }
}
