//! Measures over time by TraceQL. Asked over HTTP or gRPC, answered at once or as a stream.

use super::answer::{ApiError, Gaps, Statistics, protobuf, query, wants_protobuf};
use super::grpc::{Message, Work};
use super::limits::TempoLimits;
use super::times::{measured_range, now_ns, step_ns, whole};
use super::value::{attribute, number, write_attributes};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_traceql::{MetricSeries, MetricsOptions, Query, measure_with};
use bramble_storage::{QueryContext, ReadError};
use bramble_wire::protobuf::Writer;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between messages of a stream that show how far it came.
const PAUSE: Duration = Duration::from_millis(500);

/// When samples are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Every so many nanoseconds.
    Of(u64),
    /// One over the whole range.
    Whole,
}

/// What is asked for, as it comes by either way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: String,
    /// Nanoseconds.
    pub(super) range_ns: (u64, u64),
    pub(super) step: Step,
    pub(super) exemplars: Option<u64>,
    pub(super) max_series: Option<u64>,
}

/// A question that may run.
pub(super) struct Measuring {
    query: Query,
    options: MetricsOptions,
    exemplars: Option<usize>,
    series_max: usize,
    packet_bytes: usize,
}

impl Asked {
    fn of_params(params: &Params, now_ns: u64, is_instant: bool) -> Result<Self, ApiError> {
        let range_ns = measured_range(params, now_ns)?;
        let step = if is_instant { Step::Whole } else { Step::Of(step_ns(params, range_ns.1 - range_ns.0)?) };
        Ok(Asked {
            query: params.get("q").or(params.get("query")).unwrap_or("").to_owned(),
            range_ns,
            step,
            exemplars: whole(params, "exemplars")?,
            max_series: whole(params, "maxSeries")?,
        })
    }

    /// # Errors
    /// When it cannot be understood, measures nothing, or goes beyond a limit.
    pub(super) fn measure(self, limits: &TempoLimits) -> Result<Measuring, ApiError> {
        limits.check_query(&self.query)?;
        limits.check_metrics(self.range_ns)?;
        let query = query(&self.query)?;
        if query.metrics.is_none() {
            return Err(ApiError::bad("not a metrics query"));
        }
        let (start_ns, end_ns) = self.range_ns;
        let step_ns = match self.step {
            Step::Of(ns) => Some(ns),
            Step::Whole => None,
        };
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let series_max = [Some(limits.max_response_series), self.max_series.map(number)];
        Ok(Measuring {
            query,
            options: MetricsOptions { start_ns, end_ns, step_ns },
            exemplars: self.exemplars.map(|n| number(n).min(limits.max_exemplars)),
            series_max: series_max.into_iter().flatten().filter(|n| *n > 0).min().unwrap_or(usize::MAX),
            packet_bytes: limits.packet_bytes(),
        })
    }
}

struct Measured {
    series: Vec<MetricSeries>,
    gaps: Gaps,
    statistics: Statistics,
}

/// The series so far, made when they are wanted.
type SoFar<'a> = &'a dyn Fn() -> Vec<MetricSeries>;

impl Measuring {
    fn is_instant(&self) -> bool {
        self.options.step_ns.is_none()
    }

