//! `/api/metrics/{latencies,calls,errors}`: Service Performance Monitoring, from the series that are derived from spans.

use super::answer::{ApiError, envelope};
use super::{Shared, not_found, number};
use crate::api::json;
use crate::params::{Params, rfc3339_of_ms};
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_promql::{QueryError, Value as PromValue};
use bramble_signal::SeriesSamples;
use bramble_storage::QueryContext;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Steps of one answer, as Prometheus bounds them.
const STEPS_MAX: u64 = 11_000;

const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// What the series are called: by Tempo's metrics generator, and by the Collector's connector.
struct Names {
    calls: &'static str,
    latency: &'static str,
    /// From the latency's unit to milliseconds.
    to_ms: f64,
    service: &'static str,
}

const NAMES: [Names; 2] = [
    Names {
        calls: "traces_spanmetrics_calls_total",
        latency: "traces_spanmetrics_latency",
        to_ms: 1e3,
        service: "service",
    },
    Names {
        calls: "traces_span_metrics_calls_total",
        latency: "traces_span_metrics_duration_milliseconds",
        to_ms: 1.0,
        service: "service_name",
    },
];

/// `/api/metrics/minstep`: 1 ms.
pub(super) async fn min_step() -> Response {
    envelope(1, 0, &[])
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Latencies(f64),
    Calls,
    Errors,
}

/// What is asked for.
struct Asked {
    what: What,
    services: Vec<String>,
    kinds: Vec<String>,
    by_operation: bool,
    end_ms: i64,
    start_ms: i64,
    step_ms: i64,
    rate_ms: u64,
}

impl Asked {
    fn of(what: &str, params: &Params, now_ms: u64) -> Result<Self, ApiError> {
        let services: Vec<String> = params.all(&["service"]).map(str::to_owned).collect();
        if services.is_empty() {
            return Err(ApiError::bad("unable to parse param 'service': please provide at least one service name"));
        }
        let (end_ms, lookback_ms) = (number(params, "endTs", now_ms)?, number(params, "lookback", 3_600_000)?);
        let (step_ms, rate_ms) = (number(params, "step", 5_000)?.max(1), number(params, "ratePer", 600_000)?.max(1));
        if lookback_ms / step_ms > STEPS_MAX {
            return Err(ApiError::bad(format!(
                "lookback of {lookback_ms} ms has more than {STEPS_MAX} steps of {step_ms} ms"
            )));
        }
        let by_operation = match params.get("groupByOperation").map(str::parse) {
            None => false,
            Some(Ok(by_operation)) => by_operation,
            Some(Err(_)) => {
                return Err(ApiError::bad("unable to parse param 'groupByOperation': it is not true or false"));
            }
        };
        let mut kinds: Vec<String> = params.all(&["spanKind"]).map(str::to_owned).collect();
        if let Some(kind) = kinds.iter().find(|k| !KINDS.contains(&k.as_str())) {
            return Err(ApiError::bad(format!("unable to parse param 'spanKind': unsupported span kind: '{kind}'")));
        }
        if kinds.is_empty() {
            kinds.push("server".to_owned());
        }
        let what = match what {
            "calls" => What::Calls,
            "errors" => What::Errors,
            _ => match params.get("quantile").map(str::parse::<f64>) {
                Some(Ok(quantile)) if (0.0..=1.0).contains(&quantile) => What::Latencies(quantile),
                _ => {
                    return Err(ApiError::bad(
                        "unable to parse param 'quantile': a number between 0 and 1 is required",
                    ));
                }
            },
        };
        let ms = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        let start_ms = ms(end_ms.saturating_sub(lookback_ms));
        Ok(Asked { what, services, kinds, by_operation, end_ms: ms(end_ms), start_ms, step_ms: ms(step_ms), rate_ms })
    }

    /// The question in PromQL.
    fn query(&self, names: &Names) -> String {
        let any = |words: Vec<String>| words.join("|").replace('\\', "\\\\").replace('"', "\\\"");
        let services = any(self.services.iter().map(|s| regex::escape(s)).collect());
        let kinds = any(self.kinds.iter().map(|k| format!("SPAN_KIND_{}", k.to_uppercase())).collect());
        let selector = format!("{}=~\"{services}\",span_kind=~\"{kinds}\"", names.service);
        let by = format!("{}{}", names.service, if self.by_operation { ",span_name" } else { "" });
        let window = format!("{}ms", self.rate_ms);
        let calls = |more: &str| format!("sum by ({by}) (rate({}{{{selector}{more}}}[{window}]))", names.calls);
        match self.what {
            What::Calls => calls(""),
            // Who never failed has a rate of zero.
            What::Errors => {
                let failed = calls(",status_code=\"STATUS_CODE_ERROR\"");
                format!("(({failed}) or ({all}) * 0) / ({all})", all = calls(""))
            }
            What::Latencies(quantile) => {
                let (metric, to_ms) = (names.latency, names.to_ms);
                let classic = format!(
                    "histogram_quantile({quantile}, sum by ({by},le) (rate({metric}_bucket{{{selector}}}[{window}])))"
                );
                let native =
                    format!("histogram_quantile({quantile}, sum by ({by}) (rate({metric}{{{selector}}}[{window}])))");
                format!("(({classic}) or ({native})) * {to_ms}")
            }
        }
    }

