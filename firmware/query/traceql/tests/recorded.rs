//! Runs the recorded searches and measures against the engine, when they are there: which traces and spans are found,
//! what is shown of them, and which queries are refused must be what Tempo answered. The HTTP door has its own tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail by panicking and says what it did"
)]

use bramble_query_traceql::*;
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{QueryContext, SpanSink};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Cases passed in each file when this was last raised.
const FLOORS: [(&str, usize); 2] = [("cases-search.jsonl", 183), ("cases-metrics.jsonl", 61)];

/// The recordings' base time, seconds. The engine runs with base 0 and the expected times are shifted.
const BASE_S: u64 = 1_794_960_000;

fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("BRAMBLE_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/conformance");
    [named, Some(beside)].into_iter().flatten().map(|p| p.join("traceql")).find(|p| p.is_dir())
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn load(folder: &Path) -> MemoryTraces {
    let traces = MemoryTraces::new();
    let mut decoder = bramble_wire::otlp::Decoder::default();
    for line in lines(&folder.join("traces.jsonl")) {
        let batch = decoder.traces(bramble_wire::Format::Json, line.as_bytes()).unwrap().batch;
        let prepared = traces.prepare(batch, 0).unwrap();
        traces.apply(prepared, Default::default());
    }
    traces
}

struct Case {
    id: String,
    params: BTreeMap<String, String>,
    status: u64,
    body: Json,
    instant: bool,
}

fn case(line: &str) -> Case {
    let json: Json = serde_json::from_str(line).unwrap();
    let params = json["params"].as_array().unwrap().iter().map(|p| {
        let text = p[1].as_str().unwrap().trim_start_matches("<<s+").trim_end_matches(">>");
        (p[0].as_str().unwrap().to_owned(), text.to_owned())
    });
    Case {
        id: json["id"].as_str().unwrap().to_owned(),
        params: params.collect(),
        status: json["expect"]["status"].as_u64().unwrap(),
        body: json["expect"]["body"].clone(),
        instant: json["path"].as_str().unwrap().ends_with("/metrics/query"),
    }
}

fn value_text(value: &Value<'_>) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(d) => d.to_string(),
        Value::Duration(ns) => duration_text(*ns),
        Value::Text(text) => text.clone().into_owned(),
        Value::Status(status) => status.as_str().to_owned(),
        Value::Kind(kind) => kind.as_str().to_owned(),
        Value::Many(values) => values.iter().map(value_text).collect::<Vec<_>>().join(","),
    }
}

fn json_text(value: &Json) -> String {
    match value.as_object().and_then(|o| o.values().next()) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(n)) => n.as_f64().unwrap().to_string(),
        Some(Json::Bool(b)) => b.to_string(),
        Some(other) => match other["values"].as_array() {
            Some(list) => list.iter().map(json_text).collect::<Vec<_>>().join(","),
            None => other.to_string(),
        },
        None => String::new(),
    }
}

fn json_attributes(value: &Json) -> BTreeSet<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| format!("{}={}", a["key"].as_str().unwrap(), json_text(&a["value"])))
        .collect()
}

fn attributes(list: &[(String, Value<'_>)]) -> BTreeSet<String> {
    list.iter().map(|(k, v)| format!("{k}={}", value_text(v))).collect()
}

/// A line for each trace, set and span.
fn found_lines(traces: &[FoundTrace]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for t in traces {
        let id = t.trace_id.to_string();
        let id = id.trim_start_matches('0');
        let (service, name) = t.root.clone().unwrap_or(("<root span not yet received>".to_owned(), String::new()));
        out.insert(format!("{id} {service} {name} {} {} {:?}", t.start_ns, t.duration_ns / 1_000_000, t.services));
        for set in &t.sets {
            let spans: BTreeSet<String> = set
                .spans
                .iter()
                .map(|s| {
                    format!(
                        "{} {:?} {} {} {:?}",
                        s.span_id,
                        s.name,
                        s.start_ns,
                        s.duration_ns,
                        attributes(&s.attributes)
                    )
                })
                .collect();
            out.insert(format!("{id} {} {:?} {spans:#?}", set.matched, attributes(&set.attributes)));
        }
    }
    out
}

fn expected_lines(body: &Json) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let time = |v: &Json| v.as_str().unwrap().parse::<u64>().unwrap() - BASE_S * 1_000_000_000;
    for t in body["traces"].as_array().into_iter().flatten() {
        let id = t["traceID"].as_str().unwrap();
        let count = |v: &Json, name: &str| v[name].as_u64().unwrap_or(0) as u32;
        let services: BTreeMap<String, (u32, u32)> = t["serviceStats"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), (count(v, "spanCount"), count(v, "errorCount"))))
            .collect();
        let (service, name) = (t["rootServiceName"].as_str().unwrap_or(""), t["rootTraceName"].as_str().unwrap_or(""));
        out.insert(format!(
            "{id} {service} {name} {} {} {services:?}",
            time(&t["startTimeUnixNano"]),
            t["durationMs"].as_u64().unwrap_or(0)
        ));
        for set in t["spanSets"].as_array().into_iter().flatten() {
            let spans: BTreeSet<String> = set["spans"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|s| {
                    let duration = s["durationNanos"].as_str().unwrap_or("0");
                    let name = s["name"].as_str().map(str::to_owned);
                    format!(
                        "{} {name:?} {} {duration} {:?}",
                        s["spanID"].as_str().unwrap(),
                        time(&s["startTimeUnixNano"]),
                        json_attributes(&s["attributes"])
                    )
                })
                .collect();
            out.insert(format!("{id} {} {:?} {spans:#?}", set["matched"], json_attributes(&set["attributes"])));
        }
    }
    out
}

