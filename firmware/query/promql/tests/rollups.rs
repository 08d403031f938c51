//! Answers from rollups against answers from full resolution: what docs/storage.md promises, over the real store.
#![allow(clippy::unwrap_used, reason = "test code: what is unwrapped is made a few lines before")]

#[allow(dead_code, reason = "other test programs use the rest")]
mod stores;

use bramble_query_promql::{Answer, Engine, EngineOptions, Value};
use bramble_signal::{BucketSpan, Labels, MetricBatch, NativeHistogram, stale_marker};
use bramble_storage::QueryContext;
use proptest::prelude::*;
use std::collections::BTreeMap;
use stores::Bench;

/// Midnight between the day with rollups and the next, which has none.
const MIDNIGHT: i64 = 20_000 * 86_400_000;
const WIDTH: i64 = 300_000;
const HOUR: i64 = 3_600_000;
/// Samples begin and end so far from midnight.
const SPAN: i64 = 3 * HOUR;

/// What a scrape of one target brings.
#[derive(Clone, Debug)]
struct Scrapes {
    times: Vec<i64>,
    /// Per scrape: whether the target was gone, how much work was done, a random number.
    steps: Vec<(bool, u32, u32)>,
    resets: u32,
}

fn scrapes() -> impl Strategy<Value = Scrapes> {
    let interval = prop_oneof![Just(15_000i64), Just(60_000)];
    (interval, 0i64..2_000, any::<u64>(), 0u32..4, prop_oneof![Just(0u32), Just(200)]).prop_map(
        |(interval, jitter_ms, seed, gaps, resets)| {
            let mut state = seed | 1;
            let mut random = move |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let (mut times, mut steps) = (Vec::new(), Vec::new());
            let mut t = MIDNIGHT - SPAN + random(interval as u64) as i64;
            while t < MIDNIGHT + SPAN {
                if random(1000) < u64::from(gaps) * 5 {
                    // Gone: marked as stale or not, for up to half an hour.
                    if random(2) == 0 {
                        times.push(t);
                        steps.push((true, 0, 0));
                    }
                    t += interval + random(1_800_000) as i64 / interval * interval;
                }
                times.push(t + if jitter_ms > 0 { random(jitter_ms as u64) as i64 } else { 0 });
                steps.push((false, random(50) as u32, random(1000) as u32));
                t += interval;
            }
            Scrapes { times, steps, resets }
        },
    )
}

fn batch(scrapes: &Scrapes) -> MetricBatch {
    let mut batch = MetricBatch::new();
    let mut series = |pairs: &[(&str, &str)], value: &dyn Fn(&mut f64, u32, u32) -> f64| {
        batch.start_series(&mut pairs.to_vec()).unwrap();
        let mut total = 0.0;
        for (t, (gone, work, random)) in scrapes.times.iter().zip(&scrapes.steps) {
            if scrapes.resets > 0 && *random < 1000 / scrapes.resets {
                total = 0.0;
            }
            batch.push_sample(*t, if *gone { stale_marker() } else { value(&mut total, *work, *random) });
        }
    };
    series(&[("__name__", "work_total")], &|total, work, _| {
        *total += f64::from(work);
        *total
    });
    series(&[("__name__", "seconds_total")], &|total, work, random| {
        *total += f64::from(work) / 7.0 + f64::from(random) / 1000.0;
        *total
    });
    series(&[("__name__", "temperature")], &|_, _, random| f64::from(random) / 10.0 - 40.0);
    for (le, part) in [("0.1", 0.3), ("1", 0.8), ("+Inf", 1.0)] {
        series(&[("__name__", "latency_bucket"), ("le", le)], &|total, work, _| {
            *total += f64::from(work);
            (*total * part).floor()
        });
    }
    batch
}

struct Both {
    full: Engine,
    cold: Engine,
}

impl Both {
    fn of(scrapes: &Scrapes) -> Self {
        let (full, cold) = (stores::memory(), stores::Rolled::new());
        full.load(batch(scrapes));
        cold.load(batch(scrapes));
        cold.roll_up((MIDNIGHT / 86_400_000 - 1) as i32);
        let engine = |bench: &dyn Bench| {
            Engine::new(bench.source(), EngineOptions { newer_than_3_5: true, ..EngineOptions::default() })
        };
        Both { full: engine(&*full), cold: engine(&cold) }
    }

    fn ask(&self, query: &str, from: i64, to: i64, step: i64) -> (Points, Points) {
        let ask =
            |engine: &Engine| points(engine.range(query, from, to, step, None, &QueryContext::unlimited()).unwrap());
        (ask(&self.full), ask(&self.cold))
    }
}

type Points = BTreeMap<(Labels, i64), f64>;

fn points(answer: Answer) -> Points {
    let Value::Matrix(series) = answer.value else { panic!("a range query gives series") };
    let all = series
        .into_iter()
        .flat_map(|s| s.timestamps_ms.into_iter().zip(s.values).map(move |(t, v)| ((s.labels.clone(), t), v)));
    all.collect()
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.max(a.abs()).max(b.abs()).max(1e-3) || a.is_nan() && b.is_nan()
}

