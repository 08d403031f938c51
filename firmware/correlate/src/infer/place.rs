//! By place, time and peer: an access log or a database's log that knows no trace, but whom it served and when.

use super::{Guesses, TRACES_MAX};
use crate::origin::Origin;
use crate::view::entry::Entry;
use crate::view::search::{Range, each_line};
use crate::view::{By, Event, Join, Sources};
use bramble_signal::attributes::AttributeValue;
use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use bramble_storage::{AttributeScope, QueryContext, ReadError, SpanFields, SpanPredicate, SpanScan, ValueTest};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// In one pod, container or unit.
const SAME_PLACE: f64 = 0.7;
/// Of one service on one node.
const SAME_NODE: f64 = 0.6;
/// Of one service.
const SAME_SERVICE: f64 = 0.5;
/// Before a span's start and after its end: an access log is written when the answer has gone.
const TOLERANCE_NS: i64 = 100_000_000;
/// Addresses that are looked for: each is a pass over the window.
const ADDRESSES_MAX: usize = 8;
/// Spans that are remembered of one address.
const SPANS_MAX: usize = 1_000;
/// Spans of other traces that are looked at for one address; one with more serves everybody.
const OTHER_SPANS_MAX: usize = 20_000;
/// Entries that are looked at for one address.
const ROWS_MAX: usize = 20_000;
/// How long before the window other traces' spans may have begun.
const BEFORE_NS: i64 = 60_000_000_000;

/// Attributes that say who is at the other end; OpenTelemetry's now and before, and what others use.
const PEERS: [&str; 9] = [
    "client.address",
    "network.peer.address",
    "net.sock.peer.addr",
    "net.peer.ip",
    "server.address",
    "http.client_ip",
    "peer.address",
    "peer.ipv4",
    "peer.ipv6",
];

/// A span, as far as it matters here.
struct Served {
    trace: TraceId,
    origin: Owned,
    start_ns: i64,
    end_ns: i64,
}

/// An [`Origin`] of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Owned {
    service: String,
    node: String,
    namespace: String,
    pod: String,
    container: String,
    unit: String,
}

impl Owned {
    fn of(origin: &Origin<'_>) -> Owned {
        Owned {
            service: origin.service.to_owned(),
            node: origin.node.to_owned(),
            namespace: origin.namespace.to_owned(),
            pod: origin.pod.to_owned(),
            container: origin.container.to_owned(),
            unit: origin.unit.to_owned(),
        }
    }

    fn borrowed(&self) -> Origin<'_> {
        Origin {
            service: &self.service,
            env: "",
            node: &self.node,
            namespace: &self.namespace,
            pod: &self.pod,
            container: &self.container,
            unit: &self.unit,
        }
    }

    /// How sure it is that an entry of `other` was written by who emitted a span of this; `None`: it was not.
    fn shared_with(&self, other: &Origin<'_>) -> Option<f64> {
        let differ = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
        let same = |a: &str, b: &str| !a.is_empty() && a == b;
        let apart = differ(&self.namespace, other.namespace)
            || differ(&self.pod, other.pod)
            || differ(&self.container, other.container)
            || differ(&self.unit, other.unit);
        // A pod keeps its name when it moves; a container's or unit's name alone is that of many machines.
        if apart || (differ(&self.node, other.node) && !same(&self.pod, other.pod)) {
            return None;
        }
        let within = same(&self.container, other.container) || same(&self.unit, other.unit);
        if same(&self.pod, other.pod) || (within && same(&self.node, other.node)) {
            return Some(SAME_PLACE);
        }
        let known = same(&self.node, other.node);
        same(&self.service, other.service).then_some(if known { SAME_NODE } else { SAME_SERVICE })
    }
}

impl Served {
    fn of(span: &SpanEntry, origin: &Origin<'_>) -> Served {
        let (start_ns, end_ns) = (span.start_ns as i64, span.end_ns.max(span.start_ns) as i64);
        Served { trace: span.trace_id, origin: Owned::of(origin), start_ns, end_ns }
    }

    /// How sure it is that an entry was written while this ran, by who ran it.
    fn fits(&self, time_ns: i64, origin: &Origin<'_>) -> Option<f64> {
        let (from, to) = (self.start_ns.saturating_sub(TOLERANCE_NS), self.end_ns.saturating_add(TOLERANCE_NS));
        if (from..=to).contains(&time_ns) { self.origin.shared_with(origin) } else { None }
    }
}

/// Entries within `range` that mention a peer of a span, at its place and time.
pub(super) fn infer(guesses: &mut Guesses<'_>, range: Range, sources: &Sources<'_>) -> Result<(), ReadError> {
    let mut addresses: Vec<(String, Vec<Served>)> = peers(guesses).into_iter().collect();
    // Those of the earliest spans.
    let first = |served: &[Served]| served.iter().map(|s| s.start_ns).min();
    addresses.sort_by(|(a, of_a), (b, of_b)| (first(of_a), a).cmp(&(first(of_b), b)));
    guesses.complete &= addresses.len() <= ADDRESSES_MAX;
    for (address, served) in addresses.into_iter().take(ADDRESSES_MAX) {
        by_address(guesses, range, &address, served, sources)?;
    }
    Ok(())
}

