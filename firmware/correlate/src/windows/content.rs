//! What is known of a window: a function of its items.

use super::arrange::Excess;
use super::causal::{self, Rank};
use super::ids::all_ids;
use super::items::{Kept, Tag, origin_parts};
use super::texts::{Text, Texts, cut, hash};
use super::tree::{Tree, is_root, self_times};
use crate::correlation::{Correlation, CorrelationId, FirstError, Marks, Participant, WorstSpan};
use crate::skew::{SkewSpan, offsets};
use bramble_signal::SpanId;
use std::fmt::Write;

/// Series with exemplars that are told.
const SERIES_MAX: usize = 8;
/// Longest text of a failure, bytes.
const ERROR_BYTES_MAX: usize = 512;

/// A window whose content is wanted.
pub(super) struct Window<'a> {
    /// In order; at least one.
    pub(super) items: &'a [Kept],
    pub(super) texts: &'a Texts,
    /// Counts of what was not kept.
    pub(super) excess: Option<Excess>,
    pub(super) window_ns: u64,
    pub(super) inferred_logs: u64,
    pub(super) marks: Marks,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A participant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    service: &'a [u8],
    node: &'a [u8],
    env: &'a [u8],
}

/// Who took part, and on whose clock.
struct Places<'a> {
    /// Ascending, so that numbers do not depend on arrival.
    places: Vec<Place<'a>>,
    /// Of each item, the number of its place; [`NOWHERE`] for exemplars.
    of_items: Vec<u32>,
    /// Of each place, the number of the first one of the same machine.
    clocks: Vec<u32>,
    /// Of each clock, by how much it is ahead.
    ahead_ns: Vec<i64>,
}

/// Exemplars are of whoever was measured, who need not say so in the same words: they take no part.
const NOWHERE: u32 = u32::MAX;

/// One place for each service and node, ascending. Senders tell of a service in more or fewer words (its entries have an
/// environment, its spans have not): what says nothing of the node is of the only node that there is.
fn merged<'a>(mut places: Vec<Place<'a>>) -> Vec<Place<'a>> {
    places.sort_unstable();
    let mut merged: Vec<Place<'a>> = Vec::with_capacity(places.len());
    for of_service in places.chunk_by(|a, b| a.service == b.service) {
        let from = merged.len();
        for place in of_service {
            let of_service = &mut merged[from..];
            match of_service.last_mut() {
                Some(last) if last.node == place.node => {
                    last.env = if last.env.is_empty() { place.env } else { last.env }
                }
                _ => merged.push(*place),
            }
        }
        // The one without a node is the first.
        if let [unknown, known] = merged[from..]
            && unknown.node.is_empty()
        {
            let env = if known.env.is_empty() { unknown.env } else { known.env };
            merged.truncate(from);
            merged.push(Place { env, ..known });
        }
    }
    merged
}

