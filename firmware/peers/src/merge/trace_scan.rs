//! Whole traces of all hubs.
//!
//! A trace may be in parts on several hubs, and the part that is wanted on one of them only. So hubs tell the *ids* of traces
//! that they have a wanted span of, newest first; for each trace that is given, by whichever hub it was found, others are then told what
//! is here of it, and send theirs only when it is not the same. Where nodes send to both hubs, next to nothing travels.

use super::span_scan::out_clear;
use super::traces::{add_spans, known};
use crate::asked::Asked;
use crate::frame::IDS;
use crate::peer::{Peer, Peers};
use crate::request::{Fields, KnownTrace, Question, Spans};
use crate::spans::{self, Identity, identity};
use bramble_signal::{SpanBatch, TraceId};
use bramble_storage::{QueryContext, ReadError, SpanCursor, SpanFields, SpanScan, TraceSource};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

/// Traces of a batch: one question to each other hub, which takes a few milliseconds however short it is.
const TRACES: usize = 32;
/// Memory of a trace id that was given, with what the set leaves free.
const GIVEN_BYTES: usize = 40;
/// Memory of this hub's traces that are gathered for a question.
const GATHERED_BYTES_MAX: usize = 1 << 20;

/// Ids of another hub.
struct Ids {
    asked: Asked,
    queue: VecDeque<(TraceId, u64)>,
    ended: bool,
}

