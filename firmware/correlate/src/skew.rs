//! Clocks that disagree, as spans tell: a server's span lies within the client's span that it answers, on any clock that is
//! right. Where it does not, the server's clock is ahead or behind.
//!
//! ```text
//! client   |---------------------|            each call says: the server is ahead by at least server.end − client.end
//! server          |---------|                 and at most server.start − client.start
//! ```
//!
//! A call that was answered after its client gave up, and any other child of another host (a message, a call whose client
//! has no span), gives only the upper bound: nothing starts before what began it.
//!
//! What most calls between two clocks agree on is taken, as NTP does among its servers (Marzullo's algorithm, RFC 5905
//! §11.2.1): nothing where that includes "no difference", else its middle, else (unbounded) the bound that moves least. One
//! odd call among many changes nothing. Offsets then spread from the root span's clock along the calls. The outcome is a
//! function of the set of spans: their order does not matter.

use bramble_signal::{SpanId, SpanKind};
use std::collections::{BTreeMap, VecDeque};

/// Less than this is the grain of clocks and timestamps (many senders write milliseconds), and no difference.
pub const GRAIN_NS: i64 = 1_000_000;

/// What is needed of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SkewSpan {
    /// Itself; both halves of a call may share it (Zipkin).
    pub span_id: SpanId,
    /// Its parent; zero for a root.
    pub parent_span_id: SpanId,
    /// Its role.
    pub kind: SpanKind,
    /// When it started, nanoseconds.
    pub start_ns: i64,
    /// How long it lasted.
    pub duration_ns: u64,
    /// Number of the participant whose it is, from 0 without large gaps. Numbers decide between what is equal otherwise: they
    /// should not depend on the order of arrival.
    pub place: u32,
    /// Number of the clock that it was measured with, likewise: participants of one machine share one.
    pub clock: u32,
}

/// A span's role, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Role {
    Client,
    Server,
    Other,
}

impl SkewSpan {
    fn role(&self) -> Role {
        match self.kind {
            SpanKind::Client => Role::Client,
            SpanKind::Server => Role::Server,
            _ => Role::Other,
        }
    }

    /// All of it, so that what is done in this order does not depend on the one that spans came in.
    fn key(&self) -> (SpanId, Role, i64, u64, SpanId, u32, u32) {
        (self.span_id, self.role(), self.start_ns, self.duration_ns, self.parent_span_id, self.place, self.clock)
    }
}

/// Calls from one participant to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Who calls.
    pub client: u32,
    /// Who is called.
    pub server: u32,
    /// By how much the clock of `server` is ahead of that of `client`, nanoseconds.
    pub offset_ns: i64,
    /// How many calls.
    pub calls: u32,
}

/// How clocks differ within a trace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Skews {
    /// Participants that call each other, ascending by client and server, each pair once.
    pub pairs: Vec<Pair>,
    /// By number of the clock: by how much it is ahead of the root span's, nanoseconds. Clocks that are not connected with
    /// that one by calls are measured against the first span among their own.
    pub ahead_ns: Vec<i64>,
}

impl Skews {
    /// By how much a clock is ahead.
    pub fn ahead_ns(&self, clock: u32) -> i64 {
        self.ahead_ns.get(clock as usize).copied().unwrap_or(0)
    }

    /// Whether any clocks differ.
    pub fn is_skewed(&self) -> bool {
        self.ahead_ns.iter().any(|&ns| ns != 0)
    }
}

/// What one call says of how far the clock of the called one is ahead: between these, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bounds {
    least: i64,
    most: i64,
}

/// How far clocks are ahead of that of the root span. Spans that are there twice count once. `O(n log n)`, 64 bytes a span.
pub fn offsets(spans: impl IntoIterator<Item = SkewSpan>) -> Skews {
    let mut spans: Vec<SkewSpan> = spans.into_iter().collect();
    let clocks = spans.iter().map(|s| s.clock as usize + 1).max().unwrap_or(0);
    let mut skews = Skews { pairs: Vec::new(), ahead_ns: vec![0; clocks] };
    if spans.windows(2).all(|two| matches!(two, [a, b] if a.place == b.place)) {
        return skews;
    }
    spans.sort_unstable_by_key(SkewSpan::key);
    spans.dedup_by_key(|s| (s.span_id, s.role()));
    let mut bounds: BTreeMap<(u32, u32), Vec<Bounds>> = BTreeMap::new();
    let mut calls: BTreeMap<[u32; 4], u32> = BTreeMap::new();
    let mut roots: Vec<&SkewSpan> = Vec::new();
    for span in &spans {
        let Some(parent) = parent_of(span, &spans) else {
            roots.push(span);
            continue;
        };
        if parent.place != span.place {
            *calls.entry([parent.place, span.place, parent.clock, span.clock]).or_default() += 1;
        }
        if parent.clock != span.clock {
            let said = said_by(parent, span);
            let (key, said) = if parent.clock < span.clock {
                ((parent.clock, span.clock), said)
            } else {
                ((span.clock, parent.clock), said.reversed())
            };
            bounds.entry(key).or_default().push(said);
        }
    }
    let links = bounds.into_iter().map(|(key, said)| (key, (agreed(&said), said.len()))).collect();
    roots.sort_unstable_by_key(|s| (!s.parent_span_id.is_zero(), s.start_ns, s.span_id, s.role()));
    spread(roots.iter().map(|s| s.clock), &links, &mut skews.ahead_ns);
    skews.pairs = pairs(calls, &skews);
    skews
}

