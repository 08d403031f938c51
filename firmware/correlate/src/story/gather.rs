//! What a story is made of: the traces it runs through, and the entries beside them.

use crate::correlation::Correlation;
use crate::infer::{self, Ways};
use crate::story::StoryQuery;
use crate::view::entry::{Entry, Named};
use crate::view::keep::{Kept, bytes_of};
use crate::view::places::Places;
use crate::view::search::{Range, Sought, names_of};
use crate::view::spans::TraceSpans;
use crate::view::{Event, Join, Sources};
use bramble_line::ids::IdKind;
use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use bramble_storage::{AttributeScope, QueryContext, ReadError, SpanFields, SpanPredicate, SpanScan, ValueTest};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::collections::BTreeMap;

/// Traces that are told: the newest.
const TRACES_MAX: usize = 50;
/// Traces that are told of at least so many events.
const EVENTS_PER_TRACE_MIN: usize = 4;
/// Entries that are looked at for the ids themselves.
const DIRECT_ROWS_MAX: usize = 20_000;
/// Entries that are looked at of one trace.
const TRACE_ROWS_MAX: usize = 20_000;
/// Spans that are looked at for the ids themselves, and of all traces.
const SPANS_MAX: usize = 200_000;
/// Entries that are inferred of one trace.
const INFERRED_MAX: usize = 20;
/// Traces that entries are inferred for.
const INFERRED_TRACES_MAX: usize = 10;
/// Around a trace, for its entries.
const SLACK_NS: i64 = 5_000_000_000;
/// How far a trace's entries may lie outside of what was asked for: clocks can be anywhere.
const OUTSIDE_NS: i64 = 3_600_000_000_000;

/// What was found.
pub(super) struct Gathered {
    /// In no certain order.
    pub(super) events: Vec<Event>,
    pub(super) truncated: bool,
}

struct Gathering<'a> {
    query: &'a StoryQuery,
    correlations: &'a [Correlation],
    sources: &'a Sources<'a>,
    context: &'a QueryContext,
    /// Where each trace lies in time, as far as it is known.
    extents: BTreeMap<TraceId, Range>,
    /// Tests of each id on spans.
    tests: Vec<SpanPredicate>,
    events: Vec<Event>,
    /// Entries that are told, by hash.
    told: HashSet<u64, FixedState>,
    /// Clocks of the traces told.
    places: BTreeMap<TraceId, Places>,
    truncated: bool,
}

impl Gathered {
    pub(super) fn read(
        query: &StoryQuery,
        correlations: &[Correlation],
        sources: &Sources<'_>,
        context: &QueryContext,
    ) -> Result<Gathered, ReadError> {
        let mut gathering = Gathering {
            query,
            correlations,
            sources,
            context,
            extents: BTreeMap::new(),
            tests: query.ids.iter().map(|(kind, value)| has_id(*kind, value)).collect(),
            events: Vec::new(),
            told: HashSet::default(),
            places: BTreeMap::new(),
            truncated: false,
        };
        for correlation in correlations {
            gathering.extend(correlation.id.trace_id, Range::of(correlation));
        }
        gathering.find_spans()?;
        let direct = gathering.find_entries()?;
        // What traces have is told as well, of half the events at least; what they do not need is left to the entries.
        let room =
            query.limit - if gathering.extents.is_empty() { direct.len() } else { direct.len().min(query.limit / 2) };
        gathering.told.extend(direct.iter().map(|(hash, _)| *hash));
        gathering.read_traces(room)?;
        gathering.add_direct(direct);
        Ok(Gathered { events: gathering.events, truncated: gathering.truncated })
    }
}

/// The id under any of its names, on a span or its resource.
fn has_id(kind: IdKind, value: &str) -> SpanPredicate {
    let test = |key| SpanPredicate::Attribute { scope: AttributeScope::Any, key, test: ValueTest::is(value) };
    SpanPredicate::Any(names_of(kind).into_iter().map(test).collect())
}

