//! The step `batch` behind pipelines.

use super::*;

#[test]
fn requests_are_gathered_behind_all_pipelines() {
    let bench = Bench::new(
        r#"
- { name: all, steps: [{ batch: { send_batch_size: 3, timeout: 1s } }] }
- { name: noise, signals: [logs], steps: [{ drop: { line: noise } }] }
"#,
    );
    let told: Arc<Mutex<Vec<u64>>> = Arc::default();
    let write = |lines: &[&str]| {
        let mut logs = LogBatch::new();
        logs.start_stream(&mut [("app", "web")]).unwrap();
        lines.iter().for_each(|line| logs.push_entry(1, line.as_bytes(), &mut []).unwrap());
        let (held, told) = (bench.budget.reserve(logs.memory_bytes()).unwrap(), told.clone());
        let done: Done = Box::new(move |outcome| told.lock().push(outcome.unwrap().accepted));
        bench.pipelines.write_logs(logs, held, Urgency::SenderWaits, done);
    };
    write(&["one", "noise"]);
    write(&["two"]);
    assert!(bench.store.0.batches.lock().is_empty() && told.lock().is_empty());
    write(&["three"]);
    assert_eq!(bench.stored_logs().len(), 3);
    assert_eq!(*told.lock(), [2, 1, 1], "what was dropped was wanted");
    assert_eq!(bench.counted("bramble_pipeline_batches_total", &[("signal", "logs"), ("reason", "size")]), 1);
    // Other pipelines take over what waits.
    write(&["four"]);
    bench.pipelines.replace(&options("", false)).unwrap();
    assert_eq!((bench.stored_logs().len(), told.lock().len()), (1, 4));
    write(&["five"]);
    assert_eq!(told.lock().len(), 5);
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_gathers_hands_on_in_time() {
    let bench = Bench::new("[{ name: all, steps: [{ batch: { timeout: 50ms } }] }]");
    let cancel = bramble_runtime::Cancel::new();
    let running = tokio::spawn(bench.pipelines.clone().run(cancel.clone()));
    let (told, hears) = tokio::sync::oneshot::channel();
    let mut logs = LogBatch::new();
    logs.start_stream(&mut [("app", "web")]).unwrap();
    logs.push_entry(1, b"line", &mut []).unwrap();
    let held = bench.budget.reserve(logs.memory_bytes()).unwrap();
    let done: Done = Box::new(move |outcome| drop(told.send(outcome)));
    bench.pipelines.write_logs(logs, held, Urgency::SenderWaits, done);
    tokio::task::yield_now().await;
    assert!(bench.store.0.batches.lock().is_empty());
    bench.clock.advance_ns(50_000_000);
    assert_eq!(hears.await.unwrap().unwrap().accepted, 1);
    running.abort();
}

#[test]
fn batches_are_of_whole_signals() {
    let said = |yaml: &str| {
        let budget = Budget::standalone(BudgetName::Receive, 1 << 20);
        let clock = Arc::new(ManualClock::new(1));
        match Pipelines::new(StoreRef::default(), &options(yaml, false), budget, clock, &Registry::new()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    let with_match = said("[{ name: a, match: '{app=\"web\"}', steps: [{ batch: {} }] }]");
    assert!(with_match.starts_with("pipeline \"a\", steps[0].batch: it is the last step"), "{with_match}");
    assert!(said("[{ name: a, steps: [{ batch: {} }, { drop: { line: x } }] }]").contains("last step"));
    let twice = said("[{ name: a, signals: [logs], steps: [{ batch: {} }] }, { name: b, steps: [{ batch: {} }] }]");
    assert!(twice.contains("logs are gathered already"), "{twice}");
    assert!(
        said("[{ name: a, steps: [{ batch: { send_batch_size: 0 } }] }]").contains("steps[0].batch.send_batch_size")
    );
}