fn pairs(calls: BTreeMap<[u32; 4], u32>, skews: &Skews) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::with_capacity(calls.len());
    for ([client, server, from, to], calls) in calls {
        let offset_ns = skews.ahead_ns(to).saturating_sub(skews.ahead_ns(from));
        match pairs.last_mut() {
            Some(last) if (last.client, last.server) == (client, server) => {
                last.calls = last.calls.saturating_add(calls)
            }
            _ => pairs.push(Pair { client, server, offset_ns, calls }),
        }
    }
    pairs
}

/// The span that `span` is part of; of two halves of a call that share an id, the one that `span` hangs below.
fn parent_of<'a>(span: &SkewSpan, sorted: &'a [SkewSpan]) -> Option<&'a SkewSpan> {
    let of_id = |id: SpanId| {
        let from = sorted.partition_point(|s| s.span_id < id);
        let rest = sorted.get(from..).unwrap_or_default();
        rest.iter().take_while(move |s| s.span_id == id)
    };
    if span.role() == Role::Server
        && let Some(client) = of_id(span.span_id).find(|s| s.role() == Role::Client)
    {
        return Some(client);
    }
    if span.parent_span_id.is_zero() || span.parent_span_id == span.span_id {
        return None;
    }
    let mut halves = of_id(span.parent_span_id);
    // A server answers the client's half; what a server does itself hangs below its own.
    if span.role() == Role::Server { halves.next() } else { halves.max_by_key(|s| (s.place == span.place, s.role())) }
}

fn said_by(parent: &SkewSpan, child: &SkewSpan) -> Bounds {
    let most = child.start_ns.saturating_sub(parent.start_ns);
    let answers = parent.role() == Role::Client && child.role() == Role::Server;
    let least = if answers && child.duration_ns <= parent.duration_ns {
        most.saturating_sub_unsigned(parent.duration_ns - child.duration_ns)
    } else {
        i64::MIN
    };
    Bounds { least, most }
}

impl Bounds {
    /// The same said of the other clock.
    fn reversed(self) -> Bounds {
        let negative = |ns: i64| match ns {
            i64::MIN => i64::MAX,
            i64::MAX => i64::MIN,
            ns => -ns,
        };
        Bounds { least: negative(self.most), most: negative(self.least) }
    }

    fn allows_none(self) -> bool {
        self.least.saturating_sub(GRAIN_NS) <= 0 && self.most.saturating_add(GRAIN_NS) >= 0
    }

    /// The offset taken where these are agreed on.
    fn taken(self) -> i64 {
        match (self.least, self.most) {
            (i64::MIN, most) => most.min(0),
            (least, i64::MAX) => least.max(0),
            (least, most) => least.midpoint(most),
        }
    }

    fn away_from_zero(self) -> u64 {
        if self.least > 0 {
            self.least.unsigned_abs()
        } else if self.most < 0 {
            self.most.unsigned_abs()
        } else {
            0
        }
    }
}

/// What most calls agree on; of several such ranges the one nearest to "no difference".
fn agreed(said: &[Bounds]) -> i64 {
    let mut edges: Vec<(i64, bool)> = Vec::with_capacity(2 * said.len());
    for bounds in said {
        // At one instant ranges begin before others end: both ends are inclusive.
        edges.push((bounds.least, false));
        edges.push((bounds.most, true));
    }
    edges.sort_unstable();
    let (mut now, mut most, mut best) = (0usize, 0usize, None::<Bounds>);
    for (i, &(at, ends)) in edges.iter().enumerate() {
        if ends {
            now = now.saturating_sub(1);
            continue;
        }
        now += 1;
        let Some(&(until, true)) = edges.get(i + 1) else { continue };
        let range = Bounds { least: at, most: until };
        let nearer = best.is_none_or(|best| range.away_from_zero() < best.away_from_zero());
        if now > most || (now == most && nearer) {
            (most, best) = (now, Some(range));
        }
    }
    let without = said.iter().filter(|bounds| bounds.allows_none()).count();
    if without >= most { 0 } else { best.map_or(0, Bounds::taken) }
}

/// From each root's clock that was not reached yet to those that it is connected with, nearest first; by the link of most
/// calls where there are several.
fn spread(roots: impl Iterator<Item = u32>, links: &BTreeMap<(u32, u32), (i64, usize)>, ahead: &mut [i64]) {
    let mut next_to: Vec<Vec<(std::cmp::Reverse<usize>, u32, i64)>> = vec![Vec::new(); ahead.len()];
    for (&(a, b), &(offset, calls)) in links {
        let calls = std::cmp::Reverse(calls);
        next_to.get_mut(a as usize).into_iter().for_each(|list| list.push((calls, b, offset)));
        next_to.get_mut(b as usize).into_iter().for_each(|list| list.push((calls, a, offset.saturating_neg())));
    }
    let mut reached = vec![false; ahead.len()];
    for root in roots {
        let mut layer = VecDeque::from([root]);
        match reached.get_mut(root as usize) {
            Some(reached) if !*reached => *reached = true,
            _ => continue,
        }
        while !layer.is_empty() {
            // All links from this layer outwards, those of most calls first.
            let mut outward: Vec<(std::cmp::Reverse<usize>, u32, u32, i64)> = Vec::new();
            for &from in &layer {
                let links = next_to.get(from as usize).map_or(&[][..], Vec::as_slice);
                outward.extend(links.iter().map(|&(calls, to, offset)| (calls, from, to, offset)));
            }
            outward.sort_unstable();
            layer.clear();
            for (_, from, to, offset) in outward {
                let base = ahead.get(from as usize).copied().unwrap_or(0);
                let (Some(seen), Some(place)) = (reached.get_mut(to as usize), ahead.get_mut(to as usize)) else {
                    continue;
                };
                if !std::mem::replace(seen, true) {
                    *place = base.saturating_add(offset);
                    layer.push_back(to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
