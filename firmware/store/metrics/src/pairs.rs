//! Distinct label pairs and the series that have them: the index of the head, and of a block being written.
//!
//! A pair's text is kept once, encoded as in label sets, so that the label bytes of a series are the texts of its
//! pairs in a row and compare by `memcmp`. Texts of removed pairs are squeezed out when they are half of all.

use crate::bytes::{EncodedPair, Take, hash};
use crate::postings::Postings;
use bramble_signal::{MatchOp, Matcher};
use hashbrown::HashTable;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

/// A pair's number in its [`PairSet`]; reused after removal.
pub(crate) type PairId = u32;

#[derive(Default)]
struct Pair {
    at: u32,
    length: u32,
    postings: Postings,
}

/// The pairs.
#[derive(Default)]
pub(crate) struct PairSet {
    text: Vec<u8>,
    garbage_bytes: usize,
    pairs: Vec<Pair>,
    free: Vec<PairId>,
    table: HashTable<PairId>,
    names: BTreeMap<Box<[u8]>, RoaringBitmap>,
    postings_bytes: usize,
    names_bytes: usize,
}

impl PairSet {
    fn text_of(text: &[u8], pair: &Pair) -> std::ops::Range<usize> {
        debug_assert!((pair.at + pair.length) as usize <= text.len());
        pair.at as usize..(pair.at + pair.length) as usize
    }

    /// The pair's encoded bytes; empty for an unknown number.
    #[inline]
    pub(crate) fn encoded(&self, id: PairId) -> &[u8] {
        self.pairs.get(id as usize).and_then(|pair| self.text.get(Self::text_of(&self.text, pair))).unwrap_or_default()
    }

    /// The pair's name and value.
    pub(crate) fn name_value(&self, id: PairId) -> (&[u8], &[u8]) {
        let mut bytes = Take(self.encoded(id));
        let name = bytes.bytes().unwrap_or_default();
        (name, bytes.bytes().unwrap_or_default())
    }

    fn find(&self, encoded: &[u8], hashed: u64) -> Option<PairId> {
        self.table.find(hashed, |&id| self.encoded(id) == encoded).copied()
    }

    /// The pair's number; it is added if it is new.
    pub(crate) fn intern(&mut self, pair: EncodedPair<'_>) -> PairId {
        let hashed = hash(pair.encoded);
        if let Some(id) = self.find(pair.encoded, hashed) {
            return id;
        }
        if self.text.capacity() - self.text.len() < pair.encoded.len() {
            self.text.reserve_exact(pair.encoded.len() + (self.text.len() / 8).max(4096));
        }
        let added =
            Pair { at: self.text.len() as u32, length: pair.encoded.len() as u32, postings: Postings::default() };
        self.text.extend_from_slice(pair.encoded);
        let id = match self.free.pop() {
            Some(id) => {
                self.pairs[id as usize] = added;
                id
            }
            None => {
                self.pairs.push(added);
                (self.pairs.len() - 1) as PairId
            }
        };
        let (text, pairs) = (&self.text, &self.pairs);
        self.table.insert_unique(hashed, id, |&other| hash(&text[Self::text_of(text, &pairs[other as usize])]));
        if !self.names.contains_key(pair.name) {
            self.names_bytes += pair.name.len() + 96;
            self.names.insert(pair.name.into(), RoaringBitmap::new());
        }
        if let Some(ids) = self.names.get_mut(pair.name) {
            ids.insert(id);
        }
        id
    }

    /// The number of an encoded pair.
    pub(crate) fn id(&self, encoded: &[u8]) -> Option<PairId> {
        self.find(encoded, hash(encoded))
    }

    /// Adds `series` (above all before) to the pair's list.
    pub(crate) fn post(&mut self, id: PairId, series: u32) {
        if let Some(pair) = self.pairs.get_mut(id as usize) {
            let before = pair.postings.heap_bytes();
            pair.postings.push(series);
            self.postings_bytes += pair.postings.heap_bytes() - before;
        }
    }

    /// The pair's series.
    pub(crate) fn postings(&self, id: PairId) -> Option<&Postings> {
        self.pairs.get(id as usize).map(|pair| &pair.postings)
    }

    /// The number of series with this name and value.
    pub(crate) fn count(&self, encoded: &[u8]) -> usize {
        self.id(encoded).and_then(|id| self.postings(id)).map_or(0, Postings::len)
    }

