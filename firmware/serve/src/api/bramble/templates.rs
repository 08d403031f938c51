//! `GET /api/v1/logs/templates`: lines by template, stream by stream, with what is new and what is rare.

use crate::api::json;
use crate::api::loki::{ApiError, Asked, number, time};
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_storage::{QueryContext, TemplateCounts};
use http::StatusCode;
use serde::{Serialize, Serializer};
use std::cmp::Reverse;
use std::sync::Arc;

/// Templates of an answer when nothing is said, and at most.
const LIMIT: i64 = 100;
const LIMIT_MAX: i64 = 5000;
/// Templates that are sorted to find the rarest or newest among them.
const SORTED_MAX: usize = 10_000;

/// The range when nothing is said: an hour.
const RANGE_NS: i64 = 3_600_000_000_000;

/// What comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    /// Most lines.
    Count,
    /// Fewest lines.
    Rare,
    /// Seen first most recently.
    New,
}

impl Sort {
    fn of(params: &Params) -> Result<Self, ApiError> {
        match params.get("sort") {
            None | Some("count") => Ok(Sort::Count),
            Some("rare") => Ok(Sort::Rare),
            Some("new") => Ok(Sort::New),
            Some(other) => Err(ApiError::bad(format!("sort is count, rare or new, not '{other}'"))),
        }
    }

    fn apply(self, found: &mut [TemplateCounts]) {
        // Ties by text, so that equal requests have equal answers.
        found.sort_by(|a, b| {
            let order = match self {
                Sort::Count => Reverse(a.count).cmp(&Reverse(b.count)),
                Sort::Rare => a.count.cmp(&b.count),
                Sort::New => Reverse(a.first_ns).cmp(&Reverse(b.first_ns)),
            };
            order.then_with(|| a.pattern.cmp(&b.pattern)).then_with(|| a.labels.cmp(&b.labels))
        });
    }
}

struct LabelsJson<'a>(&'a bramble_signal::Labels);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Template<'a> {
    pattern: &'a str,
    example: String,
    labels: LabelsJson<'a>,
    count: u64,
    /// Nanoseconds, as text.
    first_seen: String,
    last_seen: String,
    new: bool,
    samples: Vec<(i64, u64)>,
}

impl<'a> Template<'a> {
    fn of(counts: &'a TemplateCounts, since_ns: i64) -> Self {
        Template {
            pattern: &counts.pattern,
            example: String::from_utf8_lossy(&counts.example).into_owned(),
            labels: LabelsJson(&counts.labels),
            count: counts.count,
            first_seen: counts.first_ns.to_string(),
            last_seen: counts.last_ns.to_string(),
            new: counts.first_ns >= since_ns,
            samples: counts.samples.iter().map(|(ns, n)| (ns.div_euclid(1_000_000_000), *n)).collect(),
        }
    }
}

pub(super) async fn templates(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let end_ns = time(&params, "end", state.clock.wall_ms().saturating_mul(1_000_000))?;
    let start_ns = time(&params, "start", end_ns.saturating_sub(RANGE_NS))?;
    let asked = Asked::of(&params, (start_ns, end_ns))?;
    let since_ns = time(&params, "since", start_ns)?;
    let sort = Sort::of(&params)?;
    let limit = number(&params, "limit")?.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::bad(format!("limit is 1 to {LIMIT_MAX}")));
    }
    let limit = limit as usize;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let most = if sort == Sort::Count { limit + 1 } else { SORTED_MAX };
        let mut found = asked.templates(state, most, context)?;
        sort.apply(&mut found);
        let truncated = found.len() > limit || found.len() >= most;
        found.truncate(limit);
        Ok::<_, bramble_storage::ReadError>((found, truncated, context.warnings()))
    };
    let (found, truncated, warnings) = run(&state, None, work).await??;
    let listed: Vec<Template<'_>> = found.iter().map(|counts| Template::of(counts, since_ns)).collect();
    let mut body = serde_json::json!({"status": "success", "data": {"templates": listed, "truncated": truncated}});
    if !warnings.is_empty() {
        body["warnings"] = warnings.into();
    }
    Ok(json(StatusCode::OK, &body))
}
