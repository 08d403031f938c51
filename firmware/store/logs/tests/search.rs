//! What queries ask, over random data in heads, blocks and merged blocks, answered as the naive store answers:
//! matchers on labels that float and on metadata, tests on lines of all kinds, tallies, streams, hints.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::{LogBatch, MatchOp, Matcher};
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{
    Direction, LinePredicate, LogSelect, LogSink, LogSource, Mention, MetadataWanted, QueryContext, TallyRun,
};
use common::{Bench, Row, query};
use proptest::prelude::*;
use regex::bytes::Regex;

#[derive(Clone, Debug)]
struct Entry {
    stream: u8,
    timestamp_ns: i64,
    line: String,
    level: Option<String>,
    floating: Option<String>,
    plain: Option<String>,
    /// Under a name that is no id and does not float.
    note: Option<String>,
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(get|put|drop) /a/[0-9]{1,3} took 0?[0-9]{1,2}ms (ok|error|[a-c]{2}[0-9])",
        3 => r#"\{"level":"(info|warn|error)","id":"[0-9a-f]{16}","n":[0-9]{1,2},"msg":"(error: [a-c]{2}|all well|to [0-9])"\}"#,
        2 => "2026-11-19T00:00:0[0-9]Z node-[0-9] [0-9a-f]{8} up",
        1 => "[a-c]{0,6}",
        1 => "\u{4}[a-z ]{0,9}",
        1 => r#"\{"msg":"[a-c]{1,2}\\\\n[0-9]"\}"#,
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let metadata = (
        prop::option::of("(info|error)"),
        prop::option::weighted(0.3, "[ab][0-9]"),
        prop::option::weighted(0.3, "[ab][0-9]"),
        prop::option::weighted(0.2, "[ab][0-9]"),
    );
    (0u8..3, 0i64..60, line(), metadata).prop_map(|(stream, timestamp_ns, line, (level, floating, plain, note))| {
        Entry { stream, timestamp_ns, line, level, floating, plain, note }
    })
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Entry>),
    /// So many times over, so that groups have columns of their own.
    Many(Vec<Entry>),
    Flush,
    Merge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(entry(), 1..60).prop_map(Step::Write),
        1 => prop::collection::vec(entry(), 1..6).prop_map(Step::Many),
        2 => Just(Step::Flush),
        1 => Just(Step::Merge),
    ]
}

fn batch(entries: &[Entry], copies: i64) -> LogBatch {
    let mut batch = LogBatch::new();
    for entry in entries {
        let number = entry.stream.to_string();
        let mut labels = vec![("s", number.as_str()), ("env", if entry.stream == 0 { "dev" } else { "prod" })];
        if entry.stream == 2 {
            labels.push(("zone", "b1"));
        }
        batch.start_stream(&mut labels).unwrap();
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(entry.level.as_deref().map(|v| ("level", v)));
        pairs.extend(entry.floating.as_deref().map(|v| ("\u{1}trace_id", v)));
        pairs.extend(entry.plain.as_deref().map(|v| ("trace_id", v)));
        pairs.extend(entry.note.as_deref().map(|v| ("note", v)));
        for copy in 0..copies {
            batch.push_entry(entry.timestamp_ns + copy * 3, entry.line.as_bytes(), &mut pairs.clone()).unwrap();
        }
    }
    batch
}

fn filled(steps: &[Step]) -> (Bench, MemoryLogs) {
    let (bench, naive) = (Bench::new(), MemoryLogs::new());
    let first = Entry {
        stream: 0,
        timestamp_ns: 5,
        line: "first".into(),
        level: None,
        floating: Some("a0".into()),
        plain: None,
        note: None,
    };
    let write = |entries: &[Entry], copies| {
        bench.write(batch(entries, copies));
        naive.replay(&batch(entries, copies), 1);
    };
    // From then on both know that the label floats.
    write(&[first], 1);
    for step in steps {
        match step {
            Step::Write(entries) => write(entries, 1),
            Step::Many(entries) => write(entries, 40),
            Step::Flush => bench.flush(),
            Step::Merge => bench.merge(1 << 20),
        }
    }
    (bench, naive)
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

type Counted = Vec<(String, String, i64, u32)>;

fn tallied(source: &dyn LogSource, select: &LogSelect<'_>, wanted: MetadataWanted<'_>, bytes: bool) -> Counted {
    let mut counted = Counted::new();
    let mut each = |run: &TallyRun<'_>| {
        assert!(run.line_bytes.len() == if bytes { run.timestamps_ns.len() } else { 0 });
        for (at, &timestamp_ns) in run.timestamps_ns.iter().enumerate() {
            let bytes = run.line_bytes.get(at).copied().unwrap_or(0);
            counted.push((run.labels.to_string(), run.metadata.to_string(), timestamp_ns, bytes));
        }
        Ok(())
    };
    let context = QueryContext::unlimited();
    source.tally(select, wanted, bytes, &context, &mut each).unwrap();
    assert!(context.warnings().is_empty());
    counted.sort();
    counted
}