    /// Names in ascending order with the numbers of their pairs.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&[u8], &RoaringBitmap)> {
        self.names.iter().map(|(name, ids)| (name.as_ref(), ids))
    }

    /// Numbers of the pairs of one name.
    pub(crate) fn values(&self, name: &[u8]) -> Option<&RoaringBitmap> {
        self.names.get(name)
    }

    /// All numbers, ascending by name and value.
    pub(crate) fn sorted(&self) -> Vec<PairId> {
        let mut all = Vec::with_capacity(self.pairs.len());
        for ids in self.names.values() {
            let from = all.len();
            all.extend(ids);
            all[from..].sort_unstable_by(|&a, &b| self.name_value(a).1.cmp(self.name_value(b).1));
        }
        all
    }

    /// Forgets series that are not `live`, pairs without series and names without pairs.
    pub(crate) fn keep(&mut self, touched: &RoaringBitmap, live: &RoaringBitmap) {
        for id in touched {
            let Some(pair) = self.pairs.get_mut(id as usize) else { continue };
            self.postings_bytes -= pair.postings.heap_bytes();
            pair.postings.keep(live);
            self.postings_bytes += pair.postings.heap_bytes();
            if pair.postings.len() == 0 {
                self.remove(id);
            }
        }
        if self.garbage_bytes > self.text.len() / 2 {
            self.squeeze();
        }
    }

    fn remove(&mut self, id: PairId) {
        let encoded = self.encoded(id).to_vec();
        let name = Take(&encoded).bytes().unwrap_or_default();
        if let Ok(entry) = self.table.find_entry(hash(&encoded), |&other| other == id) {
            entry.remove();
        }
        if let Some(ids) = self.names.get_mut(name) {
            ids.remove(id);
            if ids.is_empty() {
                self.names.remove(name);
                self.names_bytes -= name.len() + 96;
            }
        }
        self.garbage_bytes += encoded.len();
        self.pairs[id as usize] = Pair::default();
        self.free.push(id);
    }

    fn squeeze(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.garbage_bytes + 4096);
        for pair in self.pairs.iter_mut().filter(|pair| pair.length > 0) {
            let at = text.len() as u32;
            text.extend_from_slice(&self.text[Self::text_of(&self.text, pair)]);
            pair.at = at;
        }
        (self.text, self.garbage_bytes) = (text, 0);
    }

    /// Heap memory in bytes; sets of pair numbers are estimated at three bytes a pair.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity()
            + self.pairs.capacity() * size_of::<Pair>()
            + self.pairs.len() * 3
            + self.free.capacity() * 4
            + self.table.capacity() * 6
            + self.postings_bytes
            + self.names_bytes
    }
}

/// Label pairs by name and value, of the head or of a block.
pub(crate) trait PairLookup {
    /// What reading may fail with.
    type Error;

    /// Adds the series with this pair to `set`.
    fn series_with(&self, name: &str, value: &str, set: &mut RoaringBitmap) -> Result<(), Self::Error>;

    /// Adds the series that have the label `name` with a value that `accept`s.
    fn series_where(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> bool,
        set: &mut RoaringBitmap,
    ) -> Result<(), Self::Error>;

    /// All series.
    fn all_series(&self) -> Result<RoaringBitmap, Self::Error>;
}

/// The series that all `matchers` accept.
pub(crate) fn matching<L: PairLookup>(lookup: &L, matchers: &[Matcher]) -> Result<RoaringBitmap, L::Error> {
    let mut found: Option<RoaringBitmap> = None;
    // What must be present narrows; equality first, since it is the cheapest and narrows most.
    let (needs, allows_absent): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| !m.matches_absent());
    let (equal, others): (Vec<&Matcher>, Vec<&Matcher>) = needs.into_iter().partition(|m| m.op == MatchOp::Equal);
    for matcher in equal.into_iter().chain(others) {
        let mut set = RoaringBitmap::new();
        match (matcher.op, matcher.alternatives()) {
            (MatchOp::Equal, _) => lookup.series_with(&matcher.name, &matcher.value, &mut set)?,
            (_, Some(literals)) => {
                for literal in literals {
                    lookup.series_with(&matcher.name, literal, &mut set)?;
                }
            }
            _ => lookup.series_where(&matcher.name, &mut |value| matcher.matches(value), &mut set)?,
        }
        let narrowed = match found {
            Some(before) => before & set,
            None => set,
        };
        if narrowed.is_empty() {
            return Ok(narrowed);
        }
        found = Some(narrowed);
    }
    let mut found = match found {
        Some(found) => found,
        None => lookup.all_series()?,
    };
    for matcher in allows_absent {
        let mut refused = RoaringBitmap::new();
        lookup.series_where(&matcher.name, &mut |value| !matcher.matches(value), &mut refused)?;
        found -= refused;
    }
    Ok(found)
}
