//! Deletions: what readers leave out of blocks until a merge has left it out for good.
//!
//! A deletion names series by matchers, a range of time and the newest block that can hold what it deletes; heads hold
//! none of it, since they are written out before a deletion takes effect. For each block that a reader opens, series
//! that are deleted as a whole are taken from those found, and of others the ranges to leave out are given along.
//! Of a rollup, which stands for five minutes, nothing is shown when the deletion touches any of them.

use crate::block::{Block, BlockPairs, Footer, store_error};
use crate::pairs::matching;
use crate::store::MetricStore;
use bramble_disk::DiskError;
use bramble_signal::LabelsRef;
use bramble_storage::{BlockId, DeletingStore, Deletion, StoreError};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Deletions that are in effect.
pub(crate) type Deletions = Arc<[Deletion]>;

/// What is left out of some series of a block: their numbers and a range of time, inclusive, milliseconds.
#[derive(Default, Debug)]
pub(crate) struct Cuts(Vec<(RoaringBitmap, (i64, i64))>);

impl Cuts {
    /// The parts of `range` of `series` that are there, ascending; the whole range for most series.
    pub(crate) fn kept(&self, series: u32, range: (i64, i64), mut each: impl FnMut((i64, i64))) {
        let mut cuts: Vec<(i64, i64)> = self.of(series).collect();
        cuts.sort_unstable();
        let mut from = range.0;
        for (start, end) in cuts {
            if start > from {
                each((from, (start - 1).min(range.1)));
            }
            if end == i64::MAX {
                return;
            }
            from = from.max(end + 1);
            if from > range.1 {
                return;
            }
        }
        each((from, range.1));
    }

    /// Whether nothing is left out of `series`.
    pub(crate) fn spare(&self, series: u32) -> bool {
        self.of(series).next().is_none()
    }

    /// Ranges left out of `series`.
    pub(crate) fn of(&self, series: u32) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.iter().filter(move |(numbers, _)| numbers.contains(series)).map(|(_, range)| *range)
    }
}

impl MetricStore {
    /// Deletions in effect. To be asked for before the blocks are: a deletion goes when no block needs it any more.
    pub(crate) fn deletions(&self) -> Deletions {
        self.deletions.read().clone()
    }
}

/// Takes series that are deleted as a whole from `found`, and says what of the others is.
pub(crate) fn cut(
    deletions: &[Deletion],
    block: &Arc<Block>,
    footer: &Footer,
    found: &mut RoaringBitmap,
) -> Result<Cuts, DiskError> {
    let mut cuts = Cuts::default();
    for deletion in deletions {
        if block.id() > deletion.through || !block.overlaps(deletion.start_ms, deletion.end_ms) {
            continue;
        }
        let mut series = RoaringBitmap::new();
        for selector in &deletion.selectors {
            series |= matching(&BlockPairs { block, footer }, selector)?;
        }
        series &= &*found;
        let (first_ms, last_ms) =
            (block.meta.min_time_ns.div_euclid(1_000_000), block.meta.max_time_ns.div_euclid(1_000_000));
        if deletion.start_ms <= first_ms && last_ms <= deletion.end_ms {
            *found -= series;
        } else if !series.is_empty() {
            cuts.0.push((series, (deletion.start_ms, deletion.end_ms)));
        }
    }
    Ok(cuts)
}

/// Whether what `block` has of the series of `labels` at a time was deleted.
pub(crate) fn hides(deletions: &[Deletion], block: BlockId, labels: LabelsRef<'_>, timestamp_ms: i64) -> bool {
    let of_series =
        |d: &Deletion| d.selectors.iter().any(|s| s.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or_default())));
    let mut deletions = deletions.iter().filter(|d| block <= d.through);
    deletions.any(|d| (d.start_ms..=d.end_ms).contains(&timestamp_ms) && of_series(d))
}

impl DeletingStore for MetricStore {
    fn set_deletions(&self, deletions: Vec<Deletion>) {
        *self.deletions.write() = deletions.into();
    }

