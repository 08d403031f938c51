//! Log entries of which parts are here and there.

use super::contract::split_logs;
use super::{Hub, counted_peers, peers};
use crate::merge::MergedLogs;
use bramble_signal::{LogBatch, MatchOp, Matcher};
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{
    Direction, LinePredicate, LogCursor, LogRows, LogSelect, LogSink, LogSource, MetadataWanted, QueryContext,
    ReadError,
};
use proptest::prelude::*;
use std::sync::Arc;

type Row = (i64, String, Vec<u8>, String);

fn all(source: &dyn LogSource, select: &LogSelect<'_>) -> Vec<Row> {
    let context = QueryContext::unlimited();
    let mut cursor = source.select(select, &context).unwrap();
    let (mut found, mut rows) = (Vec::new(), LogRows::default());
    while cursor.next(&mut rows).unwrap() {
        assert!(!rows.order.is_empty());
        for &(stream, entry) in &rows.order {
            let stream = rows.batch.stream(stream as usize);
            let entry = stream.entries().nth(entry as usize).unwrap();
            let labels = stream.labels().to_string();
            found.push((entry.timestamp_ns, labels, entry.line.to_vec(), entry.metadata.to_string()));
        }
    }
    assert_eq!(context.warnings(), [""; 0]);
    found
}

/// Entries of one stream and time stand in order of arrival, which two hubs need not agree on.
fn settled(mut rows: Vec<Row>) -> Vec<Row> {
    for group in rows.chunk_by_mut(|a, b| (a.0, &a.1) == (b.0, &b.1)) {
        group.sort();
    }
    rows
}

fn batch(entries: &[(u8, i64, u8, bool)]) -> LogBatch {
    let mut batch = LogBatch::new();
    for (stream, at, line, metadata) in entries {
        let name = format!("app-{stream}");
        batch.start_stream(&mut [("app", &name)]).unwrap();
        let line = format!("line {line} of \u{fffd}").into_bytes();
        let mut metadata = if *metadata { vec![("user", "x")] } else { Vec::new() };
        batch.push_entry(*at, &line, &mut metadata).unwrap();
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn a_split_answers_as_the_whole(
        entries in prop::collection::vec((0..4u8, 0..12i64, 0..5u8, any::<bool>()), 0..120),
        seed in any::<u64>(),
        three in any::<bool>(),
        backward in any::<bool>(),
    ) {
        let whole = MemoryLogs::new();
        let written = batch(&entries);
        whole.replay(&written, 1);
        let [here, there] = split_logs(seed, &written);
        let (ours, theirs, thirds) = (Arc::new(Hub::default()), Arc::new(Hub::default()), Arc::new(Hub::default()));
        ours.logs.replay(&here, 1);
        theirs.logs.replay(&there, 1);
        thirds.logs.replay(&there, 1);
        let hubs = if three { vec![theirs, thirds] } else { vec![theirs] };
        let merged = MergedLogs::new(ours.logs.clone(), peers(&hubs));
        let matchers = [Matcher::new("app", MatchOp::NotRegex, "app-3").unwrap()];
        let lines = [LinePredicate::NotContains(b"2".to_vec()), LinePredicate::Matches(regex::bytes::Regex::new("line [0-3]").unwrap())];
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        for select in [
            LogSelect { direction, ..LogSelect::default() },
            LogSelect { matchers: &matchers, lines: &lines, start_ns: 2, end_ns: 9, direction, ..LogSelect::default() },
        ] {
            let (found, expected) = (all(&merged, &select), all(&whole, &select));
            let keys = |rows: &[Row]| rows.iter().map(|row| (row.0, row.1.clone())).collect::<Vec<_>>();
            prop_assert_eq!(keys(&found), keys(&expected));
            prop_assert_eq!(settled(found), settled(expected));
            let context = QueryContext::unlimited();
            let streams = |source: &dyn LogSource| source.streams(select.matchers, select.start_ns, select.end_ns, &context).unwrap();
            prop_assert_eq!(streams(&merged), streams(&whole));
            let count = |source: &dyn LogSource| {
                let mut count = (0, 0u64);
                let mut each = |run: &bramble_storage::TallyRun<'_>| {
                    count.0 += run.timestamps_ns.len();
                    count.1 += run.line_bytes.iter().map(|n| u64::from(*n)).sum::<u64>();
                    Ok::<_, ReadError>(())
                };
                source.tally(&select, MetadataWanted::None, true, &context, &mut each).unwrap();
                count
            };
            prop_assert_eq!(count(&merged), count(&whole));
        }
        let context = QueryContext::unlimited();
        let totals = |source: &dyn LogSource| {
            let found = source.totals(&[], 0, 12, &context).unwrap();
            found.into_iter().map(|t| (t.labels, t.entries, t.bytes)).collect::<Vec<_>>()
        };
        prop_assert_eq!(totals(&merged), totals(&whole));
        let steps = |source: &dyn LogSource| source.totals_by_step(&[], 0, 12, 5, &context).unwrap();
        prop_assert_eq!(steps(&merged), steps(&whole));
    }
}

