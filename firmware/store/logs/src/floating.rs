//! Labels that are kept out of streams: [`FloatingRules`] applied to batches before anything else sees them.
//!
//! A stream per trace would be a page group per trace. So labels that are listed, or that turn out to have very many
//! values, leave the stream and go to each of its entries, under their name behind a mark; answers put them back.
//! What is journaled is rewritten already, so a replay finds the same streams.
//!
//! Values are counted by their hashes in bitmaps of fixed size, one for today and one for yesterday (a name whose values
//! come and go over months need not float); a stream is counted when the head does not know it, so entries of known
//! streams cost nothing.

use crate::limits::FloatingRules;
use bramble_runtime::{Budget, Reservation};
use bramble_signal::labels::encode_sorted;
use bramble_signal::{FLOATING_MARK, LabelsRef, LogBatch, floating_label};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::hash::BuildHasher;

const DAY_NS: i64 = 86_400_000_000_000;
/// Most names whose values are counted; further ones stay in streams, which have a limit of their own.
const NAMES_MAX: usize = 256;
/// Bits per value that is allowed: estimates are right to about a percent.
const BITS_PER_VALUE: usize = 8;
/// Most bits of a bitmap. With fewer than [`BITS_PER_VALUE`] estimates get worse slowly: some percent at one per value.
const BITS_MAX: usize = 1 << 16;

/// The rules, and what is known of names.
pub(crate) struct Floating {
    listed: HashSet<Box<str>, FixedState>,
    kept: HashSet<Box<str>, FixedState>,
    values_max: Option<usize>,
    known: RwLock<Known>,
    budget: Budget,
}

#[derive(Default)]
struct Known {
    /// Names that float because of their values.
    grown: HashSet<Box<str>, FixedState>,
    /// Names that were seen floating.
    seen: BTreeSet<Box<str>>,
    values: HashMap<Box<str>, Values, FixedState>,
    day: i64,
    space: Option<Reservation>,
}

impl Floating {
    /// Counters are paid for from `budget`; where it has no room, a name's values are not counted.
    pub(crate) fn new(rules: &FloatingRules, budget: Budget) -> Floating {
        let set = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        let (listed, kept) = (set(&rules.names), set(&rules.kept));
        Floating { listed, kept, values_max: rules.values_max, known: RwLock::default(), budget }
    }

    /// Names that were seen floating, ascending.
    pub(crate) fn names(&self) -> Vec<String> {
        self.known.read().seen.iter().map(|name| name.to_string()).collect()
    }

    /// Whether labels of this name are kept out of streams.
    pub(crate) fn floats(&self, name: &str) -> bool {
        self.listed.contains(name) || self.known.read().seen.contains(name)
    }

