//! Measures over time against their definition, and that single spans are judged as within their traces.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;

use bramble_query_traceql::*;
use bramble_signal::StatusCode;
use bramble_storage::QueryContext;
use common::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn some_spans() -> impl Strategy<Value = Vec<Span>> {
    let one = (1u8..6, 0u8..4, 0u64..100, 0u64..1000, 0i64..5, any::<bool>());
    prop::collection::vec(one, 0..40).prop_map(|spans| {
        spans
            .into_iter()
            .enumerate()
            .map(|(at, (trace, service, start_s, duration_ms, n, failed))| Span {
                service,
                start_ns: start_s * SECOND_NS,
                duration_ns: duration_ms * 1_000_000,
                status: if failed { StatusCode::Error } else { StatusCode::Ok },
                ints: if n > 0 { vec![("n", n)] } else { Vec::new() },
                ..span(trace, at as u8 + 1, if at % 3 == 0 { 0 } else { at as u8 }, "x")
            })
            .collect()
    })
}

const STEP_S: u64 = 10;

fn options() -> MetricsOptions {
    MetricsOptions { start_ns: 0, end_ns: 100 * SECOND_NS, step_ns: Some(STEP_S * SECOND_NS) }
}

fn series(text: &str, spans: &[Span]) -> BTreeMap<String, BTreeMap<i64, f64>> {
    let found = measure(&parse(text).unwrap(), &store(spans), &options(), &QueryContext::unlimited()).unwrap();
    let labels = |s: &MetricSeries| s.labels.iter().map(|(k, v)| format!("{k}={v};")).collect();
    found.iter().map(|s| (labels(s), s.samples.iter().copied().filter(|(_, v)| *v != 0.0).collect())).collect()
}

/// Values by series and sample time.
type Gathered = BTreeMap<String, BTreeMap<i64, Vec<f64>>>;

fn gathered(spans: &[Span], label: impl Fn(&Span) -> String, value: impl Fn(&Span) -> Option<f64>) -> Gathered {
    let mut out = Gathered::new();
    for s in spans {
        let Some(value) = value(s) else { continue };
        let time_ms = (s.start_ns.div_ceil(STEP_S * SECOND_NS) * STEP_S * 1000) as i64;
        out.entry(label(s)).or_default().entry(time_ms).or_default().push(value);
    }
    out
}

fn reduced(gathered: Gathered, reduce: impl Fn(&[f64]) -> f64) -> BTreeMap<String, BTreeMap<i64, f64>> {
    let steps = |steps: BTreeMap<i64, Vec<f64>>| {
        steps.into_iter().map(|(time, values)| (time, reduce(&values))).filter(|(_, v)| *v != 0.0).collect()
    };
    gathered.into_iter().map(|(label, values)| (label, steps(values))).collect()
}

fn close(a: &BTreeMap<String, BTreeMap<i64, f64>>, b: &BTreeMap<String, BTreeMap<i64, f64>>) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((la, sa), (lb, sb))| {
            la == lb
                && sa.len() == sb.len()
                && sa.iter().zip(sb).all(|(x, y)| x.0 == y.0 && (x.1 - y.1).abs() <= 1e-9 * x.1.abs())
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn as_defined(spans in some_spans()) {
        let service = |s: &Span| format!("resource.service.name=s{};", s.service);
        let duration = |s: &Span| Some(s.duration_ns as f64 / 1e9);
        let n = |s: &Span| s.ints.first().map(|(_, n)| *n as f64);
        let by = "by (resource.service.name)";
        let cases = [
            (format!("{{}} | count_over_time() {by}"), reduced(gathered(&spans, service, |_| Some(1.0)), |v| v.len() as f64)),
            (format!("{{}} | rate() {by}"), reduced(gathered(&spans, service, |_| Some(1.0)), |v| v.len() as f64 / STEP_S as f64)),
            (format!("{{}} | sum_over_time(duration) {by}"), reduced(gathered(&spans, service, duration), |v| v.iter().sum())),
            (format!("{{}} | avg_over_time(span.n) {by}"), reduced(gathered(&spans, service, n), |v| v.iter().sum::<f64>() / v.len() as f64)),
            (format!("{{}} | max_over_time(span.n) {by}"), reduced(gathered(&spans, service, n), |v| v.iter().copied().fold(f64::MIN, f64::max))),
            (format!("{{}} | min_over_time(duration) {by}"), reduced(gathered(&spans, service, duration), |v| v.iter().copied().fold(f64::MAX, f64::min))),
        ];
        for (text, wanted) in cases {
            let got = series(&text, &spans);
            prop_assert!(close(&got, &wanted), "{}: {:?} is not {:?}", text, got, wanted);
        }
    }

    /// A test that is always true and looks at the trace makes the store give whole traces: nothing else may change.
    #[test]
    fn single_spans_are_judged_as_in_their_traces(spans in some_spans()) {
        for filter in ["status = error", "span.n > 2 || duration > 500ms", "nestedSetParent < 0", "!(span.n = 1)", "span.n = nil"] {
            let alone = format!("{{ {filter} }} | count_over_time() by (resource.service.name, status)");
            let within = format!("{{ ({filter}) && traceDuration >= 0 }} | count_over_time() by (resource.service.name, status)");
            prop_assert_eq!(series(&alone, &spans), series(&within, &spans), "{}", filter);
            let traces = store(&spans);
            let (alone, within) = (format!("{{ {filter} }}"), format!("{{ ({filter}) && traceDuration >= 0 }}"));
            prop_assert_eq!(found(&alone, &traces), found(&within, &traces), "{}", filter);
        }
    }

    #[test]
    fn quantiles_and_buckets_hold_all_values(spans in some_spans()) {
        let counted: f64 = series("{ duration > 0 } | histogram_over_time(duration)", &spans).values().flat_map(BTreeMap::values).sum();
        prop_assert_eq!(counted as usize, spans.iter().filter(|s| s.duration_ns > 0).count());
        for samples in series("{ duration > 1ms } | quantile_over_time(duration, 0.5, 1)", &spans).values() {
            prop_assert!(samples.values().all(|v| (0.001..=1.1).contains(v)));
        }
    }
}

