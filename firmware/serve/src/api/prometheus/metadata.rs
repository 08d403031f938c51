//! `/metadata`.

use super::answer::{ApiError, success};
use super::asked::number_of;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_signal::MetricMetadata;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Serialize)]
struct MetadataJson {
    #[serde(rename = "type")]
    kind: &'static str,
    help: String,
    unit: String,
}

pub(super) async fn metadata(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let limit = number_of(&params, "limit", -1)?;
    let per_metric = number_of(&params, "limit_per_metric", -1)?;
    let wanted = params.get("metric");
    let mut families: BTreeMap<String, Vec<MetadataJson>> = BTreeMap::new();
    // Other hubs may be asked, which takes a while.
    let found = run(&state, None, |state, _| state.metrics.metadata()).await?;
    for MetricMetadata { name, kind, help, unit } in found {
        if wanted.is_some_and(|w| w != name) {
            continue;
        }
        if limit >= 0 && families.len() as i64 >= limit && !families.contains_key(&name) {
            break;
        }
        let entries = families.entry(name).or_default();
        if per_metric <= 0 || (entries.len() as i64) < per_metric {
            entries.push(MetadataJson { kind: kind.as_str(), help, unit });
        }
    }
    Ok(success(families))
}