    /// Takes note of names that float in entries from before; those that are not listed go on floating.
    pub(crate) fn remember<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut names = names.into_iter().peekable();
        if names.peek().is_none() {
            return;
        }
        let mut known = self.known.write();
        for name in names {
            if known.seen.insert(name.into()) && !self.listed.contains(name) {
                known.grown.insert(name.into());
            }
        }
    }

    /// Takes note of a batch that was rewritten before: one of a replay.
    pub(crate) fn remember_batch(&self, batch: &LogBatch) {
        for stream in batch.streams() {
            // Entries of a stream may float under different names.
            for entry in stream.entries() {
                let names = || entry.metadata.iter().map_while(|(name, _)| floating_label(name));
                let all_seen = || {
                    let known = self.known.read();
                    names().all(|name| known.seen.contains(name))
                };
                if names().next().is_some() && !all_seen() {
                    self.remember(names());
                }
            }
        }
    }

    /// The batch with its floating labels moved. `is_known` tells whether the head has a stream of such labels.
    pub(crate) fn apply(&self, batch: LogBatch, now_ns: i64, is_known: impl Fn(LabelsRef<'_>) -> bool) -> LogBatch {
        let known = self.known.read();
        let floats = |name: &str| self.listed.contains(name) || known.grown.contains(name);
        let mut must_move = batch.streams().any(|stream| stream.labels().iter().any(|(name, _)| floats(name)));
        let new: Vec<LabelsRef<'_>> = match self.values_max {
            Some(_) => self.new_streams(&batch, &floats, must_move, &is_known),
            None => Vec::new(),
        };
        drop(known);
        for labels in new {
            must_move |= self.count(labels, now_ns);
        }
        if must_move { self.rewrite(&batch) } else { batch }
    }

    /// Streams of the batch that the head does not know, neither as they came nor without what floats.
    fn new_streams<'a>(
        &self,
        batch: &'a LogBatch,
        floats: &impl Fn(&str) -> bool,
        must_move: bool,
        is_known: &impl Fn(LabelsRef<'_>) -> bool,
    ) -> Vec<LabelsRef<'a>> {
        let (mut new, mut scratch) = (Vec::new(), Vec::new());
        for stream in batch.streams() {
            let labels = stream.labels();
            if is_known(labels) {
                continue;
            }
            if must_move {
                scratch.clear();
                encode_sorted(labels.iter().filter(|(name, _)| !floats(name)), &mut scratch);
                if is_known(LabelsRef::from_encoded(&scratch)) {
                    continue;
                }
            }
            new.push(labels);
        }
        new
    }

    /// Counts a new stream's values; whether a name floats from now on.
    fn count(&self, labels: LabelsRef<'_>, now_ns: i64) -> bool {
        let Some(values_max) = self.values_max else { return false };
        let mut known = self.known.write();
        known.turn_to(now_ns.div_euclid(DAY_NS));
        let mut grown = false;
        for (name, value) in labels.iter() {
            if self.listed.contains(name) || self.kept.contains(name) || known.grown.contains(name) {
                continue;
            }
            if !known.values.contains_key(name) && !known.begin(name, values_max, &self.budget) {
                continue;
            }
            let Some(values) = known.values.get_mut(name) else { continue };
            values.add(value);
            if values.count() > values_max as f64 {
                tracing::info!(label = name, values_max, "the label has so many values that it leaves the streams");
                known.values.remove(name);
                known.grown.insert(name.into());
                known.pay();
                grown = true;
            }
        }
        grown
    }

    fn rewrite(&self, batch: &LogBatch) -> LogBatch {
        let known = self.known.read();
        let floats = |name: &str| self.listed.contains(name) || known.grown.contains(name);
        let (mut out, mut unseen) = (LogBatch::new(), Vec::<&str>::new());
        let (mut kept, mut metadata, mut name) = (Vec::new(), Vec::new(), String::new());
        for stream in batch.streams() {
            let labels = stream.labels();
            kept.clear();
            encode_sorted(labels.iter().filter(|(name, _)| !floats(name)), &mut kept);
            out.start_stream_encoded(LabelsRef::from_encoded(&kept));
            metadata.clear();
            for (label, value) in labels.iter().filter(|(name, _)| floats(name)) {
                name.clear();
                name.push(FLOATING_MARK);
                name.push_str(label);
                encode_sorted([(name.as_str(), value)], &mut metadata);
                if !known.seen.contains(label) && !unseen.contains(&label) {
                    unseen.push(label);
                }
            }
            let moved = metadata.len();
            for entry in stream.entries() {
                // The mark sorts before everything that comes from outside.
                metadata.truncate(moved);
                metadata.extend_from_slice(entry.metadata.as_bytes());
                out.push_entry_encoded(entry.timestamp_ns, entry.line, LabelsRef::from_encoded(&metadata));
            }
        }
        drop(known);
        self.remember(unseen);
        out
    }
}

impl Known {
    /// Begins to count a name's values; `false` when there is no room.
    fn begin(&mut self, name: &str, values_max: usize, budget: &Budget) -> bool {
        if self.values.len() >= NAMES_MAX {
            return false;
        }
        let values = Values::new(values_max);
        let bytes = values.memory_bytes() + name.len();
        let paid = match &mut self.space {
            Some(space) => space.grow(bytes).is_ok(),
            none => budget.reserve(bytes).map(|space| *none = Some(space)).is_ok(),
        };
        if paid {
            self.values.insert(name.into(), values);
        }
        paid
    }

    /// Makes the reservation follow what is held.
    fn pay(&mut self) {
        let bytes = self.values.iter().map(|(name, values)| values.memory_bytes() + name.len()).sum();
        if let Some(space) = &mut self.space {
            space.force_resize(bytes);
        }
    }

    /// Forgets values of the day before yesterday. A clock that goes back changes nothing.
    fn turn_to(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        let next = day == self.day + 1;
        self.day = day;
        for values in self.values.values_mut() {
            values.turn(next);
        }
        self.values.retain(|_, values| values.ones > 0);
        self.pay();
    }
}

/// About how many distinct values a name has: bits set by their hashes ("linear counting").
struct Values {
    today: Box<[u64]>,
    yesterday: Box<[u64]>,
    /// Bits set in either.
    ones: usize,
}

impl Values {
    fn new(values_max: usize) -> Values {
        let bits = values_max.saturating_mul(BITS_PER_VALUE).clamp(64, BITS_MAX).next_power_of_two();
        let empty = || vec![0; bits / 64].into_boxed_slice();
        Values { today: empty(), yesterday: empty(), ones: 0 }
    }

    fn memory_bytes(&self) -> usize {
        (self.today.len() + self.yesterday.len()) * 8 + size_of::<Values>() + 32
    }

    fn add(&mut self, value: &str) {
        let hash = FixedState::with_seed(11).hash_one(value);
        // A power of two of words, so that the mask takes the low bits.
        let word = (hash >> 6) as usize & (self.today.len() - 1);
        let bit = 1 << (hash & 63);
        if let (Some(today), Some(yesterday)) = (self.today.get_mut(word), self.yesterday.get(word)) {
            self.ones += usize::from((*today | *yesterday) & bit == 0);
            *today |= bit;
        }
    }

    fn count(&self) -> f64 {
        let bits = (self.today.len() * 64) as f64;
        let zeros = bits - self.ones as f64;
        if zeros < 1.0 { f64::INFINITY } else { -bits * (zeros / bits).ln() }
    }

