//! Round trips, damage and sizes of pages.

use super::*;
use crate::decimal::from_integer;
use proptest::prelude::*;

type Column = (Vec<f64>, Option<(u32, f64)>);

fn round_trip(columns: &[Column]) -> usize {
    let (mut builder, mut bytes) = (PageBuilder::default(), Vec::new());
    for (number, (values, bucket)) in columns.iter().enumerate() {
        // Buckets of one histogram share their column.
        builder.push(if bucket.is_some() { 7 } else { number as u32 }, values, *bucket);
    }
    builder.finish(&mut bytes).unwrap();
    let (mut page, mut read) = (OpenPage::open(&bytes).unwrap(), Vec::new());
    for (number, (values, _)) in columns.iter().enumerate() {
        page.values(&bytes, number, &mut read).unwrap();
        let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(values), "series {number}");
        assert_eq!(page.times(number).map(|t| t.1), Some(values.len()));
    }
    bytes.len()
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1000i64..1000).prop_map(|n| n as f64),
        2 => (-100_000i64..100_000).prop_map(|n| n as f64 / 1000.0),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop_oneof![Just(-0.0), Just(f64::INFINITY), Just(bramble_signal::stale_marker()), Just(9e15), Just(-9e15)],
    ]
}

fn column() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        proptest::collection::vec(value(), 1..40),
        (1usize..40, value()).prop_map(|(n, v)| vec![v; n]),
        (1usize..300, -50i64..50, 0i64..5, 0u8..4)
            .prop_map(|(n, a, b, e)| { (0..n as i64).map(|i| from_integer(a * i + b * i * i, e)).collect() }),
        (1usize..60, 0usize..60).prop_map(|(n, at)| {
            let mut counter: Vec<f64> = (0..n).map(|i| (i * i) as f64).collect();
            counter[at % n] = bramble_signal::stale_marker();
            counter
        }),
    ]
}

/// Series long enough to be begun in the middle, in every order of differences, with exceptions and a bucket.
fn long_columns(seed: i64) -> Vec<Column> {
    let of = |f: &dyn Fn(i64) -> i64, exponent| (0..2000).map(|i| from_integer(f(i), exponent)).collect::<Vec<f64>>();
    let noise = |i: i64| ((i * 7919 + seed) * 104_729) % 97;
    let mut stale = of(&|i| i * 1000 + noise(i), 2);
    (stale[700], stale[1999]) = (bramble_signal::stale_marker(), f64::NAN);
    let bucket = of(&|i| i * 40 + i / 3, 0);
    let above: Vec<f64> = bucket.iter().zip(0i64..).map(|(v, i)| v + (i * 2) as f64).collect();
    vec![
        (of(&|i| i * 15 + noise(i) % 3, 0), None),
        (of(&|i| 1_000_000 + noise(i) * 500, 1), None),
        (of(&|i| i * i * 3 + noise(i) % 2, 3), None),
        (stale, None),
        ((0..2000).map(|i| f64::from(i).sqrt() / 3.0).collect(), None),
        (vec![4.5; 2000], None),
        (of(&|i| i * 7, 0), None),
        (bucket, Some((1, 1.0))),
        (above, Some((1, 2.0))),
    ]
}

proptest! {
    #[test]
    fn a_part_is_what_the_whole_has_there(seed in 0i64..1000, parts in proptest::collection::vec((0usize..9, 0usize..2000, 0usize..700), 1..12)) {
        let columns = long_columns(seed);
        let (mut builder, mut bytes) = (PageBuilder::default(), Vec::new());
        columns.iter().for_each(|(values, bucket)| builder.push(if bucket.is_some() { 7 } else { 0 }, values, *bucket));
        builder.finish(&mut bytes).unwrap();
        let mut page = OpenPage::open(&bytes).unwrap();
        for (number, from, length) in parts {
            let (to, mut read) = ((from + length).min(2000), vec![1.0]);
            page.append(&bytes, number, from..to, &mut read).unwrap();
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&read[1..]), bits(&columns[number].0[from..to]));
            if length % 5 == 0 {
                // What is kept from query to query still reads the same.
                prop_assert!(page.rest() > 0);
            }
            prop_assert!(page.append(&bytes, number, 1999..2001, &mut read).is_none());
        }
    }
}