/// First and last step of the queries: no window reaches beyond the data.
const FROM: i64 = MIDNIGHT - SPAN + HOUR;
const TO: i64 = MIDNIGHT + HOUR;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn whole_buckets_are_exact(scrapes in scrapes()) {
        let both = Both::of(&scrapes);
        for range in ["10m", "35m", "1h"] {
            for query in [
                "rate(work_total[R])", "increase(work_total[R])", "increase(seconds_total[R])", "resets(work_total[R])",
                "delta(temperature[R])", "sum_over_time(temperature[R])", "count_over_time(temperature[R])",
                "avg_over_time(temperature[R])", "min_over_time(temperature[R])", "max_over_time(temperature[R])",
                "first_over_time(temperature[R])", "last_over_time(temperature[R])", "present_over_time(temperature[R])",
                "absent_over_time(temperature[R])", "resets(temperature[R])",
                "histogram_quantile(0.9, rate(latency_bucket[R]))",
            ] {
                let query = query.replace('R', range);
                let (full, cold) = both.ask(&query, FROM, TO, WIDTH);
                prop_assert!(full.keys().eq(cold.keys()), "{}: {} steps, {} over rollups", query, full.len(), cold.len());
                for ((key, full), cold) in full.iter().zip(cold.values()) {
                    prop_assert!(near(*full, *cold, 0.0), "{} at {}: {} over rollups {}", query, key.1 - MIDNIGHT, full, cold);
                }
            }
        }
    }

    #[test]
    fn other_windows_are_off_by_a_bucket_at_each_edge(scrapes in scrapes(), shift in 1i64..300) {
        let both = Both::of(&scrapes);
        let (from, to) = (FROM + shift * 1000, TO);
        for minutes in [10, 23, 60] {
            let range = minutes * 60_000;
            let within = |query: &str, at: i64, from: i64, to: i64| {
                // Over full resolution, between two times.
                let query = query.replace('R', &format!("{}ms", (to - from).max(1)));
                let answer = both.full.instant(&query, to, None, &QueryContext::unlimited()).unwrap();
                let Value::Vector(found) = answer.value else { panic!("a vector, at {at}") };
                found.first().and_then(|s| s.values.first().copied())
            };
            for (query, raw) in [
                ("count_over_time(temperature[R])", "count_over_time(temperature[R])"),
                ("sum_over_time(work_total[R])", "sum_over_time(work_total[R])"),
                ("increase(work_total[R])", ""),
            ] {
                let asked = query.replace('R', &format!("{minutes}m"));
                let (full, cold) = both.ask(&asked, from, to, 7 * 60_000);
                for ((_, at), full) in &full {
                    let Some(cold) = cold.iter().find(|((_, t), _)| t == at).map(|(_, v)| *v) else {
                        // Only where the window has samples of a bucket that it does not hold the end of.
                        let told = within("count_over_time(temperature[R])", *at, at - range, at - WIDTH);
                        prop_assert!(told.is_none_or(|n| n < 2.0), "{} at {}: nothing over rollups", asked, at - MIDNIGHT);
                        continue;
                    };
                    let edge = |edge: i64| if raw.is_empty() {
                        grown(&scrapes, edge - WIDTH, edge + WIDTH)
                    } else {
                        within(raw, *at, edge - WIDTH, edge).unwrap_or(0.0)
                    };
                    // Extrapolation adds at most a tenth more than the samples' gap at each edge.
                    let bound = (edge(at - range) + edge(*at)) * 1.25;
                    prop_assert!((full - cold).abs() <= bound + 1e-6, "{} at {}: {} over rollups {} bound {}", asked, at - MIDNIGHT, full, cold, bound);
                }
            }
            for (query, smaller) in [("max_over_time(temperature[R])", false), ("min_over_time(temperature[R])", true)] {
                let asked = query.replace('R', &format!("{minutes}m"));
                let (_, cold) = both.ask(&asked, from, to, 7 * 60_000);
                for ((_, at), cold) in &cold {
                    let sign = if smaller { -1.0 } else { 1.0 };
                    let outer = within(query, *at, at - range - WIDTH, *at).unwrap_or(f64::NAN);
                    prop_assert!(sign * outer >= sign * cold - 1e-9, "{} at {}", asked, at - MIDNIGHT);
                    if let Some(inner) = within(query, *at, at - range, at - WIDTH) {
                        prop_assert!(sign * inner <= sign * cold + 1e-9, "{} at {}", asked, at - MIDNIGHT);
                    }
                }
            }
        }
    }

    #[test]
    fn selectors_see_the_last_value(scrapes in scrapes()) {
        let both = Both::of(&scrapes);
        let (full, cold) = both.ask("temperature", FROM, TO, WIDTH);
        for (key, full) in &full {
            prop_assert_eq!(Some(full), cold.get(key), "at {}", key.1 - MIDNIGHT);
        }
        // Between the ends of buckets it is a value of the last five minutes, whatever the step.
        let (full, cold) = both.ask("temperature", FROM, MIDNIGHT - WIDTH, 17_000);
        for (labels, at) in full.keys() {
            prop_assert!(cold.contains_key(&(labels.clone(), *at)) || !full.contains_key(&(labels.clone(), at - 17_000 * 18)));
        }
    }
}

