//! Days rolled up in a store: who answers when, and what comes late.

use super::{Row, fold, roll};
use crate::tests::Bench;
use bramble_signal::{MetricBatch, NativeHistogram, Rollup, SeriesSamples, histogram_at};
use bramble_storage::contract::BASE_MS;
use bramble_storage::{BlockStore, MetricSource, RetentionClass};

const DAY_MS: i64 = 86_400_000;
/// Midnight of the day before the tests' base.
const MIDNIGHT: i64 = BASE_MS.div_euclid(DAY_MS) * DAY_MS - DAY_MS;

fn write(bench: &Bench, times: impl Iterator<Item = i64>, value: impl Fn(i64) -> f64) {
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "requests_total"), ("job", "a")]).unwrap();
    times.for_each(|t| batch.push_sample(t, value(t)));
    bench.write(batch);
}

fn every_minute(from: i64, to: i64) -> impl Iterator<Item = i64> {
    (0..).map(move |i| from + 7_000 + i * 60_000).take_while(move |t| *t < to)
}

fn counter(t: i64) -> f64 {
    ((t - MIDNIGHT) % (11 * 3_600_000) / 1000) as f64
}

/// Rolls up a day and, if asked to, removes its full resolution.
fn roll_up(bench: &Bench, day: i32, expire: bool) {
    let rolled = bench.store.roll_up(day, u64::MAX, &mut || bench.next_id(), &|| true).unwrap();
    let mut blocks = bench.blocks.borrow_mut();
    let mut removed: Vec<_> = rolled.iter().flat_map(|b| b.replaces.iter().copied()).collect();
    let hot = blocks.iter().filter(|b| b.class != RetentionClass::Cold && b.day == day).map(|b| b.id);
    removed.extend(hot.filter(|_| expire));
    bench.store.swap(&rolled, &removed, false).unwrap();
    blocks.retain(|b| !removed.contains(&b.id));
    blocks.extend(rolled);
}

fn rollups_of(times: impl Iterator<Item = i64>, value: impl Fn(i64) -> f64) -> Vec<Rollup> {
    let (mut rows, times): (Vec<Row>, Vec<i64>) = (Vec::new(), times.collect());
    let values: Vec<f64> = times.iter().map(|t| value(*t)).collect();
    roll(&times, &values, &mut rows);
    fold(&mut rows);
    super::rollups_of(&rows).collect()
}

fn only(found: Vec<SeriesSamples>) -> SeriesSamples {
    assert_eq!(found.len(), 1);
    found.into_iter().next().unwrap()
}

#[test]
fn a_day_is_answered_from_rollups_once_its_samples_are_gone() {
    let mut bench = Bench::new();
    let day = (MIDNIGHT / DAY_MS) as i32;
    write(&bench, every_minute(MIDNIGHT, MIDNIGHT + 2 * DAY_MS), counter);
    bench.flush_next();
    assert_eq!(bench.store.unrolled_days(), [day, day + 1]);
    let before = only(bench.all());
    roll_up(&bench, day, false);
    assert_eq!(bench.store.unrolled_days(), [day + 1]);
    assert_eq!((only(bench.all()), bench.store.rolled_up_before_ms()), (before.clone(), i64::MIN), "samples are there");
    roll_up(&bench, day, true);
    let after = only(bench.all());
    assert_eq!(bench.store.rolled_up_before_ms(), MIDNIGHT + DAY_MS);
    assert_eq!(after.rollups, rollups_of(every_minute(MIDNIGHT, MIDNIGHT + DAY_MS), counter));
    let seam = |s: &SeriesSamples| s.timestamps_ms.partition_point(|t| *t < MIDNIGHT + DAY_MS);
    let (old, new) = (seam(&before), seam(&after));
    assert_eq!(after.timestamps_ms[new..], before.timestamps_ms[old..], "full resolution goes on where rollups end");
    assert_eq!(
        (after.timestamps_ms[new - 1], after.values[new - 1]),
        (before.timestamps_ms[old - 1], before.values[old - 1])
    );
    // A range inside one bucket still finds its rollup.
    let at = MIDNIGHT + 3_600_000;
    let narrow = only(bench.select(&[], at + 10_000, at + 20_000));
    assert_eq!((narrow.rollups.len(), narrow.timestamps_ms.len()), (1, 0));
    bench.reopen();
    assert_eq!(only(bench.all()), after);
}

#[test]
fn what_comes_late_gets_into_the_rollups() {
    let bench = Bench::new();
    let day = (MIDNIGHT / DAY_MS) as i32;
    let (first, second) = (MIDNIGHT + DAY_MS / 4, MIDNIGHT + DAY_MS / 2);
    write(&bench, every_minute(MIDNIGHT, first).chain(every_minute(second, MIDNIGHT + DAY_MS)), counter);
    bench.flush_next();
    roll_up(&bench, day, false);
    // Late, but before full resolution went: the rollups are made anew from all of it.
    write(&bench, every_minute(first, second - 3_600_000), counter);
    bench.flush_next();
    assert_eq!(bench.store.unrolled_days(), [day]);
    roll_up(&bench, day, true);
    let of = |to: i64| {
        let times = every_minute(MIDNIGHT, to).chain(every_minute(second, MIDNIGHT + DAY_MS));
        rollups_of(times, counter)
    };
    assert_eq!(only(bench.all()).rollups, of(second - 3_600_000));
    // Later than that: folded in as it is read, from head and block, then written.
    write(&bench, every_minute(second - 3_600_000, second), counter);
    assert_eq!(only(bench.all()).rollups, of(second));
    bench.flush_next();
    assert_eq!((only(bench.all()).rollups, bench.store.unrolled_days()), (of(second), vec![day]));
    roll_up(&bench, day, true);
    assert_eq!((only(bench.all()).rollups, bench.store.unrolled_days()), (of(second), vec![]));
}

#[test]
fn histograms_are_thinned() {
    let bench = Bench::new();
    let day = (MIDNIGHT / DAY_MS) as i32;
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "latency")]).unwrap();
    for (i, t) in every_minute(MIDNIGHT, MIDNIGHT + 900_000).enumerate() {
        let count = if i < 7 { 10.0 + i as f64 } else { i as f64 - 6.0 };
        let zero_count = count;
        batch.push_histogram(t, NativeHistogram { count, zero_count, ..NativeHistogram::default() });
    }
    bench.write(batch);
    bench.flush_next();
    roll_up(&bench, day, true);
    let found = only(bench.all());
    let counts: Vec<_> = found.values.iter().map(|v| histogram_at(*v, &found.histograms).map(|h| h.count)).collect();
    assert_eq!(counts, [14.0, 16.0, 3.0, 8.0].map(Some), "the last of each bucket, and the one before the reset");
}
