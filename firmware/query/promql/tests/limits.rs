//! Queries that want too much: deep trees, many samples, much memory, a client that went away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use bramble_query_promql::{Engine, EngineOptions, QueryError, Value};
use bramble_runtime::{Budget, BudgetName, Cancel};
use bramble_signal::MetricBatch;
use bramble_storage::QueryContext;
use bramble_storage::memory::MemoryMetrics;
use std::sync::Arc;

/// `series` counters with a sample every 15 s for `hours`.
fn store(series: usize, hours: i64) -> Arc<MemoryMetrics> {
    let store = MemoryMetrics::new();
    for i in 0..series {
        let mut batch = MetricBatch::new();
        let instance = i.to_string();
        batch.start_series(&mut [("__name__", "requests_total"), ("instance", &instance)]).unwrap();
        for t in 0..hours * 240 {
            batch.push_sample(t * 15_000, t as f64);
        }
        store.load(batch);
    }
    Arc::new(store)
}

#[test]
fn the_highest_trees_evaluate() {
    let engine = Engine::new(store(2, 1), EngineOptions::default());
    let context = QueryContext::unlimited();
    for query in
        ["requests_total + ".repeat(240) + "requests_total", "(".repeat(90) + "requests_total" + &")".repeat(90)]
    {
        let answer = engine.range(&query, 60_000, 120_000, 15_000, None, &context).unwrap();
        assert!(matches!(answer.value, Value::Matrix(m) if m.len() == 2));
    }
}

#[test]
fn samples_are_limited() {
    let options = EngineOptions { max_samples: 1000, ..EngineOptions::default() };
    let engine = Engine::new(store(20, 1), options);
    let context = QueryContext::unlimited();
    let error = engine.range("requests_total", 0, 3_600_000, 15_000, None, &context).unwrap_err();
    assert_eq!(error, QueryError::TooManySamples);
    // An aggregation passes series on one by one: 240 samples at a time.
    assert!(engine.range("sum(requests_total)", 0, 3_600_000, 15_000, None, &context).is_ok());
}

#[test]
fn absurd_resolutions_are_refused_before_they_cost() {
    let engine = Engine::new(store(1, 1), EngineOptions::default());
    let budget = Budget::standalone(BudgetName::Query, 10 << 20);
    let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
    let subquery = engine.instant("sum_over_time(requests_total[50y:1ms])", 3_600_000, None, &context);
    assert_eq!(subquery, Err(QueryError::TooManySamples));
    let range = engine.range("requests_total", 0, i64::MAX / 2, 1, None, &context);
    assert_eq!(range, Err(QueryError::TooManySamples));
    let wide = engine.range("vector(1)", 0, 20_000_000, 1, None, &context);
    assert!(matches!(wide, Err(QueryError::OverBudget(_))), "{wide:?}");
}

#[test]
fn memory_is_limited_and_given_back() {
    let budget = Budget::standalone(BudgetName::Query, 100_000);
    let engine = Engine::new(store(100, 1), EngineOptions::default());
    {
        let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
        let error = engine.range("requests_total", 0, 3_600_000, 15_000, None, &context).unwrap_err();
        assert!(matches!(error, QueryError::OverBudget(_)), "{error:?}");
        assert!(engine.range("sum(requests_total)", 0, 3_600_000, 15_000, None, &context).is_ok());
    }
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_client_that_went_away_stops_its_query() {
    let cancel = Cancel::new();
    let budget = Budget::standalone(BudgetName::Query, 1 << 20);
    let context = QueryContext::new(&budget, None, cancel.clone()).unwrap();
    let engine = Engine::new(store(1, 1), EngineOptions::default());
    cancel.cancel();
    assert_eq!(engine.instant("requests_total", 0, None, &context), Err(QueryError::Cancelled));
}

#[test]
fn a_day_of_rates() {
    let engine = Engine::new(store(22, 24), EngineOptions::default());
    let context = QueryContext::unlimited();
    let began = std::time::Instant::now();
    let answer = engine.range("rate(requests_total[5m])", 600_000, 86_000_000, 60_000, None, &context).unwrap();
    println!("rate over 22 series x 24 h at 60 s: {:?}", began.elapsed());
    let Value::Matrix(series) = answer.value else { panic!("no matrix") };
    assert_eq!((series.len(), series[0].values.len()), (22, 1424));
    assert!(series.iter().flat_map(|s| &s.values).all(|v| (v - 1.0 / 15.0).abs() < 1e-9));
}
