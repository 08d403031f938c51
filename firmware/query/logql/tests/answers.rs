//! Queries over the naive store, and the texts of refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bramble_query_logql::{Answer, Expr, LogParams, RangeParams, eval, parse};
use bramble_signal::LogBatch;
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{Direction, LogSink, QueryContext};

const SECOND: i64 = 1_000_000_000;

fn store() -> MemoryLogs {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("app", "api"), ("host", "a")]).unwrap();
    for i in 0..10 {
        let line = format!("level={} n={i}", if i % 2 == 0 { "info" } else { "error" });
        batch.push_entry(i * SECOND, line.as_bytes(), &mut [("user", "u1")]).unwrap();
    }
    batch.start_stream(&mut [("app", "web")]).unwrap();
    batch.push_entry(5 * SECOND, br#"{"a":{"b":1},"s":"x"}"#, &mut []).unwrap();
    let logs = MemoryLogs::new();
    logs.replay(&batch, 1);
    logs
}

fn lines(query: &str, limit: usize, direction: Direction) -> Vec<String> {
    let Ok(Expr::Log(log)) = parse(query) else { panic!("{query} is no log query") };
    let params = LogParams { start_ns: 0, end_ns: 100 * SECOND, limit, direction, interval_ns: 0, categorize: false };
    let answer = eval::log(&store(), &log, &params, &QueryContext::unlimited()).unwrap();
    let Answer::Streams(streams) = answer else { panic!("streams") };
    let shown = streams
        .iter()
        .flat_map(|s| s.entries.iter().map(move |e| format!("{} {}", s.labels, String::from_utf8_lossy(&e.line))));
    shown.collect()
}

fn matrix(query: &str) -> Vec<String> {
    let Ok(Expr::Sample(sample)) = parse(query) else { panic!("{query} is no metric query") };
    let params = RangeParams { start_ns: 0, end_ns: 10 * SECOND, step_ns: 5 * SECOND };
    let answer = eval::range(&store(), &sample, &params, &QueryContext::unlimited()).unwrap();
    let Answer::Matrix(series) = answer else { panic!("matrix") };
    let point = |p: &(i64, f64)| format!("{}:{}", p.0 / SECOND, p.1);
    series
        .iter()
        .map(|s| format!("{} {}", s.labels, s.points.iter().map(point).collect::<Vec<_>>().join(" ")))
        .collect()
}