fn tests(needle: &str) -> Vec<Vec<LinePredicate>> {
    let contains = |text: &str| LinePredicate::Contains(text.as_bytes().to_vec());
    let not = |text: &str| LinePredicate::NotContains(text.as_bytes().to_vec());
    let matches = |text: &str| LinePredicate::Matches(Regex::new(text).unwrap());
    let no_match = |text: &str| LinePredicate::NotMatches(Regex::new(text).unwrap());
    vec![
        vec![],
        vec![contains(needle)],
        vec![not(needle)],
        vec![contains("error")],
        vec![contains("error"), not(needle), matches("e")],
        vec![matches("took [0-9]+ms (ok|error)"), no_match("^get")],
        vec![matches("(?i)ERROR|node-[0-3]")],
        vec![matches("[a-c]{2}[0-9]?$")],
        vec![contains("")],
    ]
}

fn matchers() -> Vec<Vec<Matcher>> {
    let of = |name: &str, op, value: &str| Matcher::new(name, op, value).unwrap();
    vec![
        vec![],
        vec![Matcher::equal("env", "prod")],
        vec![Matcher::equal("trace_id", "a1")],
        vec![of("trace_id", MatchOp::NotEqual, "a1"), Matcher::equal("env", "prod")],
        vec![of("trace_id", MatchOp::Regex, "b.")],
        vec![Matcher::equal("trace_id", "")],
        vec![Matcher::equal("zone", "b1")],
        vec![of("zone", MatchOp::NotEqual, "b1")],
        vec![Matcher::equal("level", "info")],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_tallies_and_streams_equal_the_naive_store(
        steps in prop::collection::vec(step(), 1..10),
        needle in prop_oneof![
            "[0-9]{1,2}", "[0-9a-f]{1,3}", "[a-c]{1,2}", "/a/[0-9]", "(ms (ok|e)|:0[0-9]Z n|well|node-[0-9])", "\"[:,]\"?"
        ],
        from in 0i64..70, len in 0i64..70,
    ) {
        let (bench, naive) = filled(&steps);
        let context = QueryContext::unlimited();
        for matchers in &matchers() {
            for lines in &tests(&needle) {
                for range in [(i64::MIN, i64::MAX), (from, from + len)] {
                    for direction in [Direction::Forward, Direction::Backward] {
                        let ours = sorted(query(&bench.store, matchers, lines, direction, range, &context));
                        prop_assert_eq!(ours, sorted(query(&naive, matchers, lines, direction, range, &context)));
                    }
                    let select =
                        LogSelect { matchers, lines, start_ns: range.0, end_ns: range.1, ..LogSelect::default() };
                    for (wanted, bytes) in [
                        (MetadataWanted::None, false),
                        (MetadataWanted::Only(&["level"]), true),
                        (MetadataWanted::Only(&["trace_id"]), false),
                        (MetadataWanted::All, true),
                    ] {
                        let ours = tallied(&bench.store, &select, wanted, bytes);
                        prop_assert_eq!(ours, tallied(&naive, &select, wanted, bytes));
                    }
                }
            }
            let ours = bench.store.streams(matchers, i64::MIN, i64::MAX, &context).unwrap();
            let theirs = naive.streams(matchers, i64::MIN, i64::MAX, &context).unwrap();
            prop_assert!(theirs.iter().all(|labels| ours.contains(labels)), "{:?} {:?}", ours, theirs);
            // Of streams whose entries may say otherwise, those without the label are enough to be listed.
            if matchers.iter().all(|m| !m.matches_absent()) {
                prop_assert_eq!(ours, theirs);
            }
        }
        prop_assert!(context.warnings().is_empty());
    }

    #[test]
    fn hints_leave_out_nothing_that_passes(
        steps in prop::collection::vec(step(), 1..8), value in "[ab][0-9]|info|error"
    ) {
        let (bench, naive) = filled(&steps);
        let context = QueryContext::unlimited();
        let all = sorted(query(&naive, &[], &[], Direction::Forward, (i64::MIN, i64::MAX), &context));
        for name in ["level", "trace_id", "zone", "s"] {
            let fields = [Matcher::equal(name, value.clone())];
            let select = LogSelect { fields: &fields, ..LogSelect::default() };
            let ours = rows(&bench.store, &select);
            prop_assert!(ours.iter().all(|row| all.contains(row)));
            let marked = format!("\u{1}{name}");
            let passes = |row: &&Row| {
                let metadata = bramble_signal::LabelsRef::from_encoded(&row.3);
                let stream = row.1.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
                stream.or(metadata.get(&marked)).or(metadata.get(name)) == Some(value.as_str())
            };
            prop_assert!(all.iter().filter(passes).all(|row| ours.contains(row)));
        }
    }

    #[test]
    fn what_lines_mention_or_entries_have_is_what_the_naive_store_says(
        steps in prop::collection::vec(step(), 1..8),
        texts in [text(), text()],
        names in [name(), name()],
        needle in prop_oneof![Just(None), "error|took|[0-9]|[a-c]{2}".prop_map(Some)],
    ) {
        let (bench, naive) = filled(&steps);
        let lines: Vec<LinePredicate> =
            needle.into_iter().map(|text| LinePredicate::Contains(text.into_bytes())).collect();
        let context = QueryContext::unlimited();
        let all = query(&naive, &[], &lines, Direction::Forward, (i64::MIN, i64::MAX), &context);
        let mentions = [0, 1].map(|n| Mention { name: names[n], text: &texts[n] });
        for mentions in [&mentions[..1], &mentions] {
            let wanted: Vec<&Row> = all.iter().filter(|row| mentions.iter().all(|m| has_or_mentions(m, row))).collect();
            for direction in [Direction::Forward, Direction::Backward] {
                let ours = sorted(rows(&bench.store, &LogSelect { lines: &lines, mentions, direction, ..LogSelect::default() }));
                // The store leaves out all that it may.
                prop_assert_eq!(ours.iter().collect::<Vec<_>>(), sorted_refs(&wanted), "{:?}", mentions);
            }
            // A store that has just started knows blocks only.
            let blocks = rows(&bench.reopened(), &LogSelect { lines: &lines, mentions, ..LogSelect::default() });
            prop_assert!(blocks.iter().all(|row| wanted.contains(&row)));
        }
    }
}

/// Of a stream with several groups, one of which has entries with more names than get columns of their own.
#[test]
fn each_group_tells_for_itself_whether_metadata_counts() {
    let bench = Bench::new();
    let line = |n: i64| format!(r#"{{"n":{n},"user":"u{}","text":"{}"}}"#, n % 7, "abcdefgh".repeat(20));
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("app", "a")]).unwrap();
    for n in 0..20_000 {
        let own = format!("name_{}", n % 60);
        let metadata: &[(&str, &str)] = match n {
            3 => &[("user", "odd")],
            4 => &[("guest", "odd")],
            9000 => &[("\u{1}user", "odd")],
            12_000 => &[("request_id", "r-1")],
            19_000.. => &[(own.as_str(), "odd")],
            _ => &[],
        };
        batch.push_entry(n, line(n).as_bytes(), &mut metadata.to_vec()).unwrap();
    }
    batch.push_entry(20_000, b"user odd", &mut []).unwrap();
    bench.write(batch);
    for flushed in [false, true] {
        if flushed {
            bench.flush();
        }
        let times = |mentions: &[(&str, &str)]| {
            let mentions: Vec<Mention<'_>> = mentions.iter().map(|&(name, text)| Mention { name, text }).collect();
            let found = rows(&bench.store, &LogSelect { mentions: &mentions, ..LogSelect::default() });
            found.into_iter().map(|row| row.0).collect::<Vec<_>>()
        };
        assert_eq!(times(&[("user", "odd")]), [3, 9000, 20_000]);
        assert_eq!(times(&[("request_id", "r-1")]), [12_000]);
        assert_eq!(times(&[("request_id", "r-2")]), []);
        assert_eq!(times(&[("name_17", "odd")]).len(), 17 + 1, "and the line that names it");
        assert_eq!(times(&[("user", "odd"), ("guest", "odd")]), [20_000]);
        assert_eq!(times(&[("user", "odd"), ("none", "u3")]), [3]);
        assert_eq!(times(&[("app", "a"), ("guest", "odd")]), [4, 20_000]);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ab][0-9]",
        2 => "[0-9]{1,2}|error|info|[a-c]{2}|/a/[0-9]",
        1 => "[0-9a-f]{16}",
        1 => Just("b1".to_owned()),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    // A floating label and an id, metadata that is none, a label of a stream, names that nobody has.
    prop::sample::select(vec!["trace_id", "trace_id", "level", "zone", "note", "s", "other_id"])
}