impl<'a> Places<'a> {
    fn new(items: &[Kept], texts: &'a Texts) -> Self {
        let mut origins: Vec<Text> = Vec::new();
        for item in items.iter().filter(|item| item.tag != Tag::Exemplar) {
            if origins.last() != Some(&item.origin) && !origins.contains(&item.origin) {
                origins.push(item.origin);
            }
        }
        let place = |origin: &Text| {
            let [service, node, env] = origin_parts(texts.get(*origin));
            Place { service, node, env }
        };
        let places = merged(origins.iter().map(place).collect());
        let find = |origin: &Text| {
            let wanted = place(origin);
            let is = |other: &Place<'_>| other.service == wanted.service && other.node == wanted.node;
            let same = places.iter().position(is);
            same.or_else(|| places.iter().position(|other| other.service == wanted.service)).unwrap_or(0) as u32
        };
        let numbers: Vec<u32> = origins.iter().map(find).collect();
        let number = |item: &Kept| {
            let origin = origins.iter().position(|other| *other == item.origin);
            origin.filter(|_| item.tag != Tag::Exemplar).map_or(NOWHERE, |at| numbers[at])
        };
        let of_items: Vec<u32> = items.iter().map(number).collect();
        let clock = |at: usize| match places[at].node {
            b"" => at as u32,
            name => places.iter().position(|other| other.node == name).unwrap_or(at) as u32,
        };
        let clocks: Vec<u32> = (0..places.len()).map(clock).collect();
        let mut places = Places { ahead_ns: vec![0; places.len()], places, of_items, clocks };
        if places.clocks.iter().any(|&clock| clock != places.clocks[0]) {
            let spans = items.iter().zip(&places.of_items).filter(|(item, _)| item.is_span());
            let skews = offsets(spans.map(|(item, &place)| SkewSpan {
                span_id: item.id(),
                parent_span_id: SpanId(item.parent().to_be_bytes()),
                kind: item.kind(),
                start_ns: item.time_ns,
                duration_ns: item.duration_ns,
                place,
                clock: places.clocks[place as usize],
            }));
            places.ahead_ns = (0..places.places.len() as u32).map(|clock| skews.ahead_ns(clock)).collect();
        }
        places
    }

    fn place_ahead_ns(&self, place: u32) -> i64 {
        self.ahead_ns[self.clocks[place as usize] as usize]
    }

    fn ahead_ns(&self, item: usize) -> i64 {
        match self.of_items[item] {
            NOWHERE => 0,
            place => self.place_ahead_ns(place),
        }
    }

    fn service(&self, item: usize) -> &'a [u8] {
        self.places.get(self.of_items[item] as usize).map_or(b"", |place| place.service)
    }

    /// Numbers of participants, callers first.
    fn in_order(&self, items: &[Kept], tree: &Tree, starts_ns: &[i64]) -> Vec<u32> {
        if self.places.len() <= 1 {
            return (0..self.places.len() as u32).collect();
        }
        let mut ranks: Vec<Rank> =
            (0..self.places.len() as u32).map(|number| Rank { depth: u32::MAX, start_ns: i64::MAX, number }).collect();
        for (item, &place) in self.of_items.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            let rank = &mut ranks[place as usize];
            // An entry without a span says nothing of who called whom: who has no other is last.
            let is_loose = !items[item].is_span() && tree.parent(item as u32).is_none();
            let depth = if is_loose { u32::MAX } else { tree.depths[item] };
            (rank.depth, rank.start_ns) = (rank.depth, rank.start_ns).min((depth, starts_ns[item]));
        }
        let calls = (0u32..).zip(&self.of_items).filter_map(|(item, &place)| {
            let caller = self.of_items[tree.parent(item)? as usize];
            (caller != place && place != NOWHERE).then_some((caller, place))
        });
        causal::order(ranks, calls)
    }
}

