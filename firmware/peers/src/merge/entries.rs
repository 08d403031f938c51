//! Log entries of all hubs, in answer order.
//!
//! Entries are equal when stream, time, line and metadata are. A hub keeps equal ones as often as it was told of them (its store may
//! keep them once), so that of equal ones as many are given as that hub has that has the most. Only where several hubs have
//! entries of one stream at one time need lines be compared.

use crate::asked::Asked;
use crate::frame::ENTRIES;
use crate::rows::{self, Indexed, compare};
use bramble_signal::{Labels, LabelsRef, LogEntry};
use bramble_storage::{Direction, LogCursor, LogRows, QueryContext, ReadError};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

enum Source<'a> {
    Local(Box<dyn LogCursor + 'a>),
    Peer(Box<Asked>),
}

/// A source, and the rows of it at hand.
struct Input<'a> {
    source: Source<'a>,
    rows: Indexed,
    at: usize,
    ended: bool,
    /// What the query is charged for rows of another hub.
    held: usize,
}

impl Input<'_> {
    fn row(&self) -> Option<(LabelsRef<'_>, LogEntry<'_>)> {
        self.rows.row(self.at)
    }

    /// Makes sure that the next row is there, if there is one.
    fn fill(&mut self, direction: Direction, context: &QueryContext) -> Result<(), ReadError> {
        while !self.ended && self.at >= self.rows.rows.order.len() {
            context.release(std::mem::take(&mut self.held));
            let before = self.rows.row(self.at.saturating_sub(1)).map(|(_, entry)| entry.timestamp_ns);
            self.at = 0;
            let found = match &mut self.source {
                Source::Local(cursor) => cursor.next(&mut self.rows.rows)?,
                Source::Peer(asked) => peer_rows(asked, &mut self.rows.rows, (direction, before), context)?,
            };
            self.ended = !found;
            if self.ended {
                self.rows.rows.clear();
            } else if matches!(self.source, Source::Peer(_)) {
                let bytes = self.rows.rows.batch.memory_bytes() + self.rows.rows.order.len() * 8;
                context.reserve(bytes)?;
                self.held = bytes;
            }
            self.rows.index();
        }
        Ok(())
    }
}

/// The next rows of another hub; `before` is the time of the last one.
fn peer_rows(
    asked: &mut Asked,
    out: &mut LogRows,
    (direction, before): (Direction, Option<i64>),
    context: &QueryContext,
) -> Result<bool, ReadError> {
    let Some((kind, payload)) = asked.next(context)? else { return Ok(false) };
    match rows::read(&payload) {
        Ok(batch) if kind == ENTRIES => out.batch = batch,
        Ok(_) => {
            asked.lose("it sent what was not asked for", context);
            return Ok(false);
        }
        Err(why) => {
            asked.lose(&why, context);
            return Ok(false);
        }
    }
    rows::order(out, direction);
    let first = out.order.first().map(|&(stream, _)| out.batch.stream(stream as usize).entries().next());
    let first = first.flatten().map(|entry| entry.timestamp_ns);
    let back = |(before, first): (i64, i64)| match direction {
        Direction::Forward => first < before,
        Direction::Backward => first > before,
    };
    if before.zip(first).is_some_and(back) {
        asked.lose("its entries are not in order", context);
        out.clear();
        return Ok(false);
    }
    Ok(true)
}

/// Entries of one stream and one time that several hubs have: how often each hub has given each, and how often it was
/// taken.
struct Tie {
    labels: Labels,
    timestamp_ns: i64,
    seen: HashMap<[u64; 2], (Vec<u32>, u32)>,
    hashers: [RandomState; 2],
}

impl Tie {
    /// Whether an entry of `hub` is one more than were taken.
    fn takes(&mut self, hub: usize, hubs: usize, entry: &LogEntry<'_>) -> bool {
        let key = self.hashers.each_ref().map(|hasher| hasher.hash_one((entry.line, entry.metadata.as_bytes())));
        let (given, taken) = self.seen.entry(key).or_insert_with(|| (vec![0; hubs], 0));
        let Some(given) = given.get_mut(hub) else { return true };
        *given += 1;
        let more = *given > *taken;
        *taken = (*taken).max(*given);
        more
    }
}

/// The merge.
pub(super) struct EntryMerge<'a> {
    /// This hub's first.
    inputs: Vec<Input<'a>>,
    direction: Direction,
    /// Whether rows of this hub are left out.
    others_only: bool,
    tie: Tie,
    context: &'a QueryContext,
}

impl<'a> EntryMerge<'a> {
    pub(super) fn new(
        local: Box<dyn LogCursor + 'a>,
        asked: Vec<Asked>,
        direction: Direction,
        context: &'a QueryContext,
    ) -> Self {
        let peers = asked.into_iter().map(|asked| Source::Peer(Box::new(asked)));
        let input = |source| Input { source, rows: Indexed::default(), at: 0, ended: false, held: 0 };
        let hashers = [RandomState::new(), RandomState::new()];
        let tie = Tie { labels: Labels::empty(), timestamp_ns: 0, seen: HashMap::new(), hashers };
        let inputs = [Source::Local(local)].into_iter().chain(peers).map(input).collect();
        EntryMerge { inputs, direction, others_only: false, tie, context }
    }

