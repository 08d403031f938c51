//! A histogram in a column of numbers is a NaN with a place in it. Nothing may ever calculate with that NaN: every
//! function, aggregation and operator is run over series of numbers, of histograms and of both, and no answer may hold
//! a NaN that came from such a one, or stand for a histogram that is not there.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bramble_query_promql::syntax::{ValueType, Variadic, find_function};
use bramble_query_promql::{Engine, EngineOptions, Value};
use bramble_signal::{BucketSpan, MetricBatch, NativeHistogram, ResetHint, SeriesSamples, is_histogram_marker};
use bramble_storage::QueryContext;
use bramble_storage::memory::MemoryMetrics;
use std::sync::Arc;

const FUNCTIONS: &str = "abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp \
    clamp_max clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv \
    double_exponential_smoothing exp first_over_time floor histogram_avg histogram_count histogram_fraction \
    histogram_quantile histogram_quantiles histogram_stddev histogram_stdvar histogram_sum hour idelta increase info \
    irate label_join label_replace last_over_time ln log10 log2 mad_over_time max_over_time min_over_time minute month \
    predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort sort_by_label \
    sort_by_label_desc sort_desc sqrt start_timestamp stddev_over_time stdvar_over_time sum_over_time tan tanh \
    timestamp ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time year";
const AGGREGATIONS: &str =
    "sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio";
const OPERATORS: &str = "+ - * / % ^ atan2 == != < <= > >= and or unless </ >/";

fn histogram(n: f64, custom: bool) -> NativeHistogram {
    NativeHistogram {
        schema: if custom { -53 } else { 0 },
        count: 3.0 * n,
        sum: 4.0 * n,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_counts: vec![n, 2.0 * n],
        custom_bounds: if custom { vec![1.0, 2.0] } else { Vec::new() },
        reset_hint: if n == 7.0 { ResetHint::Gauge } else { ResetHint::Unknown },
        ..NativeHistogram::default()
    }
}

/// `x`: a series of numbers, two of histograms, two of both, one that is counted from known times.
fn store() -> Arc<MemoryMetrics> {
    let store = MemoryMetrics::new();
    for (kind, le) in
        [("float", "1"), ("exponential", ""), ("custom", ""), ("mixed", "1"), ("late", "+Inf"), ("start", "")]
    {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "x"), ("kind", kind), ("le", le)]).unwrap();
        batch.set_start(if kind == "start" { 30_000 } else { 0 });
        for i in 0..20 {
            let n = f64::from(i % 9 + 1);
            match kind {
                "exponential" | "start" => batch.push_histogram(i64::from(i) * 60_000, histogram(n, false)),
                "custom" => batch.push_histogram(i64::from(i) * 60_000, histogram(n, true)),
                "mixed" if i % 3 == 1 => batch.push_histogram(i64::from(i) * 60_000, histogram(n, false)),
                "late" if i > 9 => batch.push_histogram(i64::from(i) * 60_000, histogram(n, true)),
                _ => batch.push_sample(i64::from(i) * 60_000, n),
            }
        }
        store.load(batch);
    }
    Arc::new(store)
}

fn call(name: &str) -> String {
    let function = find_function(name).unwrap();
    let argument = |t: &ValueType| match t {
        ValueType::Scalar => "0.5",
        ValueType::String => "\"kind\"",
        ValueType::Vector => "x",
        ValueType::Matrix => "x[5m]",
    };
    let mut args: Vec<&str> = function.args.iter().map(argument).collect();
    if name == "info" || name == "round" && function.variadic != Variadic::No {
        args.truncate(1);
    }
    if name == "label_replace" {
        args = vec!["x", "\"to\"", "\"$1\"", "\"kind\"", "\"(.*)\""];
    }
    format!("{name}({})", args.join(", "))
}

fn queries() -> Vec<String> {
    let words = |list: &'static str| list.split_whitespace();
    let mut queries: Vec<String> = words(FUNCTIONS).map(call).collect();
    for op in words(AGGREGATIONS) {
        let param = match op {
            "count_values" => "\"value\", ",
            "quantile" | "limit_ratio" => "0.5, ",
            "topk" | "bottomk" | "limitk" => "2, ",
            _ => "",
        };
        queries.extend(["", " by (kind)", " without (kind, le)"].map(|by| format!("{op}{by} ({param}x)")));
    }
    for op in words(OPERATORS) {
        queries.push(format!("x {op} on (kind, le) x"));
        queries.push(format!("x {op} ignoring (kind, le) group_left x{{kind=\"mixed\"}}"));
        if !["and", "or", "unless"].contains(&op) {
            queries.extend([
                format!("x {op} 2"),
                format!("2 {op} x"),
                format!("x {op} on (kind) fill (3) x offset 9m"),
            ]);
        }
        if ["==", "!=", "<", ">"].contains(&op) {
            queries.extend([format!("x {op} bool 2"), format!("x {op} bool on (kind, le) x offset 1m")]);
        }
    }
    for name in ["rate", "increase", "delta", "changes", "resets"] {
        queries.push(format!("{name}(x[5m] anchored)"));
        queries.push(format!("{name}(x[5m] smoothed)"));
        queries.push(format!("{name}(x[6m:90s])"));
    }
    queries.extend(
        ["-x", "+x", "x", "x smoothed", "x @ 300", "x offset 3m", "sum(rate(x[5m])) by (le) * 2"].map(str::to_owned),
    );
    queries
}

/// Bits of a NaN that was calculated with a marker: the processor keeps the payload and makes the NaN a quiet one.
fn comes_from_marker(value: f64) -> bool {
    value.is_nan() && value.to_bits() & 0x0000_4000_0000_0000 != 0 && !is_histogram_marker(value)
}

fn check(query: &str, series: &[SeriesSamples]) -> usize {
    for one in series {
        for value in &one.values {
            assert!(!comes_from_marker(*value), "{query}: {:x} in {}", value.to_bits(), one.labels);
            let missing = is_histogram_marker(*value) && one.histogram(*value).is_none();
            assert!(!missing, "{query}: no histogram in {}", one.labels);
        }
    }
    series.len()
}

#[test]
fn nothing_calculates_with_a_marker() {
    let (store, mut answered) = (store(), 0);
    for (newer, delayed) in [(false, false), (true, false), (true, true)] {
        let options =
            EngineOptions { newer_than_3_5: newer, delayed_name_removal: delayed, ..EngineOptions::default() };
        let engine = Engine::new(store.clone(), options);
        let context = QueryContext::unlimited();
        for query in queries() {
            let instant = engine.instant(&query, 600_000, None, &context);
            let range = engine.range(&query, 0, 1_500_000, 45_000, None, &context);
            for answer in [instant, range].into_iter().flatten() {
                match answer.value {
                    Value::Vector(series) | Value::Matrix(series) => answered += check(&query, &series).min(1),
                    Value::Scalar { value, .. } => assert!(!is_histogram_marker(value) && !comes_from_marker(value)),
                    Value::String { .. } => {}
                }
            }
        }
    }
    assert!(answered > 500, "most queries have an answer: {answered}");
}