/// What `work_total` grew between two times.
fn grown(scrapes: &Scrapes, from: i64, to: i64) -> f64 {
    let all = scrapes.times.iter().zip(&scrapes.steps);
    all.filter(|(t, _)| **t > from && **t <= to).map(|(_, step)| f64::from(step.1)).sum()
}

fn steady() -> Both {
    let times: Vec<i64> = (0..1440).map(|i| MIDNIGHT - SPAN + 4_000 + i * 15_000).collect();
    let steps = times.iter().map(|t| (false, 3, (t / 1000 % 997) as u32)).collect();
    Both::of(&Scrapes { times, steps, resets: 0 })
}

#[test]
fn an_answer_from_rollups_says_so() {
    let both = steady();
    let context = QueryContext::unlimited();
    let seen = "PromQL info: answered partly from 5-minute rollups before 2024-10-04T00:00:00Z";
    let at = |query: &str, t: i64| both.cold.instant(query, t, None, &context).unwrap();
    let told = at("rate(work_total[1h])", MIDNIGHT + HOUR / 2);
    assert_eq!((told.infos, told.warnings.len()), (vec![seen.to_owned()], 0));
    assert!(at("rate(work_total[1h])", MIDNIGHT + 2 * HOUR).infos.is_empty(), "full resolution");
    let narrow = at("rate(work_total[1m])", MIDNIGHT - HOUR);
    assert_eq!(narrow.infos.len(), 2);
    assert!(narrow.infos.iter().any(|i| i.contains("widened to 10 minutes")), "{:?}", narrow.infos);
    for function in ["stddev_over_time", "changes", "deriv", "mad_over_time", "irate"] {
        let told = at(&format!("{function}(temperature[1h])"), MIDNIGHT - HOUR);
        assert!(told.warnings.iter().any(|w| w.contains(function)), "{function}: {:?}", told.warnings);
    }
    let told = at("quantile_over_time(0.5, temperature[1h])", MIDNIGHT - HOUR);
    assert!(told.warnings.iter().any(|w| w.contains("quantile_over_time sees only")), "{:?}", told.warnings);
}

#[test]
fn a_steady_counter_is_right_in_any_window() {
    let both = steady();
    for range in ["1m", "4m", "5m", "11m", "1h"] {
        for query in ["rate(work_total[R])", "increase(work_total[R])", "irate(work_total[R])"] {
            let query = query.replace('R', range);
            let (full, cold) = both.ask(&query, FROM + 1234, TO, 47_000);
            assert!(full.keys().eq(cold.keys()), "{query}");
            for ((key, full), cold) in full.iter().zip(cold.values()) {
                assert!((full - cold).abs() <= 1e-6 * full, "{query} at {}: {full} {cold}", key.1 - MIDNIGHT);
            }
        }
    }
}

#[test]
fn native_histograms_are_thinned() {
    let (full, cold) = (stores::memory(), stores::Rolled::new());
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "latency")]).unwrap();
    for i in 0..1440i64 {
        let count = (i * 3 % 3000) as f64;
        let histogram = NativeHistogram {
            schema: 0,
            count,
            sum: count * 0.7,
            positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
            positive_counts: vec![count / 4.0, count * 3.0 / 4.0],
            ..NativeHistogram::default()
        };
        batch.push_histogram(MIDNIGHT - SPAN + 4_000 + i * 15_000, histogram);
    }
    full.load(batch.clone());
    cold.load(batch);
    cold.roll_up((MIDNIGHT / 86_400_000 - 1) as i32);
    let engine = |bench: &dyn Bench| Engine::new(bench.source(), EngineOptions::default());
    let both = Both { full: engine(&*full), cold: engine(&cold) };
    for (query, bound) in [
        ("histogram_count(rate(latency[1h]))", 0.02),
        ("histogram_count(increase(latency[1m]))", 0.3),
        ("histogram_quantile(0.9, rate(latency[30m]))", 0.01),
        ("histogram_count(latency)", 0.0),
    ] {
        let (full, cold) = both.ask(query, FROM, MIDNIGHT - WIDTH, WIDTH);
        assert!(full.keys().eq(cold.keys()) && !full.is_empty(), "{query}: {} {}", full.len(), cold.len());
        for ((key, full), cold) in full.iter().zip(cold.values()) {
            assert!((full - cold).abs() <= bound * full, "{query} at {}: {full} {cold}", key.1 - MIDNIGHT);
        }
    }
    let told = both.cold.instant("sum_over_time(latency[1h])", MIDNIGHT, None, &QueryContext::unlimited()).unwrap();
    assert!(told.warnings.iter().any(|w| w.contains("sees only the last histogram")), "{:?}", told.warnings);
    assert!(told.infos.iter().any(|i| i.contains("answered partly from 5-minute rollups")), "{:?}", told.infos);
}