    fn blocks_with_deleted(&self, deletions: &[Deletion]) -> Result<Vec<BlockId>, StoreError> {
        let blocks = self.tip.read().blocks.clone();
        let mut touched = Vec::new();
        for block in blocks.iter() {
            let affects = |d: &Deletion| block.id() <= d.through && block.overlaps(d.start_ms, d.end_ms);
            if !deletions.iter().any(affects) {
                continue;
            }
            let failed = |error| store_error(block.id(), error);
            let footer = block.footer().map_err(failed)?;
            let mut found: RoaringBitmap = (0..footer.series).collect();
            let cuts = cut(deletions, block, &footer, &mut found).map_err(failed)?;
            if found.len() < u64::from(footer.series) || !cuts.0.is_empty() {
                touched.push(block.id());
            }
        }
        touched.sort_unstable();
        Ok(touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bench;
    use bramble_signal::{Exemplar, Labels, Matcher, MetricBatch, NativeHistogram};
    use bramble_storage::contract::BASE_MS;
    use bramble_storage::{MetricSelect, MetricSource, QueryContext};
    use std::collections::{BTreeMap, BTreeSet};

    fn kept(cuts: &[(i64, i64)], range: (i64, i64)) -> Vec<(i64, i64)> {
        let one = RoaringBitmap::from_iter([1u32]);
        let cuts = Cuts(cuts.iter().map(|range| (one.clone(), *range)).collect());
        let mut parts = Vec::new();
        cuts.kept(1, range, |part| parts.push(part));
        parts
    }

    #[test]
    fn what_is_left_of_a_range() {
        assert_eq!(kept(&[], (0, 9)), [(0, 9)]);
        assert_eq!(kept(&[(3, 5)], (0, 9)), [(0, 2), (6, 9)]);
        assert_eq!(kept(&[(7, 12), (-5, 1)], (0, 9)), [(2, 6)]);
        assert_eq!(kept(&[(2, 6), (4, 5), (7, 7)], (0, 9)), [(0, 1), (8, 9)]);
        assert_eq!(kept(&[(i64::MIN, i64::MAX)], (i64::MIN, i64::MAX)), []);
        assert_eq!(kept(&[(20, 30)], (0, 9)), [(0, 9)]);
    }

    fn of_letter(letter: char) -> Vec<Vec<Matcher>> {
        vec![vec![Matcher::equal("x", letter.to_string())]]
    }

    /// Two series, `a` of numbers and `b` of histograms, with a sample and an exemplar every second of one minute.
    fn minute(bench: &Bench, minute: i64) {
        for letter in ["a", "b"] {
            let mut batch = MetricBatch::new();
            batch.start_series(&mut [("__name__", "m"), ("x", letter)]).unwrap();
            for second in 0..60 {
                let at = BASE_MS + (minute * 60 + second) * 1000;
                match letter {
                    "a" => batch.push_sample(at, second as f64),
                    _ => batch.push_histogram(at, NativeHistogram { sum: second as f64, ..NativeHistogram::default() }),
                }
                let labels = Labels::from_pairs([("t", second.to_string())]);
                batch.push_exemplar(Exemplar { labels, value: 1.0, timestamp_ms: at });
            }
            bench.write(batch);
        }
    }

    /// Seconds since the beginning at which a series has samples; each must carry its own value.
    fn seconds(bench: &Bench, letter: &str) -> Vec<i64> {
        let found = bench.select(&[Matcher::equal("x", letter)], i64::MIN / 4, i64::MAX / 4);
        let series = found.iter().flat_map(|s| s.timestamps_ms.iter().zip(&s.values).map(move |(t, v)| (t, v, s)));
        let told = series.map(|(t, v, s)| {
            let second = (t - BASE_MS) / 1000;
            let own = s.histogram(*v).map_or(*v, |h| h.sum);
            assert_eq!(own, (second % 60) as f64);
            second
        });
        told.collect()
    }

    fn exemplars(bench: &Bench) -> usize {
        let select = MetricSelect { matchers: &[], start_ms: i64::MIN / 4, end_ms: i64::MAX / 4 };
        let found = bench.store.exemplars(&select, &QueryContext::unlimited()).unwrap();
        found.iter().map(|s| s.exemplars.len()).sum()
    }

    #[test]
    fn deleted_exemplars_are_not_shown() {
        let bench = Bench::new();
        minute(&bench, 0);
        bench.flush();
        let before = exemplars(&bench);
        let deletion =
            Deletion { selectors: of_letter('a'), start_ms: i64::MIN, end_ms: i64::MAX, through: bench.next_id() };
        bench.store.set_deletions(vec![deletion]);
        let after = exemplars(&bench);
        assert!(before > 0 && after * 2 == before, "{before} {after}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        /// Deletions between flushes, merges and restarts leave what a list of seconds leaves.
        #[test]
        fn what_is_deleted_stays_away_and_nothing_else(
            steps in proptest::collection::vec((0u8..5, 0i64..180, 0i64..90, proptest::bool::ANY), 1..12),
        ) {
            let mut bench = Bench::new();
            let mut model: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
            let (mut deletions, mut minutes) = (Vec::new(), 0);
            for (step, start, length, is_a) in steps {
                let (letter, name) = if is_a { ('a', "a") } else { ('b', "b") };
                match step {
                    0 | 1 => {
                        // Minutes come again too: samples that arrive after a deletion are there.
                        minute(&bench, minutes % 3);
                        let seconds = (minutes % 3) * 60..(minutes % 3 + 1) * 60;
                        ["a", "b"].iter().for_each(|x| model.entry(x).or_default().extend(seconds.clone()));
                        minutes += 1;
                    }
                    2 => {
                        bench.flush_next();
                        let (start_ms, end_ms) = (BASE_MS + start * 1000, BASE_MS + (start + length) * 1000);
                        let through = bench.next_id();
                        deletions.push(Deletion { selectors: of_letter(letter), start_ms, end_ms, through });
                        bench.store.set_deletions(deletions.clone());
                        model.entry(name).or_default().retain(|s| !(start..=start + length).contains(s));
                    }
                    3 => {
                        bench.flush_next();
                        bench.merge();
                        let left = bench.store.blocks_with_deleted(&deletions).unwrap();
                        proptest::prop_assert!(left.is_empty(), "{left:?}");
                    }
                    _ => {
                        bench.flush_next();
                        bench.reopen();
                        bench.store.set_deletions(deletions.clone());
                    }
                }
                for x in ["a", "b"] {
                    let expected: Vec<i64> = model.entry(x).or_default().iter().copied().collect();
                    proptest::prop_assert_eq!(seconds(&bench, x), expected);
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn kept_parts_are_the_range_without_the_cuts(
            cuts in proptest::collection::vec((-5i64..25, 0i64..8), 0..6), start in 0i64..20, length in 0i64..20,
        ) {
            let cuts: Vec<(i64, i64)> = cuts.into_iter().map(|(s, l)| (s, s + l)).collect();
            let range = (start, start + length);
            let shown: Vec<i64> = kept(&cuts, range).into_iter().flat_map(|(a, b)| a..=b).collect();
            let expected: Vec<i64> =
                (range.0..=range.1).filter(|t| !cuts.iter().any(|(a, b)| a <= t && t <= b)).collect();
            proptest::prop_assert_eq!(shown, expected);
        }
    }
}
