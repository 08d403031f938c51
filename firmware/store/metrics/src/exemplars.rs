//! Exemplars within a bound: the newest, and of every series as fair a share as there is room for.

use bramble_runtime::Reservation;
use bramble_signal::Exemplar;
use std::collections::BTreeMap;

/// Most exemplars of one series; halved when there is no room for so many.
const ALLOWANCE: usize = 128;
/// Beside the labels' bytes: allocation and the map's share.
const OVERHEAD_BYTES: usize = 48;

/// A reservation follows the bytes in steps of this.
const SPACE_STEP_BYTES: usize = 64 << 10;

/// What exemplars are kept by: a series' number or its labels.
pub(crate) trait SeriesKey: Ord + Clone {
    /// Memory in bytes, with its place in the map.
    fn bytes(&self) -> usize;
}

impl SeriesKey for u32 {
    fn bytes(&self) -> usize {
        64
    }
}

impl SeriesKey for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len() + 96
    }
}

/// Exemplars by series, in time order, each once.
pub(crate) struct Exemplars<K> {
    series: BTreeMap<K, Vec<Exemplar>>,
    bytes: usize,
    bytes_max: usize,
    allowance: usize,
    space: Option<Reservation>,
}

fn bytes_of(exemplar: &Exemplar) -> usize {
    size_of::<Exemplar>() + exemplar.labels.as_bytes().len() + OVERHEAD_BYTES
}

impl<K: SeriesKey> Exemplars<K> {
    /// None, and never more than `bytes_max` bytes of them.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Exemplars { series: BTreeMap::new(), bytes: 0, bytes_max, allowance: ALLOWANCE, space: None }
    }

    /// As [`new`](Self::new), accounted for in `space`.
    pub(crate) fn accounted(bytes_max: usize, space: Reservation) -> Self {
        Exemplars { space: Some(space), ..Self::new(bytes_max) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds one, unless it is there already; what is older may have to go.
    pub(crate) fn push(&mut self, series: &K, exemplar: &Exemplar) {
        if bytes_of(exemplar) > self.bytes_max / 2 {
            return;
        }
        let own = match self.series.get_mut(series) {
            Some(own) => own,
            None => {
                self.bytes += series.bytes();
                self.series.entry(series.clone()).or_default()
            }
        };
        let at = own.partition_point(|e| e.timestamp_ms <= exemplar.timestamp_ms);
        let same_time = own[..at].iter().rev().take_while(|e| e.timestamp_ms == exemplar.timestamp_ms);
        if same_time.into_iter().any(|e| e.value.to_bits() == exemplar.value.to_bits() && e.labels == exemplar.labels) {
            return;
        }
        own.insert(at, exemplar.clone());
        self.bytes += bytes_of(exemplar);
        if own.len() > self.allowance {
            self.bytes -= bytes_of(&own.remove(0));
        }
        if self.bytes > self.bytes_max {
            self.shrink();
        }
        if let Some(space) = self.space.as_mut().filter(|space| space.bytes() < self.bytes) {
            space.force_resize(self.bytes + SPACE_STEP_BYTES);
        }
    }

    /// Makes a quarter of the room: first by taking from the series that have most, then by forgetting the series whose
    /// newest is oldest.
    fn shrink(&mut self) {
        while self.bytes > self.bytes_max / 4 * 3 {
            if self.allowance > 1 {
                self.allowance /= 2;
                for own in self.series.values_mut() {
                    let surplus = own.len().saturating_sub(self.allowance);
                    self.bytes -= own.drain(..surplus).map(|e| bytes_of(&e)).sum::<usize>();
                }
                continue;
            }
            let mut newest: Vec<i64> = self.series.values().filter_map(|own| Some(own.last()?.timestamp_ms)).collect();
            newest.sort_unstable();
            let median = newest.get(newest.len() / 2).copied().unwrap_or(i64::MAX);
            // At least half go; where all are of one time, the first by order.
            let mut to_go = newest.len().div_ceil(2);
            self.series.retain(|series, own| {
                let old = own.last().is_none_or(|e| e.timestamp_ms <= median);
                let goes = old && to_go > 0;
                to_go -= usize::from(goes);
                self.bytes -= if goes { series.bytes() + own.iter().map(bytes_of).sum::<usize>() } else { 0 };
                !goes
            });
        }
    }

    /// All series that have some, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &[Exemplar])> {
        self.series.iter().map(|(series, own)| (series, own.as_slice()))
    }

    /// Those of one series.
    pub(crate) fn of(&self, series: &K) -> &[Exemplar] {
        self.series.get(series).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    fn exemplar(at: i64) -> Exemplar {
        let id = format!("{at:032x}");
        Exemplar { labels: Labels::from_pairs([("trace_id", id.as_str())]), value: 1.0, timestamp_ms: at }
    }

    #[test]
    fn one_busy_series_does_not_push_the_others_out() {
        let mut kept = Exemplars::new(20_000);
        for quiet in 1..50u32 {
            kept.push(&quiet, &exemplar(i64::from(quiet)));
        }
        for at in 0..100_000 {
            kept.push(&0, &exemplar(1000 + at));
            assert!(kept.bytes() <= 20_000);
        }
        assert!((1..50).all(|quiet| kept.of(&quiet).len() == 1), "each quiet series keeps its own");
        assert!(kept.of(&0).last().is_some_and(|e| e.timestamp_ms == 100_999) && kept.of(&0).len() > 1);
        let keys: usize = kept.iter().map(|(series, _)| series.bytes()).sum();
        let counted: usize = kept.iter().flat_map(|(_, own)| own).map(bytes_of).sum();
        assert_eq!(keys + counted, kept.bytes());
    }

    #[test]
    fn with_too_many_series_the_newest_stay() {
        let mut kept = Exemplars::new(20_000);
        for series in 0..10_000u32 {
            kept.push(&series, &exemplar(i64::from(series)));
        }
        assert!(kept.bytes() <= 20_000 && kept.of(&9_999).len() == 1 && kept.of(&0).is_empty());
        let mut equal = Exemplars::new(20_000);
        for series in 0..10_000u32 {
            equal.push(&series, &exemplar(5));
        }
        assert!(equal.bytes() <= 20_000 && equal.of(&9_999).len() == 1);
    }

    #[test]
    fn sorted_and_each_once() {
        let mut kept = Exemplars::new(20_000);
        for at in [3, 1, 2, 3, 1] {
            kept.push(&0, &exemplar(at));
        }
        assert_eq!(kept.of(&0).iter().map(|e| e.timestamp_ms).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
