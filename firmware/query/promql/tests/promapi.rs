//! Runs the queries of the shared `promapi` recordings against the engine, when they are there: values, error
//! texts and annotations must be what Prometheus answered. What belongs to the HTTP door is left to its tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use bramble_query_promql::{Engine, EngineOptions, QueryError, Value, format_query, format_value};
use bramble_signal::{Labels, MetricBatch, stale_marker};
use bramble_storage::QueryContext;
use bramble_storage::memory::MemoryMetrics;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Cases passed when this was last raised.
const FLOOR: usize = 942;

fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("BRAMBLE_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/conformance");
    [named, Some(beside)].into_iter().flatten().map(|p| p.join("promapi")).find(|p| p.is_dir())
}

fn lines(path: &Path) -> Vec<Json> {
    std::fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(n) => n.as_f64(),
        Json::String(s) => match s.as_str() {
            "NaN" => Some(f64::NAN),
            "+Inf" | "Inf" => Some(f64::INFINITY),
            "-Inf" => Some(f64::NEG_INFINITY),
            "stale" | "STALE" => Some(stale_marker()),
            other => other.parse().ok(),
        },
        _ => None,
    }
}

fn load(folder: &Path, base: i64) -> Arc<MemoryMetrics> {
    let store = MemoryMetrics::new();
    for series in lines(&folder.join("metrics.jsonl")) {
        let (Some(values), Some(labels)) = (series["values"].as_array(), series["labels"].as_object()) else {
            continue;
        };
        let (start, step) = (series["start"].as_i64().unwrap(), series["step"].as_i64().unwrap());
        let mut batch = MetricBatch::new();
        let mut pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())).collect();
        batch.start_series(&mut pairs).unwrap();
        for (i, value) in values.iter().enumerate() {
            if let Some(value) = number(value) {
                batch.push_sample((base + start + step * i as i64) * 1000, value);
            }
        }
        store.load(batch);
    }
    Arc::new(store)
}

fn seconds_ms(text: &str, base: i64) -> Option<i64> {
    let text = match text.strip_prefix("<<s+").and_then(|t| t.strip_suffix(">>")) {
        Some(offset) => return Some(((base as f64 + offset.parse::<f64>().ok()?) * 1000.0).round() as i64),
        None => text,
    };
    text.parse::<f64>().ok().map(|s| (s * 1000.0).round() as i64)
}

/// A query with its `<<s+600>>` as times.
fn filled_in(query: &str, base: i64) -> String {
    let mut out = query.to_owned();
    while let (Some(from), Some(to)) = (out.find("<<s+"), out.find(">>")) {
        let seconds: i64 = out[from + 4..to].parse().unwrap();
        out.replace_range(from..to + 2, &(base + seconds).to_string());
    }
    out
}

fn labels_json(labels: &Labels) -> Json {
    Json::Object(labels.iter().map(|(n, v)| (n.to_owned(), Json::String(v.to_owned()))).collect())
}

fn same_number(a: &str, b: &str) -> bool {
    match (number(&Json::String(a.to_owned())), number(&Json::String(b.to_owned()))) {
        (Some(a), Some(b)) => a.is_nan() && b.is_nan() || a == b || (a - b).abs() / (a.abs() + b.abs()) < 1e-9,
        _ => a == b,
    }
}

/// Series as text, points by time.
type Points = BTreeMap<String, Vec<(i64, String)>>;

fn expected_points(result: &Json) -> Result<Points, String> {
    let mut points = Points::new();
    let point = |p: &Json| ((p[0].as_f64().unwrap() * 1000.0).round() as i64, p[1].as_str().unwrap().to_owned());
    for element in result.as_array().unwrap() {
        if element.get("histogram").is_some() || element.get("histograms").is_some() {
            return Err("native histogram".to_owned());
        }
        let values = match element.get("values") {
            Some(values) => values.as_array().unwrap().iter().map(point).collect(),
            None => vec![point(&element["value"])],
        };
        points.insert(element["metric"].to_string(), values);
    }
    Ok(points)
}

fn got_points(value: Value) -> Points {
    match value {
        Value::Vector(elements) => elements
            .into_iter()
            .map(|s| (labels_json(&s.labels).to_string(), vec![(s.timestamps_ms[0], format_value(s.values[0]))]))
            .collect(),
        Value::Matrix(series) => series
            .into_iter()
            .map(|s| {
                let values = s.timestamps_ms.into_iter().zip(s.values).map(|(t, v)| (t, format_value(v))).collect();
                (labels_json(&s.labels).to_string(), values)
            })
            .collect(),
        Value::Scalar { time_ms, value } => Points::from([(String::new(), vec![(time_ms, format_value(value))])]),
        Value::String { time_ms, value } => Points::from([(String::new(), vec![(time_ms, value)])]),
    }
}

