//! Requests and frames by themselves.

use crate::frame::{ALIVE, End, FrameWriter, Gone, LIST, Sink, Unpacker};
use crate::request::{Logs, Metrics, Question, Request, Spans};
use crate::rows::{self, Indexed};
use crate::series::{SeriesFrame, SeriesWriter};
use crate::spans::{digest, strip};
use bramble_signal::{
    Labels, MatchOp, Matcher, Rollup, Sample, SeriesSamples, SpanEntry, SpanId, SpanKind, StatusCode,
};
use bramble_storage::{
    AttributeScope, Direction, LinePredicate, LogSelect, Mention, MetricSelect, SpanFields, SpanPredicate, SpanScan,
    ValueTest,
};
use proptest::prelude::*;

struct Bytewise(Vec<u8>);

impl Sink for Bytewise {
    fn put(&mut self, chunks: Vec<u8>) -> Result<(), Gone> {
        self.0.extend_from_slice(&ALIVE);
        self.0.extend_from_slice(&chunks);
        Ok(())
    }
}

fn unpacked(stream: &[u8], piece_bytes: usize) -> Vec<(u8, Vec<u8>)> {
    let (mut unpacker, mut found) = (Unpacker::new().unwrap(), Vec::new());
    for piece in stream.chunks(piece_bytes) {
        unpacker.push(piece);
        while let Some((kind, length)) = unpacker.head().unwrap() {
            let Some(payload) = unpacker.payload(length).unwrap() else { break };
            found.push((kind, payload));
        }
    }
    found
}

proptest! {
    #[test]
    fn frames_come_back(payloads in prop::collection::vec((1..6u8, prop::collection::vec(0..4u8, 0..3000)), 0..12), piece in 1..5000usize) {
        let mut out = Bytewise(Vec::new());
        let mut writer = FrameWriter::new(&mut out).unwrap();
        for (kind, payload) in &payloads {
            writer.send(*kind, payload).unwrap();
        }
        let end = End { error: Some("why".into()), warnings: vec!["w".into()], more: true, read: [1, 2, 3, 4, 5] };
        writer.end(&end).unwrap();
        let mut found = unpacked(&out.0, piece);
        let (last, payload) = found.pop().unwrap();
        prop_assert_eq!((last, serde_json::from_slice::<End>(&payload).unwrap()), (0, end));
        prop_assert_eq!(found, payloads);
    }

    #[test]
    fn no_bytes_make_the_unpacker_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut unpacker = Unpacker::new().unwrap();
        unpacker.push(&bytes);
        if let Ok(Some((_, length))) = unpacker.head() {
            let _ = unpacker.payload(length);
        }
        let _ = SeriesFrame::read(&bytes);
        let _ = rows::read(&bytes);
        let _ = crate::spans::read(&bytes);
        let _ = Request::read(&bytes);
    }
}

#[test]
fn large_frames_come_back() {
    let mut out = Bytewise(Vec::new());
    let payload: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut writer = FrameWriter::new(&mut out).unwrap();
    writer.send(LIST, &payload).unwrap();
    writer.send(LIST, &vec![7; 5_000_000]).unwrap();
    writer.end(&End::default()).unwrap();
    let found = unpacked(&out.0, 65_536);
    assert!(found.len() == 3 && found[0].1 == payload && found[1].1 == vec![7; 5_000_000]);
}

fn again(question: &Question) -> Question {
    Request::read(&serde_json::to_vec(question).unwrap()).unwrap().0
}

#[test]
fn requests_come_back() {
    let matchers = [Matcher::equal("a", "ü\"\n"), Matcher::new("b", MatchOp::NotRegex, "x|y.*").unwrap()];
    let select = MetricSelect { matchers: &matchers, start_ms: i64::MIN, end_ms: i64::MAX };
    let Question::Samples(back) = again(&Question::Samples(Metrics::of(&select))) else { panic!("another question") };
    back.with(|back| assert_eq!((back.matchers, back.start_ms, back.end_ms), (&matchers[..], i64::MIN, i64::MAX)));

    let lines = [
        LinePredicate::Contains(vec![0xff, 0]),
        LinePredicate::NotContains(b"b".to_vec()),
        LinePredicate::Matches(regex::bytes::Regex::new(r"(?i)a\d").unwrap()),
        LinePredicate::NotMatches(regex::bytes::Regex::new("^$").unwrap()),
    ];
    let mentions = [Mention { name: "trace_id", text: "abc" }];
    let select = LogSelect {
        matchers: &matchers,
        start_ns: 1,
        end_ns: i64::MAX,
        lines: &lines,
        fields: &matchers,
        mentions: &mentions,
        direction: Direction::Backward,
        rows_hint: Some(7),
    };
    let Question::Entries(back) = again(&Question::Entries(Logs::of(&select))) else { panic!("another question") };
    back.with(|back| assert_eq!(format!("{back:?}"), format!("{select:?}")));

    let attribute = |scope, test| SpanPredicate::Attribute { scope, key: "k".into(), test };
    let predicates = [
        SpanPredicate::All(vec![SpanPredicate::Root, SpanPredicate::Measured, SpanPredicate::Kind(SpanKind::Consumer)]),
        SpanPredicate::Any(vec![
            SpanPredicate::Service(ValueTest::is("s")),
            SpanPredicate::EventName(ValueTest::Present),
            SpanPredicate::Status(StatusCode::Error),
        ]),
        SpanPredicate::Name(ValueTest::Matches(regex::Regex::new("^(?s:a.b)$").unwrap())),
        SpanPredicate::DurationAtLeast(u64::MAX),
        SpanPredicate::DurationAtMost(1),
        attribute(AttributeScope::Link, ValueTest::Within { at_least: f64::NEG_INFINITY, at_most: 0.1 }),
        attribute(AttributeScope::Instrumentation, ValueTest::Present),
    ];
    let scan = SpanScan { fields: SpanFields::LEAST, ..SpanScan::whole(3, u64::MAX, &predicates) };
    let Question::Spans(back) = again(&Question::Spans(Spans::of(&scan))) else { panic!("another question") };
    let found: Vec<_> = back.predicates.iter().map(|p| p.0.clone()).collect();
    assert_eq!((found.as_slice(), back.fields.wanted(), back.end_ns), (&predicates[..], SpanFields::LEAST, u64::MAX));
}

