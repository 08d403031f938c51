//! Processor time of pipelines over lines that are in memory already: the engine alone, without a store.
//!
//!     cargo run --release -p bramble-query-logql --example pipelines [-- LINES]

#![allow(clippy::print_stdout, reason = "a tool prints")]

use bramble_query_logql::{Expr, LogParams, RangeParams, eval, parse};
use bramble_signal::{Labels, Matcher};
use bramble_storage::{Direction, LogCursor, LogRows, LogSelect, LogSource, QueryContext, ReadError};

/// Batches that are handed over as often as asked.
struct Ready(Vec<LogRows>);

struct Walk<'a>(std::slice::Iter<'a, LogRows>);

impl LogCursor for Walk<'_> {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        match self.0.next() {
            Some(rows) => {
                out.clone_from(rows);
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl LogSource for Ready {
    fn select<'a>(&'a self, _: &LogSelect<'_>, _: &'a QueryContext) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        Ok(Box::new(Walk(self.0.iter())))
    }

    fn streams(&self, _: &[Matcher], _: i64, _: i64, _: &QueryContext) -> Result<Vec<Labels>, ReadError> {
        Ok(Vec::new())
    }
}

const ROWS: usize = 4096;
const STEP_NS: i64 = 10_000_000;

fn line(n: u64) -> String {
    let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (level, status) = if n.is_multiple_of(33) { ("error", 500) } else { ("info", 200) };
    // Most are short, one in some fifty is above 60 ms, as in the load that peers were measured with.
    let latency =
        if id.is_multiple_of(50) { 60.0 + (id >> 40) as f64 / 1e5 } else { (id >> 32) as f64 % 5000.0 / 100.0 };
    format!(
        "{{\"time\":\"2026-11-18T00:00:00.000Z\",\"level\":\"{level}\",\"service\":\"beorn\",\"trace_id\":\"{id:016x}{n:016x}\",\
         \"span_id\":\"{id:016x}\",\"circuit_id\":\"circ-{:05}\",\"request_id\":\"{id:08x}-4a3b-4c5d-8e9f-{n:012x}\",\
         \"message\":\"request completed\",\"latency_ms\":{latency:.2},\"status\":{status}}}",
        n % 20_000
    )
}

fn ready(lines: usize) -> Ready {
    let mut batches = Vec::new();
    let mut n = 0u64;
    while batches.len() * ROWS < lines {
        let mut rows = LogRows::default();
        for (stream, env) in ["dev", "prod"].into_iter().enumerate() {
            let _ = rows.batch.start_stream(&mut [("service", "beorn"), ("env", env), ("host", "rpi-001")]);
            for i in 0..ROWS / 2 {
                let _ = rows.batch.push_entry(n as i64 * STEP_NS, line(n).as_bytes(), &mut []);
                rows.order.push((stream as u32, i as u32));
                n += 1;
            }
        }
        batches.push(rows);
    }
    Ready(batches)
}

/// Milliseconds that this thread had a processor, whatever else the machine does.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn main() {
    let lines = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let source = ready(lines);
    let end_ns = lines as i64 * STEP_NS;
    let step_ns = (end_ns / 100).max(1);
    for query in [
        r#"{service="beorn"} | json | latency_ms > 60"#,
        r#"{service="beorn"} | json | level="nope""#,
        r#"{service="beorn"} | logfmt | level="nope""#,
        r#"sum by (status) (rate({service="beorn"} | json | __error__="" [5m]))"#,
        r#"quantile_over_time(0.95, {service="beorn"} | json | unwrap latency_ms [5m]) by (service)"#,
        r#"avg_over_time({service="beorn"} | json | unwrap latency_ms [5m]) by (service)"#,
        r#"sum by (env) (count_over_time({service="beorn"}[5m]))"#,
        r#"sum by (level) (count_over_time({service="beorn"} | pattern `<_>"level":"<level>"<_>` [5m]))"#,
        r#"count_over_time({service="beorn"} | json | keep level, status [5m])"#,
    ] {
        let context = QueryContext::unlimited();
        let expr = parse(query).ok();
        let since = cpu_ms();
        let done = match &expr {
            Some(Expr::Log(log)) => {
                let params = LogParams {
                    start_ns: 0,
                    end_ns,
                    limit: 1000,
                    direction: Direction::Forward,
                    interval_ns: 0,
                    categorize: false,
                };
                eval::log(&source, log, &params, &context).is_ok()
            }
            Some(Expr::Sample(sample)) => {
                eval::range(&source, sample, &RangeParams { start_ns: step_ns, end_ns, step_ns }, &context).is_ok()
            }
            None => false,
        };
        println!("{:8.1} ms  {}  {query}", cpu_ms() - since, if done { "ok" } else { "failed" });
    }
}