/// What is known of a window, but for its name and revision.
pub(super) fn content(window: &Window<'_>, id: CorrelationId, revision: u32) -> Correlation {
    let Window { items, texts, .. } = *window;
    let places = Places::new(items, texts);
    let starts_ns: Vec<i64> =
        items.iter().enumerate().map(|(at, item)| item.time_ns.saturating_sub(places.ahead_ns(at))).collect();
    let tree = Tree::new(items);
    let order = places.in_order(items, &tree, &starts_ns);
    let base_ns = order.first().map_or(0, |&first| places.place_ahead_ns(first));
    let mut participants: Vec<Participant> = order
        .iter()
        .map(|&number| {
            let Place { service, node, env } = places.places[number as usize];
            let [service, node, env] = [service, node, env].map(text);
            let skew_ns = places.place_ahead_ns(number).saturating_sub(base_ns);
            Participant { service, node, env, skew_ns, ..Participant::default() }
        })
        .collect();
    count_by(&places, &order, items, &mut participants);
    let mut all = window.excess.unwrap_or(Excess { end_ns: i64::MIN, ..Excess::default() });
    items.iter().for_each(|item| all.add(item));
    let span_id = |at: u32| items[at as usize].id();
    let skewed = participants.iter().any(|participant| participant.skew_ns != 0);
    Correlation {
        id,
        revision,
        start_ns: items.first().map_or(0, |item| item.time_ns),
        end_ns: all.end_ns,
        window_ns: window.window_ns,
        ids: all_ids(distinct(items, |item| item.ids).map(|ids| texts.get(ids))),
        participants,
        logs: all.logs,
        levels: all.levels,
        spans: all.spans,
        failed_spans: all.failed_spans,
        exemplars: all.exemplars,
        inferred_logs: window.inferred_logs,
        spans_ns: spans_ns(items),
        root_span_id: root(items, &tree).map(span_id).unwrap_or_default(),
        entry_spans: entries(window, &places, &order, (&tree, &starts_ns)).into_iter().map(span_id).collect(),
        first_error: first_error(window, &places),
        worst_span: worst(window, &places, (&tree, &starts_ns)),
        exemplar_series: series(window),
        marks: Marks { truncated: window.excess.is_some(), skewed, ..window.marks },
    }
}

/// From the first start of a span to the last end.
fn spans_ns(items: &[Kept]) -> Option<(i64, i64)> {
    let end_ns = |span: &Kept| span.time_ns.saturating_add(i64::try_from(span.duration_ns).unwrap_or(i64::MAX));
    let spans = || items.iter().filter(|item| item.is_span());
    Some((spans().map(|span| span.time_ns).min()?, spans().map(end_ns).max()?))
}

fn distinct(items: &[Kept], of: impl Fn(&Kept) -> Text) -> impl Iterator<Item = Text> {
    let mut found: Vec<Text> = items.iter().map(of).filter(|&text| text != Text::NONE).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter()
}

fn count_by(places: &Places<'_>, order: &[u32], items: &[Kept], participants: &mut [Participant]) {
    for (item, place) in items.iter().zip(&places.of_items) {
        let found = order.iter().position(|number| number == place);
        let Some(participant) = found.and_then(|at| participants.get_mut(at)) else { continue };
        match item.tag {
            Tag::Span => participant.spans += 1,
            Tag::Log => participant.logs += 1,
            Tag::Exemplar => {}
        }
        participant.errors += u64::from(item.failed);
    }
}

fn root(items: &[Kept], tree: &Tree) -> Option<u32> {
    let spans = || (0u32..).zip(items).filter(|(_, item)| item.is_span()).map(|(at, _)| at);
    spans().find(|&at| is_root(at, items, &tree.parents)).or_else(|| spans().next())
}

/// The first span of each service: the least deep, then the earliest.
fn entries(window: &Window<'_>, places: &Places<'_>, order: &[u32], (tree, starts_ns): (&Tree, &[i64])) -> Vec<u32> {
    let mut services: Vec<&[u8]> = Vec::new();
    for &number in order {
        let service = places.places[number as usize].service;
        if !services.contains(&service) {
            services.push(service);
        }
    }
    let mut first: Vec<Option<(u32, i64, u32)>> = vec![None; services.len()];
    for at in (0..window.items.len()).filter(|&at| window.items[at].is_span()) {
        let service = places.service(at);
        let Some(place) = services.iter().position(|other| *other == service) else { continue };
        let rank = (tree.depths[at], starts_ns[at], at as u32);
        first[place] = Some(first[place].map_or(rank, |other| other.min(rank)));
    }
    first.into_iter().flatten().map(|(_, _, at)| at).collect()
}

