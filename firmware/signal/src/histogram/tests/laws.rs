use super::*;
use proptest::prelude::*;

const HINTS: [ResetHint; 4] = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];

/// Counts are small integers, so that all sums are exact.
fn side() -> impl Strategy<Value = (Vec<BucketSpan>, Vec<f64>)> {
    let counts = proptest::collection::vec((0u8..6).prop_map(f64::from), 0..6);
    proptest::collection::vec((0i32..5, counts), 0..5).prop_map(|spans| {
        let offset = |at: usize, offset: i32| if at == 0 { offset - 6 } else { offset };
        let span = |(at, (gap, counts)): (usize, &(i32, Vec<f64>))| BucketSpan {
            offset: offset(at, *gap),
            length: counts.len() as u32,
        };
        (spans.iter().enumerate().map(span).collect(), spans.into_iter().flat_map(|(_, counts)| counts).collect())
    })
}

fn sum_of(counts: &[f64]) -> f64 {
    counts.iter().sum()
}

fn exponential() -> impl Strategy<Value = NativeHistogram> {
    let threshold =
        prop_oneof![Just(0.0), Just(1e-128), 0.01f64..9.0, (-4i64..4).prop_map(|i| exponential_bound(i, 0))];
    (-4i8..=8, 0usize..4, threshold, 0u8..5, side(), side()).prop_map(
        |(schema, hint, threshold, zero, positive, negative)| {
            let zero_count = f64::from(zero);
            let mut histogram = NativeHistogram {
                schema,
                reset_hint: HINTS[hint],
                zero_threshold: threshold,
                zero_count,
                positive_spans: positive.0,
                positive_counts: positive.1,
                negative_spans: negative.0,
                negative_counts: negative.1,
                ..NativeHistogram::default()
            };
            // As senders have it: no bucket inside the zero bucket.
            let outside = |side: layout::Side<'_>| zero::outside::<f64>(side, schema, threshold);
            let (positive, negative) = (outside(histogram.positive()), outside(histogram.negative()));
            histogram.set_positive(positive);
            histogram.set_negative(negative);
            histogram.count = zero_count + sum_of(&histogram.positive_counts) + sum_of(&histogram.negative_counts);
            histogram.sum = f64::from(hint as u8) * 3.0 - histogram.count;
            histogram
        },
    )
}

fn custom() -> impl Strategy<Value = NativeHistogram> {
    proptest::collection::btree_map(-4i8..8, 0u8..5, 0..8).prop_flat_map(|buckets| {
        (Just(buckets), 0u8..4).prop_map(|(buckets, last)| {
            let counts: Vec<f64> = buckets.values().copied().chain([last]).map(f64::from).collect();
            NativeHistogram {
                schema: CUSTOM_BUCKETS_SCHEMA,
                count: sum_of(&counts),
                sum: 2.0,
                positive_spans: vec![BucketSpan { offset: 0, length: counts.len() as u32 }],
                positive_counts: counts,
                custom_bounds: buckets.keys().map(|b| f64::from(*b)).collect(),
                ..NativeHistogram::default()
            }
        })
    })
}

fn pairs() -> impl Strategy<Value = (NativeHistogram, NativeHistogram)> {
    prop_oneof![(exponential(), exponential()), (custom(), custom())]
}

/// Anything that bytes from disk or network may hold.
fn hostile() -> impl Strategy<Value = NativeHistogram> {
    let number = || prop_oneof![any::<u64>().prop_map(f64::from_bits), (0u32..9).prop_map(f64::from)];
    let offset = prop_oneof![any::<i32>(), Just(i32::MAX), Just(i32::MIN), -3i32..9];
    let length = prop_oneof![0u32..4, Just(u32::MAX)];
    let span = (offset, length).prop_map(|(offset, length)| BucketSpan { offset, length });
    let side = move || (proptest::collection::vec(span.clone(), 0..5), proptest::collection::vec(number(), 0..9));
    let bounds = proptest::collection::vec(number(), 0..4);
    (prop_oneof![any::<i8>(), Just(CUSTOM_BUCKETS_SCHEMA), -4i8..9], number(), number(), side(), side(), bounds)
        .prop_map(|(schema, zero_threshold, zero_count, positive, negative, custom_bounds)| NativeHistogram {
            schema,
            zero_threshold,
            zero_count,
            positive_spans: positive.0,
            positive_counts: positive.1,
            negative_spans: negative.0,
            negative_counts: negative.1,
            custom_bounds,
            ..NativeHistogram::default()
        })
}