fn seconds(case: &Case, name: &str, otherwise: i64) -> u64 {
    case.params.get(name).map_or(otherwise, |v| v.parse::<i64>().unwrap_or(0)).max(0) as u64 * 1_000_000_000
}

fn run_search(case: &Case, traces: &MemoryTraces) -> Result<(), String> {
    let number =
        |name: &str, otherwise: usize| case.params.get(name).map_or(Ok(otherwise), |v| v.parse().map_err(|_| "number"));
    let Some(text) = case.params.get("q") else { return Err("belongs to the door".to_owned()) };
    let text = if text.is_empty() { "{ }" } else { text };
    let (limit, spans_per_set) = (number("limit", 20), number("spss", 3));
    let end_ns = seconds(case, "end", 3600);
    let query = match (parse(text), limit.is_ok() && spans_per_set.is_ok()) {
        (Ok(query), true) if case.status == 200 => query,
        (Err(_), _) | (_, false) if case.status == 400 => return Ok(()),
        (Err(e), _) => return Err(format!("refused: {e}")),
        _ => return Err("not refused".to_owned()),
    };
    if case.body.is_null() {
        return Ok(());
    }
    let options = SearchOptions {
        start_ns: seconds(case, "start", 0),
        end_ns,
        limit: limit.unwrap(),
        spans_per_set: spans_per_set.unwrap(),
    };
    let found =
        if end_ns == 0 { Vec::new() } else { search(&query, traces, &options, &QueryContext::unlimited()).unwrap() };
    let (got, wanted) = (found_lines(&found), expected_lines(&case.body));
    if options.spans_per_set < 4 || options.limit < 100 {
        let same = found.len() == case.body["traces"].as_array().map_or(0, Vec::len);
        return if same { Ok(()) } else { Err(format!("{} traces", found.len())) };
    }
    if got == wanted {
        return Ok(());
    }
    Err(format!("missing {:?}, too much {:?}", wanted.difference(&got).next(), got.difference(&wanted).next()))
}

fn run_metrics(case: &Case, traces: &MemoryTraces) -> Result<(), String> {
    let query = match parse(&case.params["q"]) {
        Ok(query) if query.metrics.is_some() => query,
        _ if case.status == 400 => return Ok(()),
        other => return Err(format!("refused: {other:?}")),
    };
    let step_s = case
        .params
        .get("step")
        .map(|s| if s == "30" { 30 } else { duration_ns(s).unwrap_or(0) as u64 / 1_000_000_000 });
    let (start_ns, end_ns) = (seconds(case, "start", 0), seconds(case, "end", 3600));
    if case.status == 400 && (end_ns <= start_ns || step_s == Some(0)) || case.body.is_null() {
        return Ok(());
    }
    let options = MetricsOptions {
        start_ns,
        end_ns,
        step_ns: if case.instant { None } else { step_s.map(|s| s * 1_000_000_000) },
    };
    let found = measure(&query, traces, &options, &QueryContext::unlimited()).map_err(|e| e.to_string())?;
    let mut got: BTreeMap<String, BTreeMap<i64, f64>> =
        found.iter().map(|s| (format!("{:?}", attributes(&s.labels)), s.samples.iter().copied().collect())).collect();
    let mut wanted: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
    for s in case.body["series"].as_array().into_iter().flatten() {
        let sample = |x: &Json| {
            let ms = x["timestampMs"].as_str().map_or(0, |t| t.parse::<i64>().unwrap() - (BASE_S * 1000) as i64);
            (ms, x["value"].as_f64().unwrap_or(0.0))
        };
        let samples = match s["samples"].as_array() {
            Some(list) => list.iter().map(sample).collect(),
            None => [sample(s)].into(),
        };
        wanted.insert(format!("{:?}", json_attributes(&s["labels"])), samples);
    }
    if case.instant {
        let strip = |map: &mut BTreeMap<i64, f64>| *map = map.values().map(|v| (0, *v)).collect();
        got.values_mut().for_each(strip);
        wanted.values_mut().for_each(strip);
    }
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + 1e-12;
    for (labels, samples) in &wanted {
        let other = got.remove(labels).ok_or_else(|| format!("missing {labels}, got {:?}", got.keys().next()))?;
        let same =
            samples.len() == other.len() && samples.iter().zip(&other).all(|(a, b)| a.0 == b.0 && near(*a.1, *b.1));
        if !same {
            return Err(format!("{labels}: wanted {samples:?}, got {other:?}"));
        }
    }
    if got.is_empty() { Ok(()) } else { Err(format!("too much: {:?}", got.keys().next())) }
}

#[test]
fn recorded_answers() {
    let Some(folder) = shared() else {
        println!("skipped: no recordings; set BRAMBLE_CONFORMANCE to their folder");
        return;
    };
    let traces = load(&folder);
    for (file, floor) in FLOORS {
        let (mut passed, mut failed) = (0, Vec::new());
        for case in lines(&folder.join(file)).iter().map(|l| case(l)) {
            let outcome =
                if file.contains("metrics") { run_metrics(&case, &traces) } else { run_search(&case, &traces) };
            match outcome {
                Ok(()) => passed += 1,
                Err(why) => failed.push(format!(
                    "{} {:?}: {}",
                    case.id,
                    case.params.get("q"),
                    why.chars().take(700).collect::<String>()
                )),
            }
        }
        println!("{file}: {passed} passed, {} failed\n{}", failed.len(), failed.join("\n"));
        assert!(passed >= floor, "{file}: {passed} passed, {floor} before");
    }
}