#[test]
fn compared_values_have_totals() {
    let spans: Vec<Span> = (1..=20u8)
        .map(|id| Span {
            start_ns: u64::from(id) * SECOND_NS,
            status: if id > 15 { StatusCode::Error } else { StatusCode::Ok },
            texts: vec![("node", ["a", "b", "c", "d"][usize::from(id) % 4])],
            ..span(1, id, 0, "x")
        })
        .collect();
    let got = series("{} | compare({ status = error }, 2)", &spans);
    let sum =
        |kind: &str, label: &str| got.get(&format!("__meta_type={kind};{label};")).map(|s| s.values().sum::<f64>());
    assert_eq!(sum("selection_total", "span.node=nil"), Some(5.0));
    assert_eq!(sum("baseline_total", "span.node=nil"), Some(15.0));
    assert_eq!(sum("selection", "status=error"), Some(5.0));
    assert_eq!(sum("selection", "status=ok"), None);
    // Only the two values with the most spans: of ids 1 to 15, `a` has three and the others four.
    assert_eq!((sum("baseline", "span.node=a"), sum("baseline", "span.node=b")), (None, Some(4.0)));
    // Spans outside of the window are never selected.
    let window = format!("{{}} | compare({{ status = error }}, 5, 1, {})", 17 * SECOND_NS);
    let got = series(&window, &spans);
    assert_eq!(got["__meta_type=selection;status=error;"].values().sum::<f64>(), 2.0);
    assert_eq!(got["__meta_type=baseline;status=error;"].values().sum::<f64>(), 3.0);
}

#[test]
fn exemplars_point_to_spans_and_are_few() {
    let spans: Vec<Span> =
        (1..=200u8).map(|id| Span { start_ns: u64::from(id) * SECOND_NS / 2, ..span(id, 1, 0, "x") }).collect();
    let traces = store(&spans);
    let exemplars = |text: &str, asked| {
        let query = parse(text).unwrap();
        let found =
            measure_with(&query, &traces, &options(), asked, &QueryContext::unlimited(), &mut |_| true).unwrap();
        found.series.into_iter().flat_map(|s| s.exemplars).collect::<Vec<_>>()
    };
    assert_eq!(exemplars("{} | rate()", None).len(), 0);
    assert!((1..=5).contains(&exemplars("{} | rate()", Some(5)).len()));
    assert_eq!(exemplars("{} | rate() with(exemplars=false)", Some(5)).len(), 0);
    let found = exemplars("{} | max_over_time(duration) by (name) with(exemplars=true)", None);
    assert!((5..=100).contains(&found.len()), "{}", found.len());
    for exemplar in &found {
        let Some((name, Value::Text(id))) = exemplar.labels.first() else { panic!("no trace id") };
        assert_eq!((name.as_str(), id.len(), exemplar.value), ("trace:id", 32, 0.001));
    }
}

#[test]
fn series_are_filtered_and_ranked() {
    let spans: Vec<Span> =
        (0..10u8).map(|at| Span { start_ns: 5 * SECOND_NS, service: at % 4, ..span(1, at + 1, 0, "x") }).collect();
    let names = |text: &str| series(text, &spans).into_keys().collect::<Vec<_>>();
    let label = |n: u8| format!("resource.service.name=s{n};");
    let by = "{} | count_over_time() by (resource.service.name)";
    assert_eq!(names(&format!("{by} > 2")), [label(0), label(1)]);
    assert_eq!(series(&format!("{by} | topk(1)"), &spans).get(&label(0)).map(BTreeMap::len), Some(1));
    assert!(names(&format!("{by} | bottomk(2)")).contains(&label(3)));
}
