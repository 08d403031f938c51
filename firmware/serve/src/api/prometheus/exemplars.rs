//! `/query_exemplars`.

use super::answer::{ApiError, success, success_with};
use super::asked::time_of;
use super::value::{LabelsJson, Number, Seconds};
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_promql::{Expr, parse, selectors};
use bramble_signal::{Exemplar, Labels};
use bramble_storage::{MetricSelect, QueryContext, ReadError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Serialize)]
struct SeriesJson<'a> {
    #[serde(rename = "seriesLabels")]
    labels: LabelsJson<'a>,
    exemplars: Vec<ExemplarJson<'a>>,
}

#[derive(Serialize)]
struct ExemplarJson<'a> {
    labels: LabelsJson<'a>,
    value: Number,
    timestamp: Seconds,
}

/// What a reserved exemplar costs beside its labels, in bytes.
const EXEMPLAR_BYTES: usize = 64;

type Found = BTreeMap<Labels, Vec<Exemplar>>;

/// Exemplars of every selector of the expression, each series once.
fn find(expr: &Expr, range: (i64, i64), state: &ApiState, context: &QueryContext) -> Result<Found, ReadError> {
    let mut found = Found::new();
    for matchers in selectors(expr) {
        context.check()?;
        let select = MetricSelect { matchers: &matchers, start_ms: range.0, end_ms: range.1 };
        for series in state.metrics.exemplars(&select, context)? {
            let bytes = series.exemplars.iter().map(|e| e.labels.as_bytes().len() + EXEMPLAR_BYTES).sum();
            context.reserve(bytes)?;
            found.entry(series.labels).or_insert(series.exemplars);
        }
    }
    Ok(found)
}

pub(super) async fn exemplars(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let start_ms = time_of(&params, "start", super::asked::EVER_MS.0)?;
    let end_ms = time_of(&params, "end", super::asked::EVER_MS.1)?;
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parse(params.raw("query").unwrap_or("")).map_err(|e| ApiError::bad_data(e.to_string()))?;
    if selectors(&expr).is_empty() {
        // Prometheus leaves `data` out then.
        return Ok(crate::api::json(http::StatusCode::OK, &serde_json::json!({"status": "success"})));
    }
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        find(&expr, (start_ms, end_ms), state, context).map(|found| (found, context.warnings()))
    };
    let (found, warnings) = run(&state, None, work).await??;
    let series = found.iter().filter(|(_, exemplars)| !exemplars.is_empty()).map(|(labels, exemplars)| SeriesJson {
        labels: LabelsJson(labels),
        exemplars: exemplars
            .iter()
            .map(|e| ExemplarJson {
                labels: LabelsJson(&e.labels),
                value: Number(e.value),
                timestamp: Seconds(e.timestamp_ms),
            })
            .collect(),
    });
    let series: Vec<_> = series.collect();
    Ok(if warnings.is_empty() { success(series) } else { success_with(series, warnings, Vec::new()) })
}