impl Ids {
    fn fill(&mut self, context: &QueryContext) -> Result<(), ReadError> {
        while self.queue.is_empty() && !self.ended {
            match self.asked.next(context)? {
                Some((IDS, payload)) => {
                    let (all, _) = payload.as_chunks::<24>();
                    self.queue.extend(all.iter().filter_map(|bytes| {
                        let (id, start) = bytes.split_first_chunk::<16>()?;
                        Some((TraceId(*id), u64::from_le_bytes(*start.first_chunk::<8>()?)))
                    }));
                }
                Some(_) => self.asked.lose("it sent what was not asked for", context),
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

/// The merge.
pub(super) struct TraceMerge<'a> {
    source: &'a dyn TraceSource,
    peers: &'a Peers,
    local: Option<Box<dyn SpanCursor + 'a>>,
    /// This hub's next traces.
    head: SpanBatch,
    ids: Vec<Ids>,
    /// The hubs that are asked for their parts.
    hubs: Vec<Arc<Peer>>,
    fields: SpanFields,
    given: HashSet<TraceId>,
    /// What the query is charged for the batch given last.
    held: usize,
    context: &'a QueryContext,
}

impl<'a> TraceMerge<'a> {
    pub(super) fn open(
        (source, peers): (&'a dyn TraceSource, &'a Peers),
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Self, ReadError> {
        let asked = peers.ask(&Question::TraceIds(Spans::of(scan)), context);
        let hubs = asked.iter().map(|asked| asked.peer.clone()).collect();
        let local = Some(source.scan(scan, context)?);
        let ids = asked.into_iter().map(|asked| Ids { asked, queue: VecDeque::new(), ended: false }).collect();
        let (head, fields, given) = (SpanBatch::new(), scan.fields.clone(), HashSet::new());
        Ok(TraceMerge { source, peers, local, head, ids, hubs, fields, given, held: 0, context })
    }

    /// Makes sure that this hub's next traces are at hand, if there are any.
    fn fill(&mut self) -> Result<(), ReadError> {
        while self.head.is_empty()
            && let Some(cursor) = &mut self.local
        {
            if !cursor.next(&mut self.head)? {
                self.local = None;
            }
            self.head.spans.retain(|span| !self.given.contains(&span.trace_id));
        }
        Ok(())
    }

    fn give(&mut self, id: TraceId) -> Result<bool, ReadError> {
        if !self.given.insert(id) {
            return Ok(false);
        }
        self.context.reserve(GIVEN_BYTES)?;
        Ok(true)
    }

    /// Moves this hub's traces that begin at `newest_ns` or later into `out`, up to a question's worth.
    fn take_own(&mut self, newest_ns: u64, out: &mut SpanBatch) -> Result<BTreeSet<TraceId>, ReadError> {
        let mut ids = BTreeSet::new();
        loop {
            self.fill()?;
            let begins = self.head.spans.iter().map(|span| span.start_ns).max();
            let enough = ids.len() >= TRACES || out.memory_bytes() >= GATHERED_BYTES_MAX;
            if enough || begins.is_none_or(|begins| begins < newest_ns) {
                return Ok(ids);
            }
            let head = std::mem::take(&mut self.head);
            for span in &head.spans {
                // A trace's spans are adjacent, and all in one batch.
                if ids.insert(span.trace_id) {
                    self.give(span.trace_id)?;
                }
                out.push_from(&head, span);
            }
        }
    }

    /// Takes ids of others that are newer than what is here, up to a question's worth, and puts this hub's part of these
    /// traces into `out`.
    fn take_others(&mut self, own_ns: Option<u64>, out: &mut SpanBatch) -> Result<BTreeSet<TraceId>, ReadError> {
        let mut ids = BTreeSet::new();
        while ids.len() < TRACES {
            for other in &mut self.ids {
                // One that has something is not kept waiting for one that still looks.
                if ids.is_empty() {
                    other.fill(self.context)?;
                }
            }
            let newest = self.ids.iter_mut().filter_map(|other| Some((other.queue.front()?.1, other)));
            let Some((begins, other)) = newest.max_by_key(|(begins, _)| *begins) else { break };
            if own_ns.is_some_and(|own| begins <= own) {
                break;
            }
            let Some((id, _)) = other.queue.pop_front() else { break };
            if self.give(id)? {
                ids.insert(id);
                let mut part = self.source.trace(id, self.context)?;
                spans::strip(&mut part, &self.fields);
                part.spans.iter().for_each(|span| out.push_from(&part, span));
            }
        }
        // What was found by another's word need not be given again by our own.
        self.head.spans.retain(|span| !self.given.contains(&span.trace_id));
        Ok(ids)
    }

    /// Adds to the traces of `out` what others have of them.
    fn complete(&self, ids: &BTreeSet<TraceId>, out: &mut SpanBatch) -> Result<(), ReadError> {
        let mut have: HashSet<Identity> = out.spans.iter().map(identity).collect();
        let traces: Vec<KnownTrace> = ids.iter().map(|id| known(*id, out)).collect();
        let question = Question::Traces { traces, fields: Fields::of(&self.fields) };
        let asked: Vec<Option<Asked>> =
            self.hubs.iter().map(|hub| self.peers.ask_one(hub, &question, self.context)).collect();
        for mut asked in asked.into_iter().flatten() {
            add_spans(&mut asked, out, &mut have, self.context)?;
        }
        // Spans of a trace stand together, each trace where it was found first.
        let mut places = std::collections::HashMap::new();
        for span in &out.spans {
            let next = places.len();
            places.entry(span.trace_id).or_insert(next);
        }
        out.spans.sort_by_key(|span| places.get(&span.trace_id).copied());
        Ok(())
    }
}

impl SpanCursor for TraceMerge<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        loop {
            out_clear(out);
            self.context.release(std::mem::take(&mut self.held));
            self.context.check()?;
            self.fill()?;
            for other in &mut self.ids {
                other.fill(self.context)?;
            }
            let own = self.head.spans.iter().map(|span| span.start_ns).max();
            let other = self.ids.iter().filter_map(|other| other.queue.front()).map(|(_, begins)| *begins).max();
            let ids = match (own, other) {
                (None, None) => return Ok(false),
                (Some(own), other) if other.is_none_or(|other| own >= other) => {
                    self.take_own(other.unwrap_or(0), out)?
                }
                (own, _) => self.take_others(own, out)?,
            };
            if !ids.is_empty() {
                self.complete(&ids, out)?;
                if !out.is_empty() {
                    self.context.reserve(out.memory_bytes())?;
                    self.held = out.memory_bytes();
                    return Ok(true);
                }
            }
        }
    }
}