    fn measure(
        &self,
        state: &ApiState,
        context: &QueryContext,
        on_progress: &mut dyn FnMut(SoFar<'_>) -> bool,
    ) -> Result<Measured, ReadError> {
        let source = state.traces.as_ref();
        let found = measure_with(&self.query, source, &self.options, self.exemplars, context, on_progress)?;
        let mut gaps = Gaps::of(context, found.partial.as_ref().map(ToString::to_string));
        let mut series = found.series;
        if series.len() > self.series_max {
            gaps.add(format!("partial: response exceeds maximum of {} series", self.series_max));
            series.truncate(self.series_max);
        }
        Ok(Measured { series, gaps, statistics: Statistics::ended(context, found.partial.is_none()) })
    }

    fn write(&self, series: &MetricSeries, out: &mut Writer<'_>) {
        match (self.is_instant(), series.samples.last()) {
            (true, Some((_, value))) => write_instant(series, *value, out),
            (true, None) => {}
            (false, _) => write_range(series, out),
        }
    }

    /// The messages of an answer; series stay whole.
    fn messages(&self, series: &[MetricSeries]) -> Vec<Message> {
        let (mut done, mut now, mut one) = (Vec::new(), Message::new(), Vec::new());
        for series in series {
            one.clear();
            self.write(series, &mut Writer::new(&mut one));
            if now.len() > 0 && now.len() + one.len() + 256 > self.packet_bytes {
                done.push(std::mem::take(&mut now));
            }
            now.fields().extend_from_slice(&one);
        }
        done.push(now);
        done
    }

    pub(super) fn streamed(self) -> Work {
        Box::new(move |state, context, outbox| {
            let mut sent = Instant::now();
            let measured = self.measure(state, context, &mut |so_far| {
                if sent.elapsed() >= PAUSE && outbox.is_clear() {
                    let mut messages = self.messages(&so_far());
                    // What needs several messages is sent once, at the end: clients show the last message.
                    if let (Some(mut message), true) = (messages.pop(), messages.is_empty()) {
                        Statistics::running(context, 0.5).write(2, message.fields());
                        outbox.push(message);
                    }
                    sent = Instant::now();
                }
                outbox.send()
            })?;
            for mut message in self.messages(&measured.series) {
                measured.statistics.write(2, message.fields());
                measured.gaps.write(message.fields());
                context.reserve(message.len()).map_err(ReadError::from)?;
                outbox.push(message);
            }
            Ok(measured.gaps)
        })
    }

    fn json(&self, measured: &Measured) -> Value {
        let series: Vec<Value> = if self.is_instant() {
            measured.series.iter().filter_map(instant_json).collect()
        } else {
            measured.series.iter().map(range_json).collect()
        };
        // Grafana takes no other field in the answer for an instant (apis.md §5).
        let metrics = if self.is_instant() { json!({}) } else { measured.statistics.json() };
        let mut body = json!({"series": series, "metrics": metrics});
        measured.gaps.mark(&mut body);
        body
    }
}

fn labels(labels: &[(String, bramble_query_traceql::Value<'static>)]) -> Value {
    labels.iter().map(|(k, v)| attribute(k, v)).collect()
}

fn range_json(series: &MetricSeries) -> Value {
    let samples: Vec<Value> =
        series.samples.iter().map(|(ms, v)| json!({"timestampMs": ms.to_string(), "value": number(*v)})).collect();
    let mut out = json!({"labels": labels(&series.labels), "samples": samples});
    if !series.exemplars.is_empty() {
        let exemplars = series.exemplars.iter().map(
            |e| json!({"labels": labels(&e.labels), "value": number(e.value), "timestampMs": e.time_ms.to_string()}),
        );
        out["exemplars"] = exemplars.collect();
    }
    out
}

fn instant_json(series: &MetricSeries) -> Option<Value> {
    let (_, value) = series.samples.last()?;
    Some(json!({"labels": labels(&series.labels), "value": number(*value)}))
}

/// Field 1 of `QueryRangeResponse`: `TimeSeries{labels=1, samples=2{value=1, timestamp_ms=2}, exemplars=4{labels=1,
/// value=2, timestamp_ms=3}}`.
fn write_range(series: &MetricSeries, out: &mut Writer<'_>) {
    out.message(1, |w| {
        write_attributes(1, &series.labels, w);
        for (ms, value) in &series.samples {
            w.message(2, |sample| {
                sample.double(1, *value);
                sample.varint(2, ms.cast_unsigned());
            });
        }
        for exemplar in &series.exemplars {
            w.message(4, |e| {
                write_attributes(1, &exemplar.labels, e);
                e.double(2, exemplar.value);
                e.varint(3, exemplar.time_ms.cast_unsigned());
            });
        }
    });
}

/// Field 1 of `QueryInstantResponse`: `InstantSeries{labels=1, value=2}`.
fn write_instant(series: &MetricSeries, value: f64, out: &mut Writer<'_>) {
    out.message(1, |w| {
        write_attributes(1, &series.labels, w);
        w.double(2, value);
    });
}

async fn answered(
    state: Arc<ApiState>,
    headers: HeaderMap,
    params: Params,
    is_instant: bool,
) -> Result<Response, ApiError> {
    let measuring = Asked::of_params(&params, now_ns(&state), is_instant)?.measure(&state.tempo_limits)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        measuring.measure(state, context, &mut |_| true).map(|measured| (measured, measuring))
    };
    let (measured, measuring) = run(&state, None, work).await??;
    if !wants_protobuf(&headers) {
        return Ok(json(StatusCode::OK, &measuring.json(&measured)));
    }
    let mut body = Vec::new();
    measured.series.iter().for_each(|s| measuring.write(s, &mut Writer::new(&mut body)));
    measured.statistics.write(2, &mut body);
    measured.gaps.write(&mut body);
    Ok(protobuf(body))
}

/// `{"series": [{"labels": […], "samples": [{"timestampMs": "…", "value": …}], "exemplars": […]}]}`.
pub(super) async fn range(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    answered(state, headers, params, false).await
}

/// `{"series": [{"labels": […], "value": …}]}`.
pub(super) async fn instant(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    answered(state, headers, params, true).await
}