fn by_address(
    guesses: &mut Guesses<'_>,
    range: Range,
    address: &str,
    mut served: Vec<Served>,
    sources: &Sources<'_>,
) -> Result<(), ReadError> {
    let mut fitting: BTreeMap<(i64, u64), (f64, Owned, Event)> = BTreeMap::new();
    let (mine, own, context) = (&*guesses, guesses.correlation.id.trace_id, guesses.context);
    let complete = each_line(sources.logs, range, address, ROWS_MAX, context, &mut |entry: &Entry<'_>| {
        if !has_word(entry.entry.line, address.as_bytes()) || fitting.len() > mine.max {
            return Ok(());
        }
        let named = entry.named();
        if !mine.may_belong(&named) {
            return Ok(());
        }
        let (time_ns, origin) = (entry.entry.timestamp_ns, entry.origin());
        let sure = served.iter().filter_map(|span| span.fits(time_ns, &origin)).fold(0.0, f64::max);
        if sure > 0.0 {
            let event = entry.event(&named, Join::inferred(By::Place, sure), &mine.spans.places);
            fitting.insert((time_ns, entry.hash), (sure, Owned::of(&origin), event));
        }
        Ok(())
    })?;
    if fitting.is_empty() {
        return Ok(());
    }
    guesses.complete &= complete && fitting.len() <= guesses.max;
    // Who else was served there then?
    let Some(others) = others(address, own, range, sources, context)? else { return Ok(()) };
    served.extend(others);
    for (key, (sure, origin, mut event)) in fitting {
        let origin = origin.borrowed();
        let also = served.iter().filter(|span| span.trace != own && span.fits(key.0, &origin).is_some());
        let traces: BTreeSet<TraceId> = also.map(|span| span.trace).collect();
        if traces.len() < TRACES_MAX {
            event.join = Join::inferred(By::Place, sure / (traces.len() + 1) as f64);
            guesses.offer(key, event)?;
        }
    }
    Ok(())
}

/// Addresses at the other end of the trace's spans, and these spans.
fn peers(guesses: &Guesses<'_>) -> BTreeMap<String, Vec<Served>> {
    let mut peers: BTreeMap<String, Vec<Served>> = BTreeMap::new();
    for span in guesses.spans.shown() {
        let batch = &guesses.spans.batch;
        let mut origin = None;
        for (key, value) in batch.attributes(span.attributes).iter() {
            let AttributeValue::Str(address) = value else { continue };
            if !PEERS.contains(&key) || !tells_apart(address) {
                continue;
            }
            let origin = origin.get_or_insert_with(|| guesses.spans.origin(span));
            let spans = peers.entry(address.to_owned()).or_default();
            if spans.len() < SPANS_MAX {
                spans.push(Served::of(span, origin));
            }
        }
    }
    peers
}

/// Whether an address is that of someone: not this host's to itself, nor everybody's.
fn tells_apart(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast())
}

/// Spans of other traces with this peer in range; `None`: too many to tell.
fn others(
    address: &str,
    own: TraceId,
    range: Range,
    sources: &Sources<'_>,
    context: &QueryContext,
) -> Result<Option<Vec<Served>>, ReadError> {
    let test = |key: &&str| SpanPredicate::Attribute {
        scope: AttributeScope::Span,
        key: (*key).to_owned(),
        test: ValueTest::is(address),
    };
    let any = [SpanPredicate::Any(PEERS.iter().map(test).collect())];
    let (start_ns, end_ns) = Range { start_ns: range.start_ns.saturating_sub(BEFORE_NS), ..range }.of_spans();
    let attributes = Some(PEERS.map(str::to_owned).to_vec());
    let fields = SpanFields { attributes, ..SpanFields::LEAST };
    let scan = SpanScan { whole_traces: false, fields, ..SpanScan::whole(start_ns, end_ns, &any) };
    let mut cursor = sources.traces.scan(&scan, context)?;
    let (mut batch, mut found, mut looked) = (SpanBatch::new(), Vec::new(), 0usize);
    while cursor.next(&mut batch)? {
        context.check()?;
        looked += batch.spans.len();
        if looked > OTHER_SPANS_MAX {
            return Ok(None);
        }
        let others = batch.spans.iter().filter(|span| span.trace_id != own);
        for span in others.filter(|span| any.iter().all(|test| test.accepts(&batch, span))) {
            let origin = Origin::of_resource(batch.resource_attributes(span));
            found.push(Served::of(span, &origin));
        }
    }
    Ok(Some(found))
}

/// Whether `line` has `word` with nothing around it that would make it another: `10.0.0.1` is not in `110.0.0.1`,
/// `10.0.0.12` or `10.0.0.1.5`.
fn has_word(line: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find_iter(line, word).any(|at| {
        let before = at.checked_sub(1).and_then(|at| line.get(at));
        let (after, next) = (line.get(at + word.len()), line.get(at + word.len() + 1));
        let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let begins = before.is_none_or(|b| !part(b) && *b != b'.' && !(*b == b':' && word.contains(&b':')));
        let goes_on =
            |b: &u8| part(b) || (matches!(b, b'.' | b':') && next.is_some_and(|n| part(n) && word.contains(b)));
        begins && !after.is_some_and(goes_on)
    })
}
