//! Rows against what they are made of, and back from their columns.

use super::{Columns, Row, bucket_of, fold, roll, tell};
use bramble_signal::{ROLLUP_WIDTH_MS, is_stale_marker, stale_marker};
use proptest::prelude::*;

/// A series as scrapes make them: values of some kind, gaps, staleness.
fn series() -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    let step = (0u8..100, 0i64..20_000, any::<u32>());
    (0u8..6, prop_oneof![Just(15_000i64), Just(60_000)], proptest::collection::vec(step, 1..300)).prop_map(
        |(kind, interval_ms, steps)| {
            let (mut t, mut total) = (1_000_000_000_000i64, 0.0f64);
            let (mut times, mut values) = (Vec::new(), Vec::new());
            for (chance, jitter_ms, random) in steps {
                t += interval_ms + if chance < 5 { 400_000 } else { 0 };
                let x = f64::from(random % 1000);
                if kind < 3 && chance > 96 {
                    total = 0.0;
                }
                total += x;
                times.push(t + if kind % 2 == 0 { 0 } else { jitter_ms % 9_000 });
                values.push(match kind {
                    _ if chance == 90 => stale_marker(),
                    0 => total,
                    1 => total / 100.0,
                    2 => total * std::f64::consts::E,
                    3 => 21.5,
                    4 => x / 10.0 - 50.0,
                    _ if chance == 50 => f64::NAN,
                    _ if chance == 51 => f64::INFINITY,
                    _ => x.sqrt() - 10.0,
                });
            }
            (times, values)
        },
    )
}

fn rows_of(times: &[i64], values: &[f64]) -> Vec<Row> {
    let mut rows = Vec::new();
    roll(times, values, &mut rows);
    rows
}

fn bits(row: &Row) -> impl PartialEq + std::fmt::Debug + use<> {
    let r = &row.rollup;
    let floats = [r.sum, r.min, r.max, r.first.value, r.last.value, r.increase, row.lost].map(f64::to_bits);
    (r.start_ms, r.count, r.resets, r.stale, r.first.timestamp_ms, r.last.timestamp_ms, floats)
}

fn through_columns(rows: &[Row]) -> (Vec<Row>, usize) {
    let (mut written, mut read, mut out) = (Columns::default(), Columns::default(), Vec::new());
    written.fill(rows);
    read.begin();
    for part in 0..written.parts() {
        let (times, values) = written.part(part);
        assert!(times.is_sorted_by(|a, b| a < b));
        read.take(times, values).unwrap();
    }
    read.rows(&mut out).unwrap();
    (out, written.parts())
}

