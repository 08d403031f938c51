//! `/api/dependencies`: calls between services.
//!
//! Where service-graph series are derived they are read: their increases over the time asked for, resets seen to, without
//! extrapolation. Otherwise spans are: parents and children of different services within one trace.

use super::answer::{ApiError, envelope};
use super::{Shared, number};
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_signal::{METRIC_NAME, Matcher, SeriesSamples, SpanBatch, SpanEntry, SpanId};
use bramble_storage::{MetricSelect, QueryContext, ReadError, SpanFields, SpanScan};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Requests between services, as Tempo's metrics generator names them.
const EDGES: &str = "traces_service_graph_request_total";

/// (from, to) and how often.
type Calls = BTreeMap<(String, String), u64>;

pub(super) async fn dependencies(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let end_ms = number(&params, "endTs", state.clock.wall_ms() as u64)?;
    let lookback_ms = number(&params, "lookback", 86_400_000)?;
    let range = (end_ms.saturating_sub(lookback_ms), end_ms);
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let calls = match of_series(state, range, context)? {
            calls if calls.is_empty() => of_spans(state, range, context)?,
            calls => calls,
        };
        Ok::<_, ReadError>((calls, context.warnings()))
    };
    let (calls, warnings) = run(&state, None, work).await??;
    let service = params.get("service");
    let list: Vec<Value> = calls
        .into_iter()
        .filter(|((parent, child), _)| service.is_none_or(|s| s == parent || s == child))
        .map(|((parent, child), n)| json!({"parent": parent, "child": child, "callCount": n}))
        .collect();
    let total = list.len();
    Ok(envelope(list, total, &warnings))
}

fn of_series(state: &ApiState, (start_ms, end_ms): (u64, u64), context: &QueryContext) -> Result<Calls, ReadError> {
    let ms = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let matchers = [Matcher::equal(METRIC_NAME, EDGES)];
    let select = MetricSelect { matchers: &matchers, start_ms: ms(start_ms), end_ms: ms(end_ms) };
    let mut cursor = state.metrics.select(&select, context)?;
    let (mut series, mut calls) = (SeriesSamples::default(), Calls::new());
    while cursor.next(&mut series)? {
        context.check()?;
        let (Some(client), Some(server)) = (series.labels.get("client"), series.labels.get("server")) else { continue };
        let count = increase(&series.values);
        if client != server && count > 0.0 {
            *calls.entry((client.to_owned(), server.to_owned())).or_default() += count.round() as u64;
        }
    }
    Ok(calls)
}

/// How much a counter grew between the first of its values and the last. Staleness markers and other NaNs are left out.
fn increase(values: &[f64]) -> f64 {
    let mut known = values.iter().copied().filter(|v| !v.is_nan());
    let Some(mut before) = known.next() else { return 0.0 };
    let mut sum = 0.0;
    for value in known {
        sum += if value < before { value } else { value - before };
        before = value;
    }
    sum
}

fn of_spans(state: &ApiState, (start_ms, end_ms): (u64, u64), context: &QueryContext) -> Result<Calls, ReadError> {
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let scan = SpanScan { fields: SpanFields::LEAST, ..SpanScan::whole(ns(start_ms), ns(end_ms), &[]) };
    let (mut cursor, mut batch, mut calls) = (state.traces.scan(&scan, context)?, SpanBatch::new(), Calls::new());
    while cursor.next(&mut batch)? {
        context.check()?;
        for spans in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            count_calls(&batch, spans, &mut calls);
        }
    }
    Ok(calls)
}

fn count_calls(batch: &SpanBatch, spans: &[SpanEntry], calls: &mut Calls) {
    let by_id: HashMap<SpanId, &SpanEntry> = spans.iter().map(|s| (s.span_id, s)).collect();
    for span in spans {
        let Some(parent) = by_id.get(&span.parent_span_id) else { continue };
        let (from, to) = (batch.service(parent), batch.service(span));
        if from != to {
            *calls.entry((from.to_owned(), to.to_owned())).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::increase;

    #[test]
    fn counters_grow_over_resets() {
        assert_eq!(increase(&[0.0, 2.0, f64::NAN, 5.0, 1.0, 4.0]), 9.0);
        assert_eq!((increase(&[]), increase(&[7.0])), (0.0, 0.0));
    }
}