proptest! {
    #[test]
    fn every_bit_comes_back(columns in proptest::collection::vec((column(), proptest::option::of((0u32..2, value()))), 1..12)) {
        round_trip(&columns);
    }

    #[test]
    fn damage_is_refused_or_harmless(columns in proptest::collection::vec(column(), 1..6), flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        let (mut builder, mut bytes) = (PageBuilder::default(), Vec::new());
        columns.iter().for_each(|values| builder.push(0, values, Some((1, values.len() as f64))));
        builder.finish(&mut bytes).unwrap();
        for (at, flip) in flips {
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= flip;
        }
        if let Some(mut page) = OpenPage::open(&bytes) {
            let mut read = Vec::new();
            for number in 0..columns.len() {
                let _ = page.values(&bytes, number, &mut read);
            }
        }
    }
}

/// What a scrape target exposes: buckets that repeat the one below or another histogram's, in label order (so that
/// `+Inf` comes first), and a count that repeats `+Inf`.
#[test]
fn buckets_that_repeat_each_other_come_back() {
    let (slow, fast): (Vec<f64>, Vec<f64>) = (0..10).map(|i| (f64::from(i), f64::from(i * 3))).unzip();
    let mut columns: Vec<Column> = Vec::new();
    for histogram in 0..3 {
        for bound in [f64::INFINITY, 0.1, 0.2, 0.4, 1.0, 120.0, 20.0, 3.0, 60.0, 8.0] {
            columns.push((if bound < 0.3 { slow.clone() } else { fast.clone() }, Some((histogram, bound))));
        }
        columns.push((fast.clone(), None));
    }
    round_trip(&columns);
}

/// References may not become deeper by leading from one histogram to the next.
#[test]
fn many_large_histograms_that_repeat_each_other_come_back() {
    let mut columns: Vec<Column> = Vec::new();
    for histogram in 0..4u32 {
        for bucket in (0..256u32).rev() {
            let at = f64::from(histogram * 255 + bucket);
            columns.push(((0..6).map(|i| f64::from(i) * at + 1.0).collect(), Some((histogram, f64::from(bucket)))));
        }
        columns.push((columns[columns.len() - 256].0.clone(), None));
    }
    round_trip(&columns);
}

fn scraped() -> impl Strategy<Value = Vec<Column>> {
    let few = proptest::collection::vec(0i64..3, 4);
    let bucket = (0u32..3, prop_oneof![Just(f64::INFINITY), (0i64..6).prop_map(|b| b as f64)], 0usize..4);
    (proptest::collection::vec(few, 4), proptest::collection::vec(bucket, 1..40)).prop_map(|(shapes, buckets)| {
        let counter = |shape: &[i64]| {
            shape
                .iter()
                .scan(0, |sum, step| {
                    *sum += step;
                    Some(*sum as f64)
                })
                .collect::<Vec<_>>()
        };
        let mut columns: Vec<Column> =
            buckets.iter().map(|&(h, bound, shape)| (counter(&shapes[shape]), (h > 0).then_some((h, bound)))).collect();
        columns.sort_by_key(|(_, bucket)| bucket.map(|b| b.0));
        columns
    })
}

proptest! {
    #[test]
    fn histograms_of_few_distinct_columns_come_back(columns in scraped()) {
        round_trip(&columns);
    }
}

#[test]
fn buckets_are_cheap_without_the_bucket_below() {
    let mut rng = bramble_runtime::Rng::new(1);
    let mut counts = [0f64; 8];
    let mut columns: Vec<Column> = (0..8).map(|b| (Vec::new(), Some((0, f64::from(b))))).collect();
    for _ in 0..400 {
        let mut sum = 0;
        for (count, (values, _)) in counts.iter_mut().zip(&mut columns) {
            sum += rng.below(8);
            *count += sum as f64;
            values.push(*count);
        }
    }
    let related = round_trip(&columns);
    columns.iter_mut().for_each(|(_, bucket)| *bucket = None);
    let apart = round_trip(&columns);
    assert!(related * 5 < apart * 4, "{related} {apart}");
}