/// A source that keeps equal entries as often as it was told of them.
struct Twice(Vec<(i64, &'static [u8])>);

struct Once(Option<LogRows>);

impl LogCursor for Once {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        out.clear();
        Ok(self.0.take().map(|rows| *out = rows).is_some())
    }
}

impl LogSource for Twice {
    fn select<'a>(&'a self, _: &LogSelect<'_>, _: &'a QueryContext) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        let mut rows = LogRows::default();
        rows.batch.start_stream(&mut [("app", "a")]).unwrap();
        for (at, (time, line)) in self.0.iter().enumerate() {
            rows.batch.push_entry(*time, line, &mut []).unwrap();
            rows.order.push((0, at as u32));
        }
        Ok(Box::new(Once(Some(rows))))
    }

    fn streams(
        &self,
        _: &[Matcher],
        _: i64,
        _: i64,
        _: &QueryContext,
    ) -> Result<Vec<bramble_signal::Labels>, ReadError> {
        Ok(Vec::new())
    }
}

#[test]
fn equal_entries_within_one_hub_are_all_there() {
    let theirs = Arc::new(Hub::default());
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("app", "a")]).unwrap();
    for line in [&b"same"[..], b"other"] {
        batch.push_entry(5, line, &mut []).unwrap();
    }
    theirs.logs.replay(&batch, 1);
    let ours = Twice(vec![(1, b"same"), (5, b"same"), (5, b"same"), (5, b"same"), (6, b"same")]);
    let merged = MergedLogs::new(Arc::new(ours), peers(&[theirs]));
    let lines: Vec<_> = all(&merged, &LogSelect::default()).into_iter().map(|row| (row.0, row.2)).collect();
    let same = |t| (t, b"same".to_vec());
    assert_eq!(lines, [same(1), same(5), same(5), same(5), (5, b"other".to_vec()), same(6)]);
}

#[test]
fn many_frames_are_one_answer() {
    let (ours, theirs) = (Arc::new(Hub::default()), Arc::new(Hub::default()));
    for (hub, from) in [(&ours, 0), (&theirs, 1000)] {
        let mut batch = LogBatch::new();
        for at in from..from + 2000i64 {
            let name = format!("app-{}", at % 3);
            batch.start_stream(&mut [("app", &name)]).unwrap();
            batch.push_entry(at, format!("{at} {}", "x".repeat(200)).as_bytes(), &mut []).unwrap();
        }
        hub.logs.replay(&batch, 1);
    }
    let merged = MergedLogs::new(ours.logs.clone(), peers(&[theirs]));
    for direction in [Direction::Forward, Direction::Backward] {
        let mut times: Vec<_> =
            all(&merged, &LogSelect { direction, ..LogSelect::default() }).into_iter().map(|row| row.0).collect();
        if direction == Direction::Backward {
            times.reverse();
        }
        assert_eq!(times, (0..3000).collect::<Vec<_>>());
    }
}

/// Counting lines that both hubs have moves next to nothing; of what differs, the stretch around it travels.
#[test]
fn what_is_the_same_need_not_travel_to_be_counted() {
    let (ours, theirs) = (Arc::new(Hub::default()), Arc::new(Hub::default()));
    for hub in [&ours, &theirs] {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("app", "a")]).unwrap();
        for at in 0..20_000i64 {
            let line = format!("{:x} {:x}", crate::spans::mixed(at as u64), at * 7919);
            batch.push_entry(at, line.as_bytes(), &mut []).unwrap();
        }
        hub.logs.replay(&batch, 1);
    }
    let (others, sent_bytes) = counted_peers(std::slice::from_ref(&theirs));
    let merged = MergedLogs::new(ours.logs.clone(), others);
    let count = || {
        let (mut count, context) = (0, QueryContext::unlimited());
        let mut each = |run: &bramble_storage::TallyRun<'_>| {
            count += run.timestamps_ns.len();
            Ok(())
        };
        let select = LogSelect { start_ns: 0, end_ns: 20_000, ..LogSelect::default() };
        merged.tally(&select, MetadataWanted::None, false, &context, &mut each).unwrap();
        (count, sent_bytes.swap(0, std::sync::atomic::Ordering::Relaxed))
    };
    let (counted, bytes) = count();
    assert!(counted == 20_000 && bytes < 15_000, "{counted} {bytes}");
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("app", "b")]).unwrap();
    batch.push_entry(777, b"only there", &mut []).unwrap();
    theirs.logs.replay(&batch, 1);
    let (counted, bytes) = count();
    assert!(counted == 20_001 && bytes < 20_000, "{counted} {bytes}");
}