    /// A day is over; `next` says whether the day before is kept as yesterday.
    fn turn(&mut self, next: bool) {
        std::mem::swap(&mut self.today, &mut self.yesterday);
        self.today.fill(0);
        if !next {
            self.yesterday.fill(0);
        }
        self.ones = self.yesterday.iter().map(|word| word.count_ones() as usize).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::BudgetName;

    fn rules(values_max: Option<usize>) -> Floating {
        let rules = FloatingRules { values_max, ..FloatingRules::default() };
        Floating::new(&rules, Budget::standalone(BudgetName::LogHead, 1 << 20))
    }

    fn batch(streams: &[&[(&str, &str)]]) -> LogBatch {
        let mut batch = LogBatch::new();
        for labels in streams {
            batch.start_stream(&mut labels.to_vec()).unwrap();
            batch.push_entry(1, b"x", &mut [("trace_id", "of metadata"), ("a", "b")]).unwrap();
            batch.push_entry(2, b"y", &mut []).unwrap();
        }
        batch
    }

    fn shown(batch: &LogBatch) -> Vec<String> {
        let of = |stream: bramble_signal::LogStream<'_>| {
            let labels = stream.labels().to_string();
            stream
                .entries()
                .map(|e| format!("{labels} {:?}", e.metadata.iter().collect::<Vec<_>>()))
                .collect::<Vec<_>>()
        };
        batch.streams().flat_map(of).collect()
    }

    #[test]
    fn listed_names_go_to_the_entries() {
        let floating = rules(None);
        let plain = batch(&[&[("app", "web"), ("trac_id", "1")]]);
        assert_eq!(floating.apply(plain.clone(), 0, |_| false), plain);
        let moved = floating.apply(batch(&[&[("app", "web"), ("trace_id", "1"), ("request_id", "2")]]), 0, |_| false);
        assert_eq!(
            shown(&moved),
            [
                r#"{app="web"} [("\u{1}request_id", "2"), ("\u{1}trace_id", "1"), ("a", "b"), ("trace_id", "of metadata")]"#,
                r#"{app="web"} [("\u{1}request_id", "2"), ("\u{1}trace_id", "1")]"#,
            ]
        );
        for entry in moved.stream(0).entries() {
            assert!(LabelsRef::parse(entry.metadata.as_bytes()).is_some());
        }
        assert_eq!(floating.names(), ["request_id", "trace_id"]);
        let all = floating.apply(batch(&[&[("trace_id", "1")]]), 0, |_| false);
        assert_eq!(all.stream(0).labels().to_string(), "{}");
        let again = rules(None);
        again.remember_batch(&moved);
        assert_eq!(again.names(), ["request_id", "trace_id"]);
    }

    #[test]
    fn names_with_many_values_float_from_then_on() {
        let (floating, mut first) = (rules(Some(100)), None);
        for n in 0..150 {
            let (id, pod) = (format!("u{n}"), format!("p{n}"));
            let out = floating.apply(batch(&[&[("pod", &pod), ("user", &id), ("zone", "z")]]), 5, |_| false);
            if out.stream(0).labels().get("user").is_none() {
                first.get_or_insert(n);
                assert_eq!(out.stream(0).labels().to_string(), format!(r#"{{pod="{pod}", zone="z"}}"#));
            }
        }
        let first = first.unwrap();
        assert!((90..=110).contains(&first), "{first}");
        assert_eq!(floating.names(), ["user"], "pods are counted by nobody");
        let old = rules(Some(100));
        old.remember(["user"]);
        assert_eq!(old.apply(batch(&[&[("user", "u1"), ("a", "b")]]), 5, |_| false).stream(0).labels().len(), 1);
    }

    #[test]
    fn known_streams_and_days_long_gone_do_not_count() {
        let floating = rules(Some(100));
        for n in 0..300 {
            let id = format!("u{n}");
            let out = floating.apply(batch(&[&[("user", &id)]]), 0, |_| true);
            assert_eq!(out.stream(0).labels().len(), 1, "known");
            let day_ns = n / 40 * DAY_NS;
            let out = floating.apply(batch(&[&[("user", &id)]]), day_ns, |_| false);
            assert_eq!(out.stream(0).labels().len(), 1, "80 in two days");
        }
        let out =
            (0..60).map(|n| floating.apply(batch(&[&[("user", &format!("w{n}"))]]), 7 * DAY_NS, |_| false)).last();
        assert!(out.unwrap().stream(0).labels().is_empty());
    }

    #[test]
    fn counters_are_paid_for() {
        let rules = FloatingRules { values_max: Some(10), ..FloatingRules::default() };
        let budget = Budget::standalone(BudgetName::LogHead, 2000);
        let floating = Floating::new(&rules, budget.clone());
        for n in 0..1000 {
            let name = format!("name{n}");
            let out = floating.apply(batch(&[&[(&name, "v")]]), 0, |_| false);
            assert_eq!(out.stream(0).labels().len(), 1);
        }
        assert!(budget.used_bytes() > 1000 && budget.used_bytes() <= 2000);
    }
}