    /// Only what others have and this hub has not.
    pub(super) fn others_only(self) -> Self {
        EntryMerge { others_only: true, ..self }
    }

    /// The hub with the next row, and whether others have entries of that stream and time as well.
    fn next_hub(&self) -> Option<(usize, bool)> {
        let mut best: Option<(usize, (i64, LabelsRef<'_>), bool)> = None;
        for (hub, input) in self.inputs.iter().enumerate() {
            let Some((labels, entry)) = input.row() else { continue };
            let key = (entry.timestamp_ns, labels);
            match best.as_ref().map(|(_, best, _)| compare(key, *best, self.direction)) {
                None | Some(Ordering::Less) => best = Some((hub, key, false)),
                Some(Ordering::Equal) => best = best.map(|(hub, key, _)| (hub, key, true)),
                Some(Ordering::Greater) => {}
            }
        }
        best.map(|(hub, _, tied)| (hub, tied))
    }

    /// Whether the next row of `hub` is to be given.
    fn takes(&mut self, hub: usize, tied: bool) -> bool {
        let hubs = self.inputs.len();
        let Some((labels, entry)) = self.inputs.get(hub).and_then(Input::row) else { return false };
        let same = self.tie.timestamp_ns == entry.timestamp_ns && self.tie.labels.as_bytes() == labels.as_bytes();
        let ongoing = same && !self.tie.seen.is_empty();
        if !ongoing && !tied {
            self.tie.seen.clear();
            return true;
        }
        if !ongoing {
            self.tie.seen.clear();
            self.tie.timestamp_ns = entry.timestamp_ns;
            self.tie.labels = labels.to_labels();
        }
        self.tie.takes(hub, hubs, &entry)
    }

    /// Numbers of the streams of rows picked, ascending by labels, equal ones equal; by hub and stream.
    fn streams(&self, picked: &[(usize, usize)]) -> HashMap<(usize, u32), u32> {
        let labels = |place: &(usize, u32)| {
            self.inputs.get(place.0).map(|input| input.rows.rows.batch.stream(place.1 as usize).labels())
        };
        let mut all: Vec<(usize, u32)> = picked.iter().filter_map(|row| self.stream(*row)).collect();
        all.sort_unstable();
        all.dedup();
        all.sort_by(|a, b| labels(a).cmp(&labels(b)));
        let (mut number, mut last) = (0, None);
        let numbered = all.into_iter().map(|place| {
            let labels = labels(&place);
            number += u32::from(last.replace(labels).is_some_and(|last| last != labels));
            (place, number)
        });
        numbered.collect()
    }

    fn stream(&self, (hub, at): (usize, usize)) -> Option<(usize, u32)> {
        self.inputs.get(hub)?.rows.rows.order.get(at).map(|(stream, _)| (hub, *stream))
    }

    /// Writes the rows picked, by hub and place in its answer order.
    fn write(&self, picked: &[(usize, usize)], out: &mut LogRows) {
        let numbers = self.streams(picked);
        let number = |row: &(usize, usize)| self.stream(*row).and_then(|place| numbers.get(&place)).copied();
        let mut by_stream: Vec<usize> = (0..picked.len()).collect();
        // Stable: within a stream rows stay in order.
        by_stream.sort_by_key(|at| picked.get(*at).and_then(number));
        out.order.resize(picked.len(), (0, 0));
        let (mut current, mut entries) = (None, 0);
        for at in by_stream {
            let Some(row) = picked.get(at) else { continue };
            let Some((labels, entry)) = self.inputs.get(row.0).and_then(|input| input.rows.row(row.1)) else {
                continue;
            };
            if current.replace(number(row)) != Some(number(row)) {
                out.batch.start_stream_encoded(labels);
                entries = 0;
            }
            out.batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            if let Some(place) = out.order.get_mut(at) {
                *place = ((out.batch.stream_count() - 1) as u32, entries);
            }
            entries += 1;
        }
    }
}

impl LogCursor for EntryMerge<'_> {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        loop {
            out.clear();
            for input in &mut self.inputs {
                input.fill(self.direction, self.context)?;
            }
            if let [only, ..] = self.inputs.as_mut_slice()
                && only.at == 0
                && only.row().is_some()
                && self.inputs.iter().skip(1).all(|input| input.ended)
            {
                // Nothing is left to merge with.
                if self.others_only {
                    return Ok(false);
                }
                let is_tied = !self.tie.seen.is_empty();
                if !is_tied && let Some(only) = self.inputs.first_mut() {
                    std::mem::swap(out, &mut only.rows.rows);
                    only.rows.rows.clear();
                    only.rows.index();
                    return Ok(true);
                }
            }
            // Until one of them must be read on, since its rows are needed until they are written.
            let mut picked = Vec::new();
            let mut any = false;
            while let Some((hub, tied)) = self.next_hub() {
                any = true;
                let takes = self.takes(hub, tied);
                let Some(input) = self.inputs.get_mut(hub) else { break };
                if takes && !(self.others_only && hub == 0) {
                    picked.push((hub, input.at));
                }
                input.at += 1;
                if input.row().is_none() {
                    break;
                }
            }
            self.context.check()?;
            if !any {
                return Ok(false);
            }
            if !picked.is_empty() {
                self.write(&picked, out);
                return Ok(true);
            }
        }
    }
}
