//! VictoriaMetrics' `/api/v1/export`: raw samples as lines of JSON, one series each.
//!
//! Takes `match[]` (repeated), `start` and `end` (default: everything up to now), `max_rows_per_line`. The
//! answer is sent as it is read: memory is that of one series. `reduce_mem_usage` is taken and changes nothing.
//! Native histograms have no form in these lines and are left out.

use super::asked::selectors_of;
use super::bulk::{self, BulkError, Pieces};
use crate::api::text;
use crate::params::{Params, parse_time_ms};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_signal::{Labels, Matcher, SeriesSamples};
use bramble_storage::{MetricSelect, QueryContext};
use bramble_wire::victoria::write_lines;
use http::StatusCode;
use std::sync::Arc;

/// What is asked.
struct Ask {
    selectors: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
    rows_max: usize,
}

/// Times above this are milliseconds, as VictoriaMetrics takes them: the year 5138 in seconds.
const SECONDS_MAX_MS: i64 = 100_000_000_000_000;

fn time_of(params: &Params, name: &str, default_ms: i64) -> Result<i64, String> {
    let Some(text) = params.get(name) else { return Ok(default_ms) };
    let ms = parse_time_ms(text).map_err(|error| format!("{name}: {error}"))?;
    Ok(if ms > SECONDS_MAX_MS { ms / 1000 } else { ms })
}

fn ask(params: &Params, now_ms: i64) -> Result<Ask, String> {
    let selectors = selectors_of(params)?;
    if selectors.is_empty() {
        return Err("match[] is missing: it selects the series to export".to_owned());
    }
    let rows_max = match params.get("max_rows_per_line") {
        None => usize::MAX,
        Some(text) => match text.parse() {
            Ok(0) => usize::MAX,
            Ok(rows) => rows,
            Err(_) => return Err("max_rows_per_line must be a number".to_owned()),
        },
    };
    let (start_ms, end_ms) = (time_of(params, "start", 0)?, time_of(params, "end", now_ms)?);
    Ok(Ask { selectors, start_ms, end_ms, rows_max })
}

pub(super) async fn export(State(state): State<Arc<ApiState>>, params: Params) -> Response {
    let ask = match ask(&params, state.clock.wall_ms()) {
        Ok(ask) => ask,
        Err(message) => return text(StatusCode::BAD_REQUEST, format!("{message}\n")),
    };
    let work = move |state: &Arc<ApiState>, context: &QueryContext, pieces: &mut Pieces<'_>| {
        let mut series = SeriesSamples::default();
        for (at, matchers) in ask.selectors.iter().enumerate() {
            let earlier = ask.selectors.get(..at).unwrap_or_default();
            let select = MetricSelect { matchers, start_ms: ask.start_ms, end_ms: ask.end_ms };
            let mut cursor = state.metrics.select(&select, context)?;
            while cursor.next(&mut series)? {
                if earlier.iter().any(|matchers| all_match(matchers, &series.labels)) {
                    continue;
                }
                write_lines(&series, ask.rows_max, &mut pieces.buffer);
                pieces.item_done()?;
            }
        }
        Ok(())
    };
    bulk::answer(&state, "application/stream+json; charset=utf-8", work).await.unwrap_or_else(BulkError::into_text)
}

/// Whether a selector finds the series, so that it was told already.
fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or("")))
}