/// What `increase` does, without extrapolation.
fn rises(values: &[f64]) -> f64 {
    let pairs = values.windows(2).map(|w| if w[1] < w[0] { w[1] } else { w[1] - w[0] });
    pairs.sum()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0) || a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rows_say_what_was_in_their_bucket((times, values) in series()) {
        let rows = rows_of(&times, &values);
        prop_assert!(rows.is_sorted_by(|a, b| a.rollup.start_ms < b.rollup.start_ms));
        for Row { rollup, .. } in &rows {
            let all: Vec<(i64, f64)> =
                times.iter().copied().zip(values.iter().copied()).filter(|(t, _)| bucket_of(*t) == rollup.start_ms).collect();
            let numbers: Vec<f64> = all.iter().map(|(_, v)| *v).filter(|v| !is_stale_marker(*v)).collect();
            prop_assert!(all.iter().all(|(t, _)| *t > rollup.start_ms && *t <= rollup.start_ms + ROLLUP_WIDTH_MS));
            prop_assert_eq!(rollup.count as usize, numbers.len());
            prop_assert_eq!(rollup.stale, all.last().is_some_and(|(_, v)| is_stale_marker(*v)));
            if numbers.is_empty() {
                continue;
            }
            let number = |f: fn(f64, f64) -> f64| numbers.iter().copied().filter(|v| !v.is_nan()).reduce(f).unwrap_or(f64::NAN);
            prop_assert!(near(rollup.min, number(f64::min)) && near(rollup.max, number(f64::max)));
            prop_assert!(near(rollup.sum, numbers.iter().sum()), "{} {:?}", rollup.sum, numbers);
            prop_assert_eq!(rollup.resets as usize, numbers.windows(2).filter(|w| w[1] < w[0]).count());
            if numbers.iter().all(|v| v.is_finite()) {
                prop_assert!(near(rollup.increase, rises(&numbers)), "{} {:?}", rollup.increase, numbers);
            }
        }
    }

    #[test]
    fn columns_give_rows_back((times, values) in series()) {
        let rows = rows_of(&times, &values);
        let (mut read, _) = through_columns(&rows);
        let counter = rows.iter().map(|r| u64::from(r.rollup.resets) * 4).sum::<u64>()
            <= rows.iter().map(|r| u64::from(r.rollup.count)).sum::<u64>() && rows.iter().all(|r| r.rollup.min >= 0.0);
        for (read, row) in read.iter_mut().zip(&rows) {
            if !counter {
                // What a gauge lost is not kept.
                prop_assert!(read.lost == 0.0);
                (read.lost, read.rollup.increase) = (row.lost, row.rollup.increase);
            }
            prop_assert_eq!(bits(read), bits(row));
        }
        prop_assert_eq!(read.len(), rows.len());
    }

    #[test]
    fn told_samples_rise_as_the_series_did((times, values) in series()) {
        prop_assume!(values.iter().all(|v| *v >= 0.0 || is_stale_marker(*v)));
        let rows = rows_of(&times, &values);
        let (mut told_times, mut told) = (Vec::new(), Vec::new());
        tell(&rows, (i64::MIN, i64::MAX), &mut told_times, &mut told);
        prop_assert!(told_times.is_sorted_by(|a, b| a < b), "{:?}", told_times);
        let numbers = |values: &[f64]| values.iter().copied().filter(|v| !is_stale_marker(*v)).collect::<Vec<_>>();
        prop_assert!(near(rises(&numbers(&told)), rises(&numbers(&values))));
        prop_assert_eq!(numbers(&told).last().map(|v| v.to_bits()), numbers(&values).last().map(|v| v.to_bits()));
    }

    #[test]
    fn rows_of_parts_join_to_rows_of_all((times, values) in series(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(times.len());
        let mut joined = rows_of(&times[..cut], &values[..cut]);
        roll(&times[cut..], &values[cut..], &mut joined);
        fold(&mut joined);
        let rows = rows_of(&times, &values);
        prop_assert_eq!(joined.len(), rows.len());
        for (a, b) in joined.iter().zip(&rows) {
            let (a, b) = (&a.rollup, &b.rollup);
            prop_assert_eq!((a.start_ms, a.count, a.resets, a.stale), (b.start_ms, b.count, b.resets, b.stale));
            prop_assert!(near(a.sum, b.sum) && near(a.min, b.min) && near(a.max, b.max), "{:?} {:?}", a, b);
            if values.iter().all(|v| v.is_finite() || is_stale_marker(*v)) {
                prop_assert!(near(a.increase, b.increase), "{:?} {:?}", a, b);
            }
            prop_assert_eq!((a.first.timestamp_ms, a.last.timestamp_ms), (b.first.timestamp_ms, b.last.timestamp_ms));
        }
    }

    #[test]
    fn damaged_columns_are_refused(parts in proptest::collection::vec(proptest::collection::vec((any::<i64>(), any::<f64>()), 0..4), 0..10)) {
        let (mut read, mut out) = (Columns::default(), Vec::new());
        read.begin();
        for part in parts {
            let (times, values): (Vec<i64>, Vec<f64>) = part.into_iter().unzip();
            if read.take(&times, &values).is_none() {
                return Ok(());
            }
        }
        if read.rows(&mut out).is_none() {
            prop_assert!(out.is_empty());
        }
    }
}

#[test]
fn what_says_nothing_is_not_written() {
    let times: Vec<i64> = (0..5760).map(|i| 1_000_000_000_000 + i * 15_000).collect();
    let constant = rows_of(&times, &vec![21.5; 5760]);
    assert_eq!(through_columns(&constant).1, 2);
    let counter: Vec<f64> = (0..5760).map(|i| f64::from(i * 7 + i % 3)).collect();
    assert_eq!(through_columns(&rows_of(&times, &counter)).1, 4);
    let gauge: Vec<f64> = (0..5760).map(|i| f64::from(i % 7) / 10.0 - 0.2).collect();
    assert_eq!(through_columns(&rows_of(&times, &gauge)).1, 8, "resets are kept, what was lost is not");
}

#[test]
fn midnight_belongs_to_the_bucket_before() {
    let midnight = 20_000 * 86_400_000i64;
    assert_eq!(bucket_of(midnight), midnight - ROLLUP_WIDTH_MS);
    assert_eq!(bucket_of(midnight + 1), midnight);
    let mut rows = rows_of(&[midnight - 15_000], &[5.0]);
    roll(&[midnight, midnight + 15_000], &[2.0, 3.0], &mut rows);
    fold(&mut rows);
    let seen: Vec<_> = rows.iter().map(|r| (r.rollup.count, r.rollup.resets, r.rollup.increase)).collect();
    assert_eq!(seen, [(2, 1, 2.0), (1, 0, 0.0)], "a reset across midnight inside one bucket");
}