fn plus(a: &NativeHistogram, b: &NativeHistogram) -> NativeHistogram {
    let mut sum = a.clone();
    sum.add(b).unwrap();
    sum
}

fn compact(histogram: &NativeHistogram) -> NativeHistogram {
    let mut histogram = NativeHistogram { reset_hint: ResetHint::Unknown, ..histogram.clone() };
    histogram.compact(0);
    histogram
}

proptest! {
    #[test]
    fn addition_commutes((a, b) in pairs()) {
        let (ab, ba) = (plus(&a, &b), plus(&b, &a));
        prop_assert_eq!(ab.reset_hint, ba.reset_hint);
        prop_assert_eq!(compact(&ab), compact(&ba));
    }

    #[test]
    fn addition_loses_no_observation((a, b) in pairs()) {
        let sum = plus(&a, &b);
        let buckets = sum.zero_count + sum_of(&sum.positive_counts) + sum_of(&sum.negative_counts);
        prop_assert_eq!(buckets, a.count + b.count);
        prop_assert_eq!(sum.count, a.count + b.count);
        let valid = compact(&NativeHistogram { sum: 0.0, ..sum }).validate();
        prop_assert!(valid.is_ok(), "{:?}", valid);
    }

    #[test]
    fn subtraction_undoes_addition((a, b) in pairs()) {
        let mut back = plus(&a, &b);
        let layout = NativeHistogram { count: 0.0, ..back.clone() };
        back.sub(&b).unwrap();
        // `a` in the layout of the sum.
        let mut expected = a.clone();
        if a.has_custom_bounds() {
            let zero = NativeHistogram { positive_spans: vec![], positive_counts: vec![], count: 0.0, sum: 0.0, ..layout };
            expected.add(&zero).unwrap();
        } else {
            let zero = NativeHistogram {
                schema: layout.schema,
                zero_threshold: layout.zero_threshold,
                ..NativeHistogram::default()
            };
            expected.add(&zero).unwrap();
        }
        prop_assert_eq!(compact(&back), compact(&expected));
    }

    #[test]
    fn addition_and_reduction_commute(a in exponential(), b in exponential(), schema in -4i8..=8) {
        let same_zero = |h: &NativeHistogram| NativeHistogram { zero_threshold: 0.0, ..h.clone() };
        let (a, b) = (same_zero(&a), same_zero(&b));
        let late = plus(&a, &b).copy_to_schema(schema);
        let early = plus(&a.copy_to_schema(schema), &b.copy_to_schema(schema));
        prop_assert_eq!(compact(&late), compact(&early));
    }

    #[test]
    fn compensated_addition_is_addition(all in proptest::collection::vec(exponential(), 1..5)) {
        let (mut sum, mut plain, mut lost) = (all[0].clone(), all[0].clone(), None);
        for one in &all[1..] {
            sum.kahan_add(one, &mut lost).unwrap();
            plain.add(one).unwrap();
        }
        if let Some(lost) = &lost {
            prop_assert_eq!(lost.positive_counts.len(), sum.positive_counts.len());
            prop_assert_eq!(lost.negative_counts.len(), sum.negative_counts.len());
            sum.add(lost).unwrap();
        }
        prop_assert_eq!(compact(&sum), compact(&plain));
    }

    #[test]
    fn compaction_keeps_every_count(a in exponential(), max_empty in 0usize..4) {
        let populated = |h: &NativeHistogram| {
            h.buckets().filter(|b| b.count != 0.0).map(|b| (b.lower.to_bits(), b.count.to_bits())).collect::<Vec<_>>()
        };
        let mut small = a.clone();
        small.compact(max_empty);
        prop_assert_eq!(populated(&small), populated(&a));
        prop_assert!(small.positive_spans.iter().skip(1).all(|s| s.offset as usize > max_empty));
        let mut again = small.clone();
        again.compact(max_empty);
        prop_assert_eq!(again, small);
    }

    #[test]
    fn walks_agree(a in prop_oneof![exponential(), custom()]) {
        let forward: Vec<Bucket> = a.positive_buckets().collect();
        let mut backward: Vec<Bucket> = a.positive_buckets().rev().collect();
        backward.reverse();
        prop_assert_eq!(&forward, &backward);
        prop_assert_eq!(forward.len(), a.positive_counts.len());
        let mut ascending = a.buckets().collect::<Vec<_>>();
        prop_assert!(ascending.is_sorted_by(|a, b| a.upper <= b.lower));
        ascending.reverse();
        prop_assert_eq!(ascending, a.buckets_descending().collect::<Vec<_>>());
    }

    #[test]
    fn growth_is_no_reset((a, b) in pairs()) {
        let mut later = plus(&a, &b);
        later.reset_hint = ResetHint::Unknown;
        prop_assert!(!later.detect_reset(&a));
        let back = NativeHistogram { reset_hint: ResetHint::Unknown, ..a.clone() };
        prop_assert!(later.count == a.count || back.detect_reset(&later));
    }

    #[test]
    fn literals_read_back((a, _) in pairs()) {
        let read = histogram(&a.literal());
        prop_assert_eq!(compact(&read), compact(&a));
        prop_assert_eq!(read.reset_hint, a.reset_hint);
    }

    #[test]
    fn cuts_leave_what_there_was(a in exponential(), at in -9.0f64..9.0) {
        let (mut below, mut above) = (a.clone(), a.clone());
        below.trim(Keep::Below, at);
        above.trim(Keep::Above, at);
        prop_assert!((below.count + above.count - a.count).abs() <= 1e-9 * a.count);
    }

    #[test]
    fn strange_histograms_do_no_harm(a in hostile(), b in hostile(), schema in any::<i8>(), at in any::<f64>()) {
        let mut lost = None;
        let _ = a.clone().add(&b).map(|_| ());
        let _ = a.clone().sub(&b);
        let mut sum = a.clone();
        let _ = sum.kahan_add(&b, &mut lost);
        let _ = sum.kahan_add(&a, &mut lost);
        for mut one in [a.clone(), sum] {
            let _ = (one.detect_reset(&b), b.detect_reset(&one), one.equals(&b), one.validate());
            let _ = (one.to_string(), one.literal());
            prop_assert_eq!(one.buckets().count(), one.buckets_descending().count());
            one.compact(usize::MAX);
            one.trim(Keep::Above, at);
            one.reduce_resolution(schema);
            prop_assert!(one.memory_bytes() < 2 << 20, "{}", one.memory_bytes());
        }
    }
}

#[test]
fn far_apart_buckets_cost_nothing() {
    let far = |offset| NativeHistogram {
        positive_spans: vec![BucketSpan { offset, length: 1 }, BucketSpan { offset: i32::MAX, length: 1 }],
        positive_counts: vec![1.0; 2],
        ..NativeHistogram::default()
    };
    let mut sum = far(i32::MIN);
    sum.zero_threshold = 0.0;
    sum.add(&far(i32::MAX)).unwrap();
    assert!(sum.memory_bytes() < 1000, "{}", sum.memory_bytes());
    assert_eq!(sum.buckets().count(), 4);
    sum.compact(0);
    assert_eq!(sum.positive_counts, [1.0; 4]);
    sum.reduce_resolution(-4);
    assert_eq!(sum.positive_counts, [1.0; 4]);
}
