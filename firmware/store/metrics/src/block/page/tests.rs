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
