//! Clocks that disagree: by how much, and that nothing but the set of spans matters.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn id(n: u8) -> SpanId {
    SpanId([0, 0, 0, 0, 0, 0, 1, n])
}

fn span(n: u8, parent: u8, kind: SpanKind, (start_ms, end_ms): (i64, i64), place: u32) -> SkewSpan {
    SkewSpan {
        span_id: id(n),
        parent_span_id: if parent == 0 { SpanId::default() } else { id(parent) },
        kind,
        start_ns: start_ms * MS,
        duration_ns: ((end_ms - start_ms) * MS) as u64,
        place,
        clock: place,
    }
}

use SpanKind::{Client, Consumer, Internal, Producer, Server};

/// beorn (0) calls palantir (1), which calls arda (2); the clocks of the two are ahead by as much.
fn three(palantir: i64, arda: i64) -> Vec<SkewSpan> {
    vec![
        span(1, 0, Server, (0, 100), 0),
        span(2, 1, Client, (10, 90), 0),
        span(3, 2, Server, (20 + palantir, 80 + palantir), 1),
        span(4, 3, Client, (30 + palantir, 70 + palantir), 1),
        span(5, 4, Server, (40 + arda, 60 + arda), 2),
    ]
}

#[test]
fn what_fits_is_not_moved() {
    let skews = offsets(three(0, 0));
    assert_eq!((skews.ahead_ns.as_slice(), skews.is_skewed()), (&[0, 0, 0][..], false));
    let pair = |client, server| Pair { client, server, offset_ns: 0, calls: 1 };
    assert_eq!(skews.pairs, [pair(0, 1), pair(1, 2)]);
    assert_eq!(offsets([]), Skews::default());
}

#[test]
fn offsets_spread_from_the_root_along_the_calls() {
    let skews = offsets(three(5_000, -700));
    assert_eq!(skews.ahead_ns, [0, 5_000 * MS, -700 * MS]);
    assert_eq!(skews.pairs[1], Pair { client: 1, server: 2, offset_ns: -5_700 * MS, calls: 1 });
    assert!(skews.is_skewed());
    assert_eq!(skews.ahead_ns(77), 0, "a clock that nothing is known of");
}

#[test]
fn a_machine_has_one_clock() {
    let mut spans = three(5_000, 5_000);
    spans[4].clock = 1;
    let skews = offsets(spans);
    assert_eq!((skews.ahead_ns(0), skews.ahead_ns(1)), (0, 5_000 * MS));
    assert_eq!(skews.pairs[1], Pair { client: 1, server: 2, offset_ns: 0, calls: 1 });
}

#[test]
fn many_calls_narrow_it_down_and_an_odd_one_changes_nothing() {
    // 50 ms ahead: the first call fits as it is, since it took long; the others do not.
    let mut spans = vec![span(1, 0, Server, (0, 10_000), 0)];
    for (n, room) in [(10, 400), (20, 30), (30, 12), (40, 20)] {
        let from = i64::from(n) * 100;
        spans.push(span(n, 1, Client, (from, from + room), 0));
        spans.push(span(n + 1, n, Server, (from + 50 + 2, from + 50 + room - 4), 1));
    }
    let exact = offsets(spans.clone()).ahead_ns(1);
    assert!((46 * MS..=52 * MS).contains(&exact), "{exact}");
    // One whose times are nonsense.
    spans.push(span(50, 1, Client, (5_000, 5_010), 0));
    spans.push(span(51, 50, Server, (9_000, 9_001), 1));
    assert_eq!(offsets(spans).ahead_ns(1), exact);
}

#[test]
fn nothing_starts_before_what_began_it() {
    // A message is taken long after it was sent: that tells nothing. One taken before does.
    let sent = |at: i64| vec![span(1, 0, Producer, (0, 5), 0), span(2, 1, Consumer, (at, at + 50), 1)];
    assert_eq!(offsets(sent(7_000)).ahead_ns(1), 0);
    assert_eq!(offsets(sent(-300)).ahead_ns(1), -300 * MS);
    // A server that went on after its client gave up.
    let gave_up = vec![span(1, 0, Client, (0, 10), 0), span(2, 1, Server, (3, 500), 1)];
    assert_eq!(offsets(gave_up).ahead_ns(1), 0);
    // Less than the grain.
    let mut grain = three(0, 0);
    grain[2].start_ns = grain[1].start_ns - MS / 2;
    assert!(!offsets(grain).is_skewed());
}