/// The failure that was known first: spans fail when they end, and the one inside before the one around it.
fn first_error(window: &Window<'_>, places: &Places<'_>) -> Option<FirstError> {
    let failed = window.items.iter().enumerate().filter(|(_, item)| item.failed);
    let (at, item) = failed.min_by_key(|(at, item)| (item.end_ns().saturating_sub(places.ahead_ns(*at)), *at))?;
    let mut said = text(window.texts.get(item.name));
    let message = window.texts.get(item.message);
    if !message.is_empty() {
        _ = write!(said, ": {}", String::from_utf8_lossy(message));
    }
    Some(FirstError {
        time_ns: item.end_ns(),
        service: text(places.service(at)),
        span_id: item.id(),
        is_log: !item.is_span(),
        text: text(cut(said.as_bytes(), ERROR_BYTES_MAX)),
    })
}

fn worst(window: &Window<'_>, places: &Places<'_>, (tree, starts_ns): (&Tree, &[i64])) -> Option<WorstSpan> {
    let own = self_times(window.items, tree, starts_ns);
    let spans = window.items.iter().enumerate().filter(|(_, item)| item.is_span());
    let (at, item) = spans.max_by_key(|(at, item)| (item.failed, own[*at], usize::MAX - at))?;
    Some(WorstSpan {
        span_id: item.id(),
        service: text(places.service(at)),
        name: text(window.texts.get(item.name)),
        duration_ns: item.duration_ns,
        self_ns: own[at],
        failed: item.failed,
    })
}

fn series(window: &Window<'_>) -> Vec<String> {
    let of = |item: &Kept| if item.tag == Tag::Exemplar { item.name } else { Text::NONE };
    let mut series: Vec<&[u8]> = distinct(window.items, of).map(|name| window.texts.get(name)).collect();
    series.sort_unstable();
    series.truncate(SERIES_MAX);
    series.into_iter().map(text).collect()
}

/// Whether the items are of one signal and one service. Exemplars take no part, but are a signal.
pub(super) fn is_single(window: &Window<'_>) -> bool {
    let service = |origin: Text| origin_parts(window.texts.get(origin))[0];
    let mut signals = [false, window.inferred_logs > 0, false];
    let mut first: Option<Text> = None;
    for item in window.items {
        signals[item.tag as usize] = true;
        if item.tag == Tag::Exemplar {
            continue;
        }
        let first = *first.get_or_insert(item.origin);
        if item.origin != first && service(item.origin) != service(first) {
            return false;
        }
    }
    signals.into_iter().filter(|&is_there| is_there).count() <= 1
}

/// A hash of what a row says, the same in every process: not of its name, nor of what does not come again.
pub(crate) fn content_hash(c: &Correlation) -> u64 {
    let mut bytes = Vec::with_capacity(512);
    let mut number = |n: u64| bytes.extend_from_slice(&n.to_le_bytes());
    [c.start_ns as u64, c.end_ns as u64, c.window_ns, c.logs, c.spans, c.failed_spans, c.inferred_logs]
        .into_iter()
        .chain(c.levels)
        .for_each(&mut number);
    number(u64::from(c.marks.truncated) | u64::from(c.marks.ambiguous_request) << 1 | u64::from(c.marks.skewed) << 2);
    for p in &c.participants {
        [p.logs, p.spans, p.errors, p.skew_ns as u64].into_iter().for_each(&mut number);
    }
    if let Some(error) = &c.first_error {
        [error.time_ns as u64, u64::from_be_bytes(error.span_id.0)].into_iter().for_each(&mut number);
    }
    if let Some(worst) = &c.worst_span {
        [u64::from_be_bytes(worst.span_id.0), worst.self_ns, worst.duration_ns].into_iter().for_each(&mut number);
    }
    let mut put = |text: &str| {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0xff);
    };
    c.participants.iter().flat_map(|p| [&p.service, &p.node, &p.env]).for_each(|text| put(text));
    for (kind, id) in &c.ids {
        put(kind.as_str());
        put(id);
    }
    c.first_error.iter().for_each(|error| put(&error.text));
    c.worst_span.iter().for_each(|worst| put(&worst.name));
    hash(&bytes)
}