fn check(engine: &Engine, case: &Json, base: i64) -> Result<(), String> {
    let params: BTreeMap<&str, &str> =
        case["params"].as_array().unwrap().iter().map(|p| (p[0].as_str().unwrap(), p[1].as_str().unwrap())).collect();
    let body = &case["expect"]["body"];
    let query = filled_in(params.get("query").copied().unwrap_or_default(), base);
    let query = query.as_str();
    let time = |name: &str| params.get(name).and_then(|t| seconds_ms(t, base)).ok_or(format!("skip: {name}"));
    let context = QueryContext::unlimited();
    let path = case["path"].as_str().unwrap();
    let lookback = match params.get("lookback_delta") {
        Some(text) => Some(seconds_ms(text.trim_end_matches('s'), base).ok_or("skip: lookback")?),
        None => None,
    };
    let answer = match path {
        "/api/v1/query" => engine.instant(query, time("time")?, lookback, &context),
        "/api/v1/query_range" => {
            let step = params.get("step").and_then(|s| s.parse::<f64>().ok()).ok_or("skip: step")?;
            engine.range(query, time("start")?, time("end")?, (step * 1000.0) as i64, lookback, &context)
        }
        _ => {
            let text = format_query(query).map_err(QueryError::from);
            return match (text, body["data"].as_str(), body["error"].as_str()) {
                (Ok(text), Some(wanted), _) if text == wanted => Ok(()),
                (Err(error), _, Some(wanted)) if wanted.ends_with(&error.to_string()) => Ok(()),
                (got, ..) => Err(format!("{got:?} instead of {body}")),
            };
        }
    };
    let answer = match (answer, body["error"].as_str()) {
        (Err(error), Some(wanted)) => {
            let wanted = wanted.strip_prefix("invalid parameter \"query\": ").unwrap_or(wanted);
            let same = wanted == error.to_string() || wanted.contains("found duplicate series");
            return if same { Ok(()) } else { Err(format!("{error} instead of {wanted}")) };
        }
        (Err(error), None) => return Err(error.to_string()),
        (Ok(_), Some(wanted)) => return Err(format!("succeeded, not {wanted}")),
        (Ok(answer), None) => answer,
    };
    for (name, got) in [("warnings", &answer.warnings), ("infos", &answer.infos)] {
        let wanted: Vec<&str> = body[name].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        if wanted != *got {
            return Err(format!("{name} {got:?} instead of {wanted:?}"));
        }
    }
    let data = &body["data"];
    let wanted = match data["resultType"].as_str() {
        Some("scalar" | "string") => {
            let (time, value) = (data["result"][0].as_f64().unwrap(), data["result"][1].as_str().unwrap());
            Points::from([(String::new(), vec![((time * 1000.0).round() as i64, value.to_owned())])])
        }
        _ => expected_points(&data["result"])?,
    };
    let got = got_points(answer.value);
    if wanted.len() != got.len() {
        return Err(format!("{} series instead of {}", got.len(), wanted.len()));
    }
    for ((labels, points), (got_labels, got)) in wanted.iter().zip(&got) {
        let same = labels == got_labels
            && points.len() == got.len()
            && points.iter().zip(got).all(|(a, b)| a.0 == b.0 && same_number(&a.1, &b.1));
        if !same {
            return Err(format!("{got_labels} {got:?} instead of {labels} {points:?}"));
        }
    }
    Ok(())
}

#[test]
fn recorded_answers() {
    let Some(folder) = shared() else {
        println!("skipped: no promapi recordings (BRAMBLE_CONFORMANCE)");
        return;
    };
    let suite: Json = serde_json::from_str(&std::fs::read_to_string(folder.join("suite.json")).unwrap()).unwrap();
    let base = suite["base"].as_i64().unwrap();
    let engine = Engine::new(load(&folder, base), EngineOptions::default());
    let (mut passed, mut total) = (0, 0);
    for file in ["cases-compliance.jsonl", "cases-own.jsonl", "cases-api.jsonl"] {
        for case in lines(&folder.join(file)) {
            let path = case["path"].as_str().unwrap();
            if !matches!(path, "/api/v1/query" | "/api/v1/query_range" | "/api/v1/format_query") {
                continue;
            }
            let outcome = check(&engine, &case, base);
            if outcome.as_ref().is_err_and(|e| e.starts_with("skip")) {
                continue;
            }
            total += 1;
            match outcome {
                Ok(()) => passed += 1,
                Err(why) => {
                    let why: String = why.chars().take(300).collect();
                    println!("  {} {}: {why}", case["id"], case["params"][0][1]);
                }
            }
        }
    }
    println!("promapi {passed}/{total}");
    assert!(passed >= FLOOR, "{passed} of {total}, floor {FLOOR}");
}
