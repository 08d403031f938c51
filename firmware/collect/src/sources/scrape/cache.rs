//! What a page's series are called after relabelling, remembered from one scrape to the next.
//!
//! A series is known by a hash of 128 bits of how the page writes it; behind it stand its labels, encoded, in one arena per
//! target, or that a rule drops it. A steady scrape so allocates nothing per sample. Series that a scrape no longer shows
//! are told once, so that they end with a staleness marker, and forgotten. Some 30 bytes per series beside its labels.

use bramble_signal::LabelsRef;
use bramble_signal::hash::xxhash64;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Series by hash: keys are hashes already.
type Entries = HashMap<u128, Entry, BuildHasherDefault<Folded>>;

/// Takes the low half of a key that is a hash.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash64(bytes, self.0);
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Ends of the arena are rebuilt when so much of it is garbage.
const GARBAGE_BYTES_MIN: usize = 4096;

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    /// 0 for a series that a rule drops.
    bytes: u32,
    /// The scrape that showed it last.
    round: u32,
    /// Whether that scrape wants it to end with a marker when it is gone.
    tracked: bool,
    /// Whether the last scrape that went well showed it, and it has not ended since.
    is_live: bool,
}

impl Entry {
    fn place(&self) -> Place {
        Place { start: self.start, bytes: self.bytes }
    }
}

/// What is known of a series.
pub(super) enum Known {
    /// Nothing yet.
    New,
    /// A rule drops it.
    Dropped,
    /// Its labels, for [`SeriesCache::labels`].
    Kept(Place),
}

/// Labels in the arena.
#[derive(Clone, Copy)]
pub(super) struct Place {
    start: u32,
    bytes: u32,
}

/// Series of one target.
#[derive(Default)]
pub(super) struct SeriesCache {
    entries: Entries,
    arena: Vec<u8>,
    garbage_bytes: usize,
    round: u32,
}

/// The key of a series that is written as `text`.
pub(super) fn key_of(text: &[u8]) -> u128 {
    let low = xxhash64(text, 0);
    (u128::from(xxhash64(text, low ^ 0x9e37_79b9_7f4a_7c15)) << 64) | u128::from(low)
}

impl SeriesCache {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Looks for a series, which counts as shown by this scrape; `tracked`: whether it is to end with a marker.
    pub(super) fn find(&mut self, key: u128, tracked: bool) -> Known {
        let Some(entry) = self.entries.get_mut(&key) else { return Known::New };
        entry.round = self.round;
        entry.tracked = tracked;
        if entry.bytes == 0 { Known::Dropped } else { Known::Kept(entry.place()) }
    }

    /// Remembers a series, shown by this scrape. No labels: a rule drops it.
    pub(super) fn insert(&mut self, key: u128, labels: LabelsRef<'_>, tracked: bool) -> Place {
        let (start, bytes) = (self.arena.len() as u32, labels.as_bytes().len() as u32);
        self.arena.extend_from_slice(labels.as_bytes());
        let entry = Entry { start, bytes, round: self.round, tracked, is_live: false };
        self.entries.insert(key, entry);
        entry.place()
    }