    /// Name and help of the answer.
    fn described(&self) -> (String, String) {
        let (operation, grouped) = if self.by_operation { ("operation_", " & operation") } else { ("", "") };
        match self.what {
            What::Latencies(q) => (
                format!("service_{operation}latencies"),
                format!("{q:.2}th quantile latency, grouped by service{grouped}"),
            ),
            What::Calls => (format!("service_{operation}call_rate"), format!("calls/sec, grouped by service{grouped}")),
            What::Errors => (
                format!("service_{operation}error_rate"),
                format!("error rate, computed as a fraction of errors/sec over calls/sec, grouped by service{grouped}"),
            ),
        }
    }

    fn answer(&self, series: &[SeriesSamples], names: &Names) -> Value {
        let (name, help) = self.described();
        let metrics: Vec<Value> = series.iter().map(|s| self.metric(s, names)).collect();
        json!({"name": name, "type": "GAUGE", "help": help, "metrics": metrics})
    }

    fn metric(&self, series: &SeriesSamples, names: &Names) -> Value {
        let label = |name: &str, from: &str| json!({"name": name, "value": series.labels.get(from).unwrap_or("")});
        let mut labels = vec![label("service_name", names.service)];
        if self.by_operation {
            labels.push(label("operation", "span_name"));
        }
        let point = |(time, value): (&i64, &f64)| {
            // As protobuf's JSON says what JSON has no number for.
            let value =
                if value.is_finite() { json!(value) } else { json!(value.to_string().replace("inf", "Infinity")) };
            json!({"timestamp": rfc3339_of_ms(*time), "gaugeValue": {"doubleValue": value}})
        };
        let points: Vec<Value> = series.timestamps_ms.iter().zip(&series.values).map(point).collect();
        json!({"labels": labels, "metricPoints": points})
    }

    fn ask(&self, state: &ApiState, context: &QueryContext) -> Result<Value, QueryError> {
        let mut last = Value::Null;
        for names in &NAMES {
            let query = self.query(names);
            let answer = state.promql.range(&query, self.start_ms, self.end_ms, self.step_ms, None, context)?;
            let series = match answer.value {
                PromValue::Matrix(series) => series,
                _ => Vec::new(),
            };
            last = self.answer(&series, names);
            if !series.is_empty() {
                break;
            }
        }
        Ok(last)
    }
}

pub(super) async fn monitor(
    State(state): Shared,
    Path(what): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    if !["latencies", "calls", "errors"].contains(&what.as_str()) {
        return Ok(not_found().await);
    }
    let asked = Asked::of(&what, &params, state.clock.wall_ms() as u64)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| asked.ask(state, context);
    let family = run(&state, None, work).await?.map_err(|error| {
        let status = match error {
            QueryError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            QueryError::Parse(_) | QueryError::Type(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError::new(status, error.to_string())
    })?;
    Ok(json(StatusCode::OK, &family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_promql() {
        for (what, more) in [("calls", ""), ("errors", "&groupByOperation=true"), ("latencies", "&quantile=0.95")] {
            let text = format!("service=a.b%22c&service=d&spanKind=server&spanKind=client{more}");
            let asked = Asked::of(what, &Params::parse(&text), 1_000_000).unwrap();
            for names in &NAMES {
                let query = asked.query(names);
                bramble_query_promql::parse(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
                assert!(query.contains("=~\"a\\\\.b\\\"c|d\""), "{query}");
            }
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        for (text, word) in [
            ("quantile=0.5", "service"),
            ("service=s", "quantile"),
            ("service=s&quantile=2", "quantile"),
            ("service=s&quantile=0.5&step=x", "step"),
            ("service=s&quantile=0.5&spanKind=x", "spanKind"),
            ("service=s&quantile=0.5&groupByOperation=x", "groupByOperation"),
            ("service=s&quantile=0.5&lookback=900000000000&step=1", "steps"),
        ] {
            let error = Asked::of("latencies", &Params::parse(text), 0).err().unwrap();
            assert!(error.message.contains(word), "{text}: {error:?}");
        }
    }
}