fn has_or_mentions(mention: &Mention<'_>, (_, labels, line, metadata): &Row) -> bool {
    let metadata = bramble_signal::LabelsRef::from_encoded(metadata);
    memchr::memmem::find(line, mention.text.as_bytes()).is_some()
        || line.contains(&b'\\')
        || labels.contains(&format!(r#"{}="{}""#, mention.name, mention.text))
        || metadata.get(mention.name) == Some(mention.text)
        || metadata.get(&format!("\u{1}{}", mention.name)) == Some(mention.text)
}

fn sorted_refs<'r>(rows: &[&'r Row]) -> Vec<&'r Row> {
    let mut rows = rows.to_vec();
    rows.sort();
    rows
}

fn rows(source: &dyn LogSource, select: &LogSelect<'_>) -> Vec<Row> {
    let context = QueryContext::unlimited();
    let (mut cursor, mut batch, mut found) = (source.select(select, &context).unwrap(), Default::default(), Vec::new());
    while cursor.next(&mut batch).unwrap() {
        let batch: &bramble_storage::LogRows = &batch;
        for stream in batch.batch.streams() {
            let labels = stream.labels().to_string();
            found.extend(
                stream
                    .entries()
                    .map(|e| (e.timestamp_ns, labels.clone(), e.line.to_vec(), e.metadata.as_bytes().to_vec())),
            );
        }
    }
    found
}