#[test]
fn halves_that_share_an_id_are_told_apart() {
    // As Zipkin has it: client and server of one id; what the server calls hangs below its own half.
    let mut spans = vec![span(1, 0, Client, (10, 90), 0), span(1, 0, Server, (1_020, 1_080), 1)];
    spans.push(span(2, 1, Internal, (1_030, 1_040), 1));
    let skews = offsets(spans);
    assert_eq!(skews.ahead_ns, [0, 1_000 * MS]);
    assert_eq!(skews.pairs, [Pair { client: 0, server: 1, offset_ns: 1_000 * MS, calls: 1 }]);
}

#[test]
fn broken_trees_and_times_do_no_harm() {
    // Its own parent, each the other's parent, parents that are missing, times at the ends of what can be said.
    let mut spans = vec![span(1, 1, Server, (0, 5), 0), span(2, 3, Client, (0, 5), 1), span(3, 2, Server, (0, 5), 2)];
    spans.push(span(4, 99, Server, (9, 10), 3));
    spans.push(SkewSpan { start_ns: i64::MIN, ..span(5, 4, Client, (0, 1), 4) });
    spans.push(SkewSpan { start_ns: i64::MAX, duration_ns: u64::MAX, ..span(6, 5, Server, (0, 1), 5) });
    assert_eq!(offsets(spans).ahead_ns.len(), 6);
}

fn any_span() -> impl Strategy<Value = SkewSpan> {
    let kind = prop::sample::select(vec![Client, Server, Internal, Producer, Consumer]);
    (1u8..20, 0u8..20, kind, -100i64..100, 0i64..50, 0u32..4)
        .prop_map(|(n, parent, kind, start, length, place)| span(n, parent, kind, (start, start + length), place))
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        spans in prop::collection::vec(any_span(), 0..40), again in prop::collection::vec(0usize..40, 0..10), seed: u64
    ) {
        let expected = offsets(spans.iter().copied());
        let mut other: Vec<SkewSpan> = spans.clone();
        other.extend(again.iter().filter_map(|&at| spans.get(at).copied()));
        other.sort_by_key(|s| shuffled(seed, s));
        prop_assert_eq!(offsets(other), expected);
    }

    /// A chain of calls with known clocks: what is found puts every span where it fits.
    #[test]
    fn corrected_servers_lie_within_their_clients(clocks in prop::collection::vec(-100_000i64..100_000, 1..6)) {
        let mut spans = vec![span(1, 0, Server, (0, 1_000), 0)];
        let mut ahead = 0;
        for (i, &clock) in clocks.iter().enumerate() {
            let (n, place, from) = (10 * (i as u8 + 1), i as u32 + 1, 10 * (i as i64 + 1));
            let parent = if i == 0 { 1 } else { n - 9 };
            spans.push(span(n, parent, Client, (from + ahead, 1_000 - from + ahead), place - 1));
            spans.push(span(n + 1, n, Server, (from + 4 + clock, 1_000 - from - 4 + clock), place));
            ahead = clock;
        }
        let skews = offsets(spans.iter().copied());
        for pair in spans[1..].chunks(2) {
            let at = |s: &SkewSpan| s.start_ns - skews.ahead_ns(s.clock);
            let end = |s: &SkewSpan| at(s) + s.duration_ns as i64;
            prop_assert!(at(&pair[0]) <= at(&pair[1]) + GRAIN_NS && end(&pair[1]) <= end(&pair[0]) + GRAIN_NS);
        }
    }
}

fn shuffled(seed: u64, span: &SkewSpan) -> u64 {
    let mixed = (span.start_ns as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ u64::from(span.span_id.0[7]).wrapping_mul(seed | 1) ^ span.duration_ns
}
