//! Spans of one trace: whose they are, on which clock, and which of them matter most.

use crate::extract::OWN_SERVICE;
use crate::origin::Origin;
use crate::skew::{self, SkewSpan};
use crate::view::PairSkew;
use crate::view::event::{Event, EventWhat, Join};
use crate::view::places::Places;
use crate::view::search::Range;
use bramble_line::ids::IdKind;
use bramble_signal::{SpanBatch, SpanEntry, SpanId, StatusCode, TraceId};
use bramble_storage::{QueryContext, ReadError, TraceSource};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A trace that was read.
pub(crate) struct TraceSpans {
    pub(crate) batch: SpanBatch,
    /// Spans that are shown: in range, and not our own.
    shown: Vec<SpanEntry>,
    pub(crate) places: Places,
    /// By resource: number of the participant and of its clock; `None` for our own.
    of_resource: Vec<Option<(u32, u32)>>,
    /// All spans of the trace, ascending.
    ids: Vec<SpanId>,
}

/// What decides which spans stay: the smaller the better. Class, then what is sought in the class.
type Rank = (u8, u64, u64, SpanId, u8);

impl TraceSpans {
    /// A trace; of its spans those are shown that start in range.
    pub(crate) fn read(
        id: TraceId,
        range: Option<Range>,
        traces: &dyn TraceSource,
        context: &QueryContext,
    ) -> Result<TraceSpans, ReadError> {
        let batch = traces.trace(id, context)?;
        let bytes = batch.spans.len() * (size_of::<SpanEntry>() + 2 * size_of::<SkewSpan>());
        context.reserve(bytes)?;
        let spans = TraceSpans::of(batch, range);
        context.release(bytes);
        Ok(spans)
    }

    fn of(batch: SpanBatch, range: Option<Range>) -> TraceSpans {
        let origins: Vec<Option<Origin<'_>>> = batch
            .resources
            .iter()
            .map(|resource| batch.attributes(resource.attributes))
            .map(|attributes| (!attributes.is_synthetic()).then(|| Origin::of_resource(attributes)))
            .map(|origin| origin.filter(|origin| origin.service != OWN_SERVICE))
            .collect();
        let mut places = Places::new(origins.iter().flatten().map(|origin| (origin.service, origin.node)));
        let of_resource: Vec<Option<(u32, u32)>> =
            origins.iter().map(|origin| origin.and_then(|o| places.number(o.service, o.node))).collect();
        let place_of = |span: &SpanEntry| of_resource.get(span.resource as usize).copied().flatten();
        let skews = skew::offsets(batch.spans.iter().filter_map(|span| {
            let (place, clock) = place_of(span)?;
            Some(SkewSpan {
                span_id: span.span_id,
                parent_span_id: span.parent_span_id,
                kind: span.kind,
                start_ns: span.start_ns as i64,
                duration_ns: span.duration_ns(),
                place,
                clock,
            })
        }));
        places.set_skews(skews);
        let in_range = |span: &&SpanEntry| range.is_none_or(|range| range.contains(span.start_ns as i64));
        let shown = batch.spans.iter().filter(in_range).filter(|span| place_of(span).is_some()).copied().collect();
        let mut ids: Vec<SpanId> = batch.spans.iter().map(|span| span.span_id).collect();
        ids.sort_unstable();
        TraceSpans { batch, shown, places, of_resource, ids }
    }

    /// Whether the trace has this span.
    pub(crate) fn has(&self, id: SpanId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Spans that are shown, ascending by start.
    pub(crate) fn shown(&self) -> &[SpanEntry] {
        &self.shown
    }

    /// Who emitted a span.
    pub(crate) fn origin(&self, span: &SpanEntry) -> Origin<'_> {
        Origin::of_resource(self.batch.resource_attributes(span))
    }

    fn place(&self, span: &SpanEntry) -> Option<(u32, u32)> {
        self.of_resource.get(span.resource as usize).copied().flatten()
    }

    /// The `max` spans that matter most, in no certain order, and whether that is all: roots and the first span of each
    /// participant, failed ones, those that were called from elsewhere, those that took longest.
    pub(crate) fn pick(&self, max: usize) -> (Vec<&SpanEntry>, bool) {
        if self.shown.len() <= max {
            return (self.shown.iter().collect(), true);
        }
        let ranks = self.ranks();
        let mut order: Vec<(Rank, &SpanEntry)> = ranks.into_iter().zip(&self.shown).collect();
        order.sort_unstable_by_key(|(rank, _)| *rank);
        (order.into_iter().take(max).map(|(_, span)| span).collect(), false)
    }

    fn ranks(&self) -> Vec<Rank> {
        let mut place_of_span: HashMap<SpanId, u32, FixedState> = HashMap::default();
        let mut first: Vec<Option<(u64, SpanId)>> = vec![None; self.places.len()];
        for span in &self.shown {
            let Some((place, _)) = self.place(span) else { continue };
            place_of_span.insert(span.span_id, place);
            let start = (span.start_ns, span.span_id);
            if let Some(known) = first.get_mut(place as usize)
                && known.is_none_or(|known| start < known)
            {
                *known = Some(start);
            }
        }
        let rank = |span: &SpanEntry| {
            let place = self.place(span).map_or(0, |(place, _)| place);
            let is_first = first.get(place as usize).copied().flatten() == Some((span.start_ns, span.span_id));
            let is_entry = place_of_span.get(&span.parent_span_id).is_none_or(|parent| *parent != place);
            let (class, sought) = if span.parent_span_id.is_zero() || is_first {
                (0, span.start_ns)
            } else if span.status == StatusCode::Error {
                (1, span.start_ns)
            } else if is_entry {
                (2, u64::MAX - span.duration_ns())
            } else {
                (3, u64::MAX - span.duration_ns())
            };
            (class, sought, span.start_ns, span.span_id, span.kind as u8)
        };
        self.shown.iter().map(rank).collect()
    }

    /// A span as an event.
    pub(crate) fn event(&self, span: &SpanEntry) -> Event {
        let origin = self.origin(span);
        let time_ns = span.start_ns as i64;
        let clock = self.place(span).map_or(0, |(_, clock)| clock);
        Event {
            time_ns,
            corrected_ns: time_ns.saturating_sub(self.places.skews().ahead_ns(clock)),
            service: origin.service.to_owned(),
            node: origin.node.to_owned(),
            trace_id: span.trace_id,
            span_id: span.span_id,
            join: Join::certain(IdKind::Trace),
            what: EventWhat::Span {
                parent_span_id: span.parent_span_id,
                name: self.batch.text(span.name).to_owned(),
                duration_ns: span.duration_ns(),
                kind: span.kind,
                failed: span.status == StatusCode::Error,
                message: self.batch.text(span.status_message).to_owned(),
            },
        }
    }

    /// Who calls whom, ascending by names.
    pub(crate) fn pairs(&self) -> Vec<PairSkew> {
        let named = |pair: &skew::Pair| {
            let (client, client_node) = self.places.names(pair.client)?;
            let (server, server_node) = self.places.names(pair.server)?;
            Some(PairSkew {
                client: client.to_owned(),
                client_node: client_node.to_owned(),
                server: server.to_owned(),
                server_node: server_node.to_owned(),
                offset_ns: pair.offset_ns,
                calls: pair.calls,
            })
        };
        self.places.skews().pairs.iter().filter_map(named).collect()
    }
}