    /// Labels of a place.
    pub(super) fn labels(&self, place: Place) -> LabelsRef<'_> {
        labels_at(&self.arena, place)
    }

    /// Ends a scrape that went well: `ended` hears of each series that the last such scrape showed and this one does not;
    /// what was not shown is forgotten.
    pub(super) fn finish(&mut self, mut ended: impl FnMut(LabelsRef<'_>)) {
        let SeriesCache { entries, arena, garbage_bytes, round } = self;
        entries.retain(|_, entry| {
            if entry.round == *round {
                entry.is_live = entry.tracked;
                return true;
            }
            if entry.is_live {
                ended(labels_at(arena, entry.place()));
            }
            *garbage_bytes += entry.bytes as usize;
            false
        });
        self.compact_if_worth();
    }

    /// Ends a scrape that failed, or the target: `ended` hears of each series that is live. What this scrape or the last good
    /// one showed stays known.
    pub(super) fn fail(&mut self, mut ended: impl FnMut(LabelsRef<'_>)) {
        let SeriesCache { entries, arena, garbage_bytes, round } = self;
        entries.retain(|_, entry| {
            let stays = entry.is_live || entry.round == *round;
            if entry.is_live {
                ended(labels_at(arena, entry.place()));
            }
            entry.is_live = false;
            if !stays {
                *garbage_bytes += entry.bytes as usize;
            }
            stays
        });
        self.compact_if_worth();
    }

    /// Forgets how series are written, since rules or the format changed; `live` hears of those that are live, so that who
    /// calls can end those that do not come back.
    pub(super) fn forget(&mut self, mut live: impl FnMut(LabelsRef<'_>)) {
        for entry in self.entries.values().filter(|entry| entry.is_live) {
            live(labels_at(&self.arena, entry.place()));
        }
        (self.entries, self.arena, self.garbage_bytes) = Default::default();
    }

    /// Number of series, dropped ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Memory held, in bytes, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.arena.capacity() + self.entries.capacity() * (size_of::<(u128, Entry)>() + 1)
    }

    /// Whether more labels can be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.arena.len() < u32::MAX as usize / 2
    }

    fn compact_if_worth(&mut self) {
        if self.garbage_bytes > GARBAGE_BYTES_MIN && self.garbage_bytes > self.arena.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut fresh = Vec::with_capacity(self.arena.len().saturating_sub(self.garbage_bytes));
        for entry in self.entries.values_mut() {
            let range = entry.start as usize..(entry.start + entry.bytes) as usize;
            entry.start = fresh.len() as u32;
            fresh.extend_from_slice(self.arena.get(range).unwrap_or_default());
        }
        self.entries.shrink_to_fit();
        self.arena = fresh;
        self.garbage_bytes = 0;
    }
}

fn labels_at(arena: &[u8], place: Place) -> LabelsRef<'_> {
    let range = place.start as usize..(place.start + place.bytes) as usize;
    LabelsRef::from_encoded(arena.get(range).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    /// A scrape that shows series by number; what ended.
    fn scrape(cache: &mut SeriesCache, series: &[u32], goes_well: bool) -> Vec<String> {
        cache.begin();
        for number in series {
            let key = key_of(&number.to_le_bytes());
            if let Known::New = cache.find(key, true) {
                let labels = Labels::from_pairs([("n", number.to_string())]);
                cache.insert(key, labels.as_ref(), true);
            }
        }
        let mut ended = Vec::new();
        let mut hear = |labels: LabelsRef<'_>| ended.push(labels.get("n").unwrap_or("").to_owned());
        match goes_well {
            true => cache.finish(&mut hear),
            false => cache.fail(&mut hear),
        }
        ended.sort();
        ended
    }

    #[test]
    fn series_end_once() {
        let mut cache = SeriesCache::default();
        assert!(scrape(&mut cache, &[1, 2, 3], true).is_empty());
        assert_eq!(scrape(&mut cache, &[2, 3], true), ["1"]);
        assert!(scrape(&mut cache, &[2, 3], true).is_empty());
        assert_eq!(scrape(&mut cache, &[2], false), ["2", "3"], "a failing scrape ends all that is live");
        assert!(scrape(&mut cache, &[4], false).is_empty(), "nothing ends twice");
        assert!(scrape(&mut cache, &[2, 4], true).is_empty());
        assert_eq!(scrape(&mut cache, &[], true), ["2", "4"]);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn churn_leaves_no_garbage() {
        let mut cache = SeriesCache::default();
        for round in 0..200u32 {
            let shown: Vec<u32> = (round * 50..round * 50 + 100).collect();
            let ended = scrape(&mut cache, &shown, true).len();
            assert_eq!(ended, if round == 0 { 0 } else { 50 });
            let place = match cache.find(key_of(&(round * 50 + 99).to_le_bytes()), true) {
                Known::Kept(place) => place,
                _ => panic!("the last one is known"),
            };
            assert_eq!(cache.labels(place).get("n"), Some((round * 50 + 99).to_string().as_str()));
        }
        assert!(cache.memory_bytes() < 40_000, "{}", cache.memory_bytes());
    }

    #[test]
    fn what_is_forgotten_and_live_is_told() {
        let mut cache = SeriesCache::default();
        scrape(&mut cache, &[1, 2], true);
        let mut live = Vec::new();
        cache.forget(|labels| live.push(labels.to_labels()));
        assert_eq!((live.len(), cache.len()), (2, 0));
    }
}