impl Gathering<'_> {
    fn asked(&self) -> Range {
        Range { start_ns: self.query.since_ns, end_ns: self.query.until_ns }
    }

    /// What the story is told by.
    fn by(&self) -> Join {
        Join::certain(self.query.ids.first().map_or(IdKind::Trace, |(kind, _)| *kind))
    }

    fn is_named_by(&self, named: &Named) -> bool {
        self.query.ids.iter().all(|(kind, value)| match kind {
            IdKind::Trace => named.trace.is_some_and(|trace| TraceId::parse(value) == Some(trace)),
            kind => named.names(*kind, value),
        })
    }

    fn extend(&mut self, trace: TraceId, range: Range) {
        if !trace.is_zero() {
            let known = self.extents.entry(trace).or_insert(range);
            known.start_ns = known.start_ns.min(range.start_ns);
            known.end_ns = known.end_ns.max(range.end_ns);
        }
    }

    /// Traces of spans that have the ids.
    fn find_spans(&mut self) -> Result<(), ReadError> {
        let (start_ns, end_ns) = self.asked().of_spans();
        let keys = self.query.ids.iter().flat_map(|(kind, _)| names_of(*kind)).collect();
        let fields = SpanFields { attributes: Some(keys), ..SpanFields::LEAST };
        let scan = SpanScan { whole_traces: false, fields, ..SpanScan::whole(start_ns, end_ns, &self.tests) };
        let mut cursor = self.sources.traces.scan(&scan, self.context)?;
        let (mut batch, mut looked) = (SpanBatch::new(), 0usize);
        let mut found: Vec<(TraceId, Range)> = Vec::new();
        while cursor.next(&mut batch)? {
            self.context.check()?;
            for span in batch.spans.iter().filter(|span| self.tests.iter().all(|test| test.accepts(&batch, span))) {
                let at = span.start_ns as i64;
                found.push((span.trace_id, Range { start_ns: at, end_ns: at.saturating_add(1) }));
            }
            found.drain(..).for_each(|(trace, range)| self.extend(trace, range));
            looked += batch.spans.len();
            // Newest first: what is left out is older than enough traces, or an id that everything has.
            if looked > SPANS_MAX || self.extents.len() > 8 * TRACES_MAX {
                self.truncated = true;
                break;
            }
        }
        Ok(())
    }

    /// Entries that name the ids, those that matter most first; and their traces.
    fn find_entries(&mut self) -> Result<Vec<(u64, Event)>, ReadError> {
        let Some((kind, value)) = self.query.ids.first() else { return Ok(Vec::new()) };
        let mut kept = Kept::new(self.query.limit, self.context).newest();
        let mut traces: Vec<(TraceId, i64)> = Vec::new();
        let sought = Sought::new(*kind, value).newest_first();
        let visit = &mut |entry: &Entry<'_>| {
            let named = entry.named();
            if self.is_named_by(&named) {
                kept.offer_log(entry, &named, self.by(), &Places::default())?;
                traces.extend(named.trace.map(|trace| (trace, entry.entry.timestamp_ns)));
            }
            Ok(())
        };
        let complete = sought.each_entry(self.sources.logs, self.asked(), DIRECT_ROWS_MAX, self.context, visit)?;
        for (trace, at) in traces {
            self.extend(trace, Range { start_ns: at, end_ns: at.saturating_add(1) });
        }
        self.truncated |= !(complete && kept.shrink(self.query.limit));
        Ok(kept.into_hashed())
    }

    /// Reads the newest traces, newest first, `room` events at most.
    fn read_traces(&mut self, room: usize) -> Result<(), ReadError> {
        let mut traces: Vec<(TraceId, Range)> = self.extents.iter().map(|(id, range)| (*id, *range)).collect();
        traces.sort_by_key(|(id, range)| (std::cmp::Reverse(range.start_ns), *id));
        let most = TRACES_MAX.min((room / EVENTS_PER_TRACE_MIN).max(1));
        self.truncated |= traces.len() > most;
        traces.truncate(most);
        let (mut left, mut room, mut spans) = (traces.len(), room, 0usize);
        for (nth, (trace, range)) in traces.into_iter().enumerate() {
            self.context.check()?;
            let before = self.events.len();
            let share = room / left.max(1);
            spans += self.read_trace(trace, range, share, nth < INFERRED_TRACES_MAX)?;
            room = room.saturating_sub(self.events.len() - before);
            left -= 1;
            if spans > SPANS_MAX {
                self.truncated |= left > 0;
                break;
            }
        }
        Ok(())
    }

    /// Tells one trace; how many spans it has.
    fn read_trace(&mut self, trace: TraceId, known: Range, room: usize, infers: bool) -> Result<usize, ReadError> {
        let spans = TraceSpans::read(trace, None, self.sources.traces, self.context)?;
        let mut kept = Kept::new(room, self.context);
        let range = self.log_range(known, &spans);
        let visit = &mut |entry: &Entry<'_>| {
            let named = entry.named();
            if named.trace == Some(trace) && !self.told.contains(&entry.hash) {
                let join = if self.is_named_by(&named) { self.by() } else { Join::certain(IdKind::Trace) };
                kept.offer_log(entry, &named, join, &spans.places)?;
            }
            Ok(())
        };
        let sought = Sought::new(IdKind::Trace, &trace.to_string());
        self.truncated |= !sought.each_entry(self.sources.logs, range, TRACE_ROWS_MAX, self.context, visit)?;
        let (picked, all) = spans.pick(room.saturating_sub(kept.len()).max(room / 2));
        let told: Vec<Event> = picked.iter().map(|span| self.span_event(&spans, span)).collect();
        self.context.reserve(told.iter().map(bytes_of).sum())?;
        self.truncated |= !(all && kept.shrink(room.saturating_sub(told.len())));
        let room = room.saturating_sub(told.len() + kept.len());
        self.events.extend(told);
        self.take(kept.into_hashed());
        if infers {
            self.infer(trace, &spans, room.min(INFERRED_MAX))?;
        }
        let count = spans.batch.spans.len();
        self.places.insert(trace, spans.places);
        Ok(count)
    }

    /// Entries that name a request of the trace, but no trace.
    fn infer(&mut self, trace: TraceId, spans: &TraceSpans, room: usize) -> Result<(), ReadError> {
        let (correlations, mut room) = (self.correlations, room);
        for correlation in correlations.iter().filter(|correlation| correlation.id.trace_id == trace) {
            if room == 0 {
                break;
            }
            let inferred = infer::entries(correlation, spans, self.sources, Ways::Requests, room, self.context)?;
            self.truncated |= !inferred.complete;
            room = room.saturating_sub(inferred.events.len());
            self.take(inferred.events);
        }
        Ok(())
    }

    /// Takes entries that were not told before.
    fn take(&mut self, entries: Vec<(u64, Event)>) {
        for (hash, event) in entries {
            if self.told.insert(hash) {
                self.events.push(event);
            }
        }
    }

    fn span_event(&self, spans: &TraceSpans, span: &SpanEntry) -> Event {
        let own = self.tests.iter().all(|test| test.accepts(&spans.batch, span));
        let event = spans.event(span);
        if own { Event { join: self.by(), ..event } } else { event }
    }

    /// Where a trace's entries may be.
    fn log_range(&self, known: Range, spans: &TraceSpans) -> Range {
        let starts = spans.shown().iter().map(|span| span.start_ns as i64);
        let ends = spans.shown().iter().map(|span| span.end_ns.max(span.start_ns) as i64);
        let range = Range {
            start_ns: starts.fold(known.start_ns, i64::min),
            end_ns: ends.map(|end| end.saturating_add(1)).fold(known.end_ns, i64::max),
        };
        let (range, most) = (range.widened(SLACK_NS), self.asked().widened(OUTSIDE_NS));
        Range { start_ns: range.start_ns.max(most.start_ns), end_ns: range.end_ns.min(most.end_ns) }
    }

    /// Entries that name the ids, each on its trace's clock; those without a trace on what traces say of their writer's.
    fn add_direct(&mut self, direct: Vec<(u64, Event)>) {
        let room = self.query.limit.saturating_sub(self.events.len());
        self.truncated |= direct.len() > room;
        for (_, mut event) in direct.into_iter().take(room) {
            let ahead = match self.places.get(&event.trace_id) {
                Some(places) => places.ahead_ns(&event.service, &event.node),
                None => self.usually_ahead_ns(&event.service, &event.node),
            };
            event.corrected_ns = event.time_ns.saturating_sub(ahead);
            self.events.push(event);
        }
    }

    /// The median over the traces told.
    fn usually_ahead_ns(&self, service: &str, node: &str) -> i64 {
        let known = self.places.values().filter_map(|places| places.known_ahead_ns(service, node));
        let mut known: Vec<i64> = known.collect();
        known.sort_unstable();
        known.get(known.len() / 2).copied().unwrap_or(0)
    }
}
