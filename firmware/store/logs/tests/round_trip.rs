//! Exactly the bytes that were pushed come back: from the head, from blocks, after a merge and after a start.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::LogBatch;
use common::{Bench, Row, everything};
use proptest::prelude::*;
use std::collections::BTreeSet;

const HOUR_NS: i64 = 3_600_000_000_000;

/// One line in many shapes: what templates take apart, and what looks like it.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let text = |pattern: &'static str| pattern.prop_map(String::into_bytes);
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..60),
        1 => Just(Vec::new()),
        1 => (any::<u8>(), 60_000usize..70_000).prop_map(|(byte, bytes)| vec![byte; bytes]),
        2 => text("(\u{1}|\u{8}|é|\u{7f}|[0-9a-f]|[ -~]){0,40}"),
        3 => text(r#" ?\{ ?"(level|id|t)" ?: ?"(info|warn|[0-9a-f]{16}|a\\"b)" ?, ?"n": ?-?0?[0-9]{1,20}(\.[0-9]{0,3}|e5)?\} ?"#),
        3 => text(r#"(level|lvl)=(info|"two words"|"a=\\"b\\"") {1,3}(took|id)=0{0,2}[0-9]{1,4}(ms|us|[a-f0-9]{12})?( trailing=)?"#),
        2 => text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,10})?(Z|\+01:00)? \[[0-9]{1,5}\] (GET|PUT) /a/[0-9a-z]{1,9}"),
        1 => text("[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}[0-9a-z]?"),
    ]
}

/// Lines of one shape that differ in a number, so that templates get columns of their own.
fn repeated(line: Vec<u8>, times: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..times).map(move |n| {
        let mut line = line.clone();
        if n % 3 > 0 && line.len() < 1000 {
            line.extend_from_slice(format!(" {n}").as_bytes());
        }
        line
    })
}

type Pushed = (i64, u8, Vec<u8>, Vec<(String, String)>);

fn entries() -> impl Strategy<Value = Vec<Pushed>> {
    // Names of floating labels start with a mark; a value may be part of the line.
    let pairs =
        prop::collection::btree_map("(\u{1}?(trace_id|order))|level|[a-z]{1,3}", "[0-9a-f]{0,33}|info|\u{1}é", 0..4);
    let entry = (-30 * HOUR_NS..30 * HOUR_NS, 0u8..3, line(), pairs, 1usize..40, any::<bool>());
    prop::collection::vec(entry, 1..24).prop_map(|entries| {
        let mut all = Vec::new();
        for (time, stream, line, pairs, times, take_id) in entries {
            for (n, line) in repeated(line, times).enumerate() {
                let mut pairs: Vec<(String, String)> = pairs.clone().into_iter().collect();
                if take_id
                    && let Some(word) =
                        std::str::from_utf8(&line).ok().and_then(|l| l.split([' ', '"', '=']).nth(n % 4))
                {
                    pairs.retain(|(name, _)| name != "word");
                    pairs.push(("word".to_owned(), word.to_owned()));
                }
                // Some at one time, some spread, none in order.
                all.push((time + (n as i64 * 7919 % 13) * HOUR_NS / 1000, stream, line, pairs));
            }
        }
        all
    })
}

fn push(bench: &Bench, entries: &[Pushed]) {
    let mut batch = LogBatch::new();
    for (time, stream, line, pairs) in entries {
        batch.start_stream(&mut [("s", &stream.to_string())]).unwrap();
        let mut pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        batch.push_entry(*time, line, &mut pairs).unwrap();
    }
    bench.write(batch);
}

fn wanted(entries: &[Pushed]) -> BTreeSet<Row> {
    let row = |(time, stream, line, pairs): &Pushed| {
        let mut metadata = Vec::new();
        let mut pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        bramble_signal::labels::encode(&mut pairs, &mut metadata).unwrap();
        (*time, format!("{{s=\"{stream}\"}}"), line.clone(), metadata)
    };
    entries.iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes_come_back(parts in prop::collection::vec(entries(), 1..4), target_bytes in prop_oneof![Just(1u64), Just(1 << 20)]) {
        let bench = Bench::new();
        let mut all = Vec::new();
        for part in &parts {
            push(&bench, part);
            // Again: each equal entry counts once.
            push(&bench, &part[..part.len() / 2]);
            all.extend_from_slice(part);
            let wanted = wanted(&all);
            let check = |found: Vec<Row>, stage: &str| {
                prop_assert_eq!(found.len(), wanted.len(), "{}", stage);
                prop_assert!(found.is_sorted_by_key(|row| row.0), "{}", stage);
                prop_assert!(found.into_iter().eq(wanted.iter().cloned()) || everything(&bench.store).into_iter().collect::<BTreeSet<_>>() == wanted, "{}", stage);
                Ok(())
            };
            check(everything(&bench.store), "head")?;
            bench.flush();
            check(everything(&bench.store), "blocks")?;
        }
        bench.merge(target_bytes);
        let wanted = wanted(&all);
        let found = everything(&bench.reopened());
        prop_assert_eq!(found.len(), wanted.len());
        prop_assert!(found.into_iter().collect::<BTreeSet<Row>>() == wanted);
    }
}