#[test]
fn log_queries() {
    assert_eq!(
        lines(r#"{app="api"} |= "error""#, 2, Direction::Backward),
        [r#"{app="api", host="a", user="u1"} level=error n=9"#, r#"{app="api", host="a", user="u1"} level=error n=7"#]
    );
    assert_eq!(
        lines(r#"{app="api"} | logfmt | n > 7 | line_format "{{.n}}" | keep n"#, 9, Direction::Forward),
        [r#"{n="8"} 8"#, r#"{n="9"} 9"#]
    );
    assert_eq!(
        lines(r#"{app="web"} | json | a_b = 1 | label_format c="{{.s | ToUpper}}" | drop s"#, 9, Direction::Forward),
        [r#"{a_b="1", app="web", c="X"} {"a":{"b":1},"s":"x"}"#]
    );
    assert!(lines(r#"{app="api"} |= "n=1" != "n=1""#, 9, Direction::Forward).is_empty());
    assert_eq!(lines(r#"{app="api"} |= "n=1" or "n=2""#, 9, Direction::Forward).len(), 2);
}

#[test]
fn labels_that_entries_have_pass_filters_behind_parsers() {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("app", "w")]).unwrap();
    batch.push_entry(SECOND, br#"{"msg":"one"}"#, &mut [("trace_id", "X")]).unwrap();
    batch.push_entry(2 * SECOND, br#"{"msg":"two"}"#, &mut [("\u{1}trace_id", "X")]).unwrap();
    batch.push_entry(3 * SECOND, br#"{"msg":"three","trace_id":"X"}"#, &mut []).unwrap();
    batch.push_entry(4 * SECOND, br#"{"msg":"four","trace_id":"X"}"#, &mut [("trace_id", "Y")]).unwrap();
    batch.push_entry(5 * SECOND, br#"{"msg":"five"}"#, &mut [("span_id", "X")]).unwrap();
    let logs = MemoryLogs::new();
    logs.replay(&batch, 1);
    let times = |parser: &str| {
        let query = format!(r#"count_over_time({{app="w"}} | {parser} | trace_id="X" [1s])"#);
        let Ok(Expr::Sample(sample)) = parse(&query) else { panic!("{query}") };
        let params = RangeParams { start_ns: SECOND, end_ns: 9 * SECOND, step_ns: SECOND };
        let Ok(Answer::Matrix(series)) = eval::range(&logs, &sample, &params, &QueryContext::unlimited()) else {
            panic!("{query}")
        };
        let mut times: Vec<i64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0 / SECOND)).collect();
        times.sort_unstable();
        times
    };
    // What a line says under a name that the entry has already is another label's.
    assert_eq!(times("json"), [1, 2, 3]);
    assert_eq!(times("unpack"), [1, 2], "nothing is packed here");
    assert_eq!(times("logfmt"), [1, 2]);
    assert_eq!(times(r#"regexp "trace_id.:.(?P<trace_id>[A-Z])""#), [1, 2, 3]);
    assert_eq!(times(r#"pattern "<_>trace_id\":\"<trace_id>\"}""#), [1, 2, 3]);
}

#[test]
fn metric_queries() {
    assert_eq!(
        matrix(r#"sum by (app) (count_over_time({app=~".+"}[5s]))"#),
        [r#"{app="api"} 0:1 5:5 10:4"#, r#"{app="web"} 5:1"#]
    );
    assert_eq!(
        matrix(r#"max_over_time({app="api"} | logfmt | unwrap n [5s]) by (app)"#),
        [r#"{app="api"} 0:0 5:5 10:9"#]
    );
    assert_eq!(matrix(r#"sum(rate({app="api"}[5s])) * 5 > bool 4"#), ["{} 0:0 5:1 10:0"]);
    assert_eq!(matrix(r#"absent_over_time({app="web"}[5s])"#), [r#"{app="web"} 0:1 10:1"#]);
    assert_eq!(matrix("vector(1)+vector(1)"), ["{} 0:2 5:2 10:2"]);
    assert_eq!(matrix(r#"sum(count_over_time({app="nope"}[5s])) or vector(0)"#), ["{} 0:0 5:0 10:0"]);
}

#[test]
fn refusals_have_places() {
    let error = |query: &str| parse(query).unwrap_err().to_string();
    assert_eq!(error("{"), "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }");
    assert_eq!(error(r#"{app="web"} |"#), "parse error at line 1, col 14: syntax error: unexpected $end");
    assert_eq!(error(r#"rate({app="web"}[5])"#), "parse error at line 0, col 17: not a valid duration string: \"5\"");
    assert_eq!(
        error("1 and 1"),
        "parse error : unexpected literal for left leg of logical/set binary operation (and): 1.000000"
    );
    assert!(error("{}").starts_with("parse error : queries require at least one"));
    assert_eq!(error(r#"rate({app="web"}[5m]) by (x)"#), "parse error : grouping not allowed for rate aggregation");
    assert!(error(&("(".repeat(500) + "1")).contains("nested deeper"));
}

#[test]
fn queries_print() {
    let printed = |query: &str| parse(query).unwrap().to_string();
    assert_eq!(
        printed(r#"sum  by(a)(rate({x="y"}|json|a>5[5m]))/2"#),
        r#"(sum by (a)(rate({x="y"} | json | a>5[5m])) / 2)"#
    );
    assert_eq!(printed(r#"{a="b"}|json x="y.z",w|unpack"#), r#"{a="b"} | json x="y.z",w="w" | unpack"#);
}