#[test]
fn bad_requests_are_told_apart() {
    for (body, why) in [
        ("", "EOF"),
        ("{}", "missing field `ask`"),
        (r#"{"ask":"nonsense"}"#, "unknown variant `nonsense`"),
        (r#"{"ask":"samples","matchers":[["a","~","b"]],"start_ms":0,"end_ms":1}"#, "no such comparison"),
        (r#"{"ask":"samples","matchers":[["a","=~","("]],"start_ms":0,"end_ms":1}"#, "regex parse error"),
        (
            r#"{"ask":"traces","traces":[{"id":"xyz","spans":0,"digest":0}],"fields":{"attributes":null,"events":true,"links":true,"trace_state":true}}"#,
            "no trace id",
        ),
        (r#"{"ask":"totals","of":{"matchers":[],"start_ns":0,"end_ns":1},"step_ns":0}"#, "step_ns must be positive"),
        (
            r#"{"ask":"digests","of":{"matchers":[],"start_ns":0,"end_ns":1},"width_ns":-1}"#,
            "width_ns must be positive",
        ),
    ] {
        let error = Request::read(body.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{body}: {error}");
    }
    assert!(Request::read(&vec![b' '; 2 << 20]).unwrap_err().contains("at most"));
}

#[test]
fn rollups_travel() {
    let sample = |timestamp_ms, value| Sample { timestamp_ms, value };
    let rollup = |start_ms| Rollup {
        start_ms,
        count: 20,
        resets: 1,
        stale: start_ms > 0,
        sum: 1.5,
        min: -0.0,
        max: f64::INFINITY,
        first: sample(start_ms + 1, 0.1),
        last: sample(start_ms + 9, 0.2),
        increase: 3.0,
    };
    let series = |name: &str| SeriesSamples {
        labels: Labels::from_pairs([("__name__", name)]),
        timestamps_ms: vec![1, 9, 300_001],
        values: vec![0.1, 0.2, 5.0],
        rollups: vec![rollup(0), rollup(300_000)],
        ..SeriesSamples::default()
    };
    let mut out = Bytewise(Vec::new());
    let (mut frames, mut writer) = (FrameWriter::new(&mut out).unwrap(), SeriesWriter::default());
    for name in ["a", "b"] {
        writer.put(&series(name), &mut frames).unwrap();
    }
    writer.flush(&mut frames).unwrap();
    frames.end(&End::default()).unwrap();
    let found = unpacked(&out.0, 100);
    let frame = SeriesFrame::read(&found[0].1).unwrap();
    let mut back = SeriesSamples { labels: Labels::from_pairs([("__name__", "b")]), ..SeriesSamples::default() };
    frame.append(1, &mut back);
    assert_eq!(back, series("b"));
}

#[test]
fn digests_tell_sets_apart_and_not_orders() {
    let span = |id: u8, kind| SpanEntry { span_id: SpanId([id; 8]), kind, ..SpanEntry::default() };
    let (a, b, c) = (span(1, SpanKind::Client), span(2, SpanKind::Client), span(1, SpanKind::Server));
    assert_eq!(digest([&a, &b].into_iter()), digest([&b, &a].into_iter()));
    assert_ne!(digest([&a, &b].into_iter()), digest([&b, &c].into_iter()));
    assert_ne!(digest([&a].into_iter()), digest([&a, &a].into_iter()));
    let mut batch = bramble_storage::contract::spans_of(1, "s", 2, StatusCode::Ok);
    strip(&mut batch, &SpanFields { attributes: Some(vec!["n".into()]), ..SpanFields::LEAST });
    let keys: Vec<_> = batch.attributes(batch.spans[1].attributes).iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!((keys, batch.text(batch.spans[1].name)), (vec!["n".to_owned()], "op-2"));
}

#[test]
fn answer_order_is_rebuilt() {
    let mut indexed = Indexed::default();
    for (app, times) in [("b", &[1, 3, 3][..]), ("a", &[2, 3])] {
        indexed.rows.batch.start_stream(&mut [("app", app)]).unwrap();
        times.iter().for_each(|t| indexed.rows.batch.push_entry(*t, b"", &mut []).unwrap());
    }
    rows::order(&mut indexed.rows, Direction::Forward);
    assert_eq!(indexed.rows.order, [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2)]);
}
