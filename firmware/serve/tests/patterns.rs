//! Every line is accepted by the pattern that it is counted under: the store's patterns against LogQL's `|>`.
#![allow(clippy::unwrap_used, reason = "test code")]

use bramble_disk::{PageCache, ThreadsDisk};
use bramble_query_logql::eval::EntryTest;
use bramble_query_logql::syntax::quote;
use bramble_query_logql::{Expr, parse};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::{Labels, LabelsRef, LogBatch, LogEntry};
use bramble_storage::{BlockId, BlockStore, LogSelect, LogSink, LogSource, QueryContext};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use proptest::prelude::*;
use std::sync::Arc;

fn store(directory: &std::path::Path) -> LogStore {
    let budgets = LogBudgets {
        head: Budget::standalone(BudgetName::LogHead, 16 << 20),
        merge: Budget::standalone(BudgetName::Merge, 64 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
    };
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 16 << 20)));
    let disk = Arc::new(ThreadsDisk::new(directory).unwrap());
    let clock = Arc::new(ManualClock::new(0));
    LogStore::new(disk, cache, clock, budgets, LogLimits::default(), &prometheus::Registry::new()).unwrap()
}

/// Each line in a stream of its own, so that the pattern of its stream is its own.
fn push(store: &LogStore, lines: &[String]) {
    let mut batch = LogBatch::new();
    for (at, line) in lines.iter().enumerate() {
        batch.start_stream(&mut [("n", &at.to_string())]).unwrap();
        batch.push_entry(at as i64, line.as_bytes(), &mut []).unwrap();
    }
    let prepared = store.prepare(batch, 0).unwrap();
    store.apply(prepared, 1);
}

fn check(store: &LogStore, lines: &[String]) -> Result<(), TestCaseError> {
    let context = QueryContext::unlimited();
    let found = store.templates(&LogSelect::default(), 1000, 10_000, &context).unwrap();
    for template in &found {
        let at: usize = template.labels.get("n").unwrap().parse().unwrap();
        let query = format!("{{n=\"{at}\"}} |> {}", quote(&template.pattern));
        let parsed = parse(&query).map_err(|e| TestCaseError::fail(format!("{query}: {e}")))?;
        let Expr::Log(expr) = parsed else { return Err(TestCaseError::fail("not a log query")) };
        let test = EntryTest::new(&expr).map_err(|e| TestCaseError::fail(format!("{query}: {e}")))?;
        let entry = LogEntry { timestamp_ns: 0, line: lines[at].as_bytes(), metadata: LabelsRef::EMPTY };
        let labels = Labels::from_pairs([("n", at.to_string().as_str())]);
        prop_assert!(test.accepts(labels.as_ref(), &entry), "{query} refuses {:?}", lines[at]);
    }
    let splittable = |line: &&String| !line.is_empty() && !line.bytes().any(|b| (1..=8).contains(&b));
    prop_assert!(found.len() >= lines.iter().filter(splittable).count() * 9 / 10);
    Ok(())
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab1:. <>_=-]{1,30}",
        "(<[a-z_]{0,3}>|[0-9]{1,3}|ms|[ =\"]){0,8}",
        r#"\{"level":"(info|warn|\}x)","msg":"[a-z\\n}, ]{0,12}","n":[0-9]{1,4}(\.[0-9]{1,3})?\}"#,
        r#"level=(info|warn) msg="[a-z =]{0,9}" took=[0-9]{1,3}ms id=[0-9a-f]{8,16}"#,
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(-|ab| x)",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z [A-Z]{3,5} [ .Z]{0,3}",
        "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn patterns_accept_their_lines(lines in prop::collection::vec(line(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        push(&store, &lines);
        check(&store, &lines)?;
        prop_assert!(store.freeze(10));
        let mut next = 0;
        let blocks = store.write_frozen(&mut || { next += 1; BlockId(next) }).unwrap();
        store.swap(&blocks, &[], true).unwrap();
        check(&store, &lines)?;
    }
}
