//! `/series`, `/labels`, `/label/<name>/values`, `/metadata`.

use super::answer::{ApiError, LabelsJson, success, success_with};
use crate::params::{Params, parse_time_ms};
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_promql::parse_selector;
use bramble_signal::{Labels, Matcher, MetricMetadata};
use bramble_storage::{MetricSelect, QueryContext, ReadError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What these calls have in common: selectors, range, limit.
struct Find {
    selectors: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
    limit: usize,
}

fn find_of(params: &Params) -> Result<Find, ApiError> {
    let time = |name: &str, default: i64| match params.get(name) {
        None => Ok(default),
        Some(text) => {
            parse_time_ms(text).map_err(|e| ApiError::parameter(name, format!("invalid time value for '{name}': {e}")))
        }
    };
    let limit = match params.get("limit") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::parameter("limit", format!("cannot parse \"{text}\" to a valid limit")))?,
    };
    let (start_ms, end_ms) = (time("start", i64::MIN / 2)?, time("end", i64::MAX / 2)?);
    let mut selectors = Vec::new();
    for text in params.all(&["match[]"]) {
        let matchers = parse_selector(text).map_err(|e| ApiError::parameter("match[]", e))?;
        if matchers.iter().all(Matcher::matches_absent) {
            return Err(ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher"));
        }
        selectors.push(matchers);
    }
    Ok(Find { selectors, start_ms, end_ms, limit })
}

impl Find {
    fn select<'a>(&self, matchers: &'a [Matcher]) -> MetricSelect<'a> {
        MetricSelect { matchers, start_ms: self.start_ms, end_ms: self.end_ms }
    }

    /// The union over all selectors, or over everything when there are none.
    fn union<T: Ord>(
        &self,
        mut ask: impl FnMut(&MetricSelect<'_>) -> Result<Vec<T>, ReadError>,
    ) -> Result<BTreeSet<T>, ReadError> {
        if self.selectors.is_empty() {
            return Ok(ask(&self.select(&[]))?.into_iter().collect());
        }
        let mut all = BTreeSet::new();
        for matchers in &self.selectors {
            all.extend(ask(&self.select(matchers))?);
        }
        Ok(all)
    }

    fn cut<T>(&self, mut found: Vec<T>, mut warnings: Vec<String>) -> (Vec<T>, Vec<String>) {
        if self.limit > 0 && found.len() > self.limit {
            found.truncate(self.limit);
            warnings.push("results truncated due to limit".to_owned());
        }
        (found, warnings)
    }
}

pub(super) async fn series(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    if params.all(&["match[]"]).next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let find = find_of(&params)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let found = find.union(|select| state.metrics.series(select, context))?;
        Ok::<_, ReadError>(find.cut(found.into_iter().collect::<Vec<Labels>>(), context.warnings()))
    };
    let (found, warnings) = run(&state, None, work).await??;
    Ok(success_with(found.iter().map(LabelsJson).collect::<Vec<_>>(), warnings, Vec::new()))
}

pub(super) async fn label_names(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let find = find_of(&params).map_err(strip_match)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let found = find.union(|select| state.metrics.label_names(select, context))?;
        Ok::<_, ReadError>(find.cut(found.into_iter().collect::<Vec<String>>(), context.warnings()))
    };
    let (found, warnings) = run(&state, None, work).await??;
    Ok(success_with(found, warnings, Vec::new()))
}

/// Prometheus words a bad selector without the parameter's name in these two calls.
fn strip_match(mut error: ApiError) -> ApiError {
    if let Some(rest) = error.message.strip_prefix("invalid parameter \"match[]\": ") {
        error.message = rest.to_owned();
    }
    error
}

pub(super) async fn label_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescape(&name);
    let find = find_of(&params).map_err(strip_match)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let found = find.union(|select| state.metrics.label_values(&name, select, context))?;
        Ok::<_, ReadError>(find.cut(found.into_iter().collect::<Vec<String>>(), context.warnings()))
    };
    let (found, warnings) = run(&state, None, work).await??;
    Ok(success_with(found, warnings, Vec::new()))
}

/// Prometheus' value encoding of names that are not plain: `U__` and then `_2e_` for a dot, `__` for an underscore.
fn unescape(name: &str) -> String {
    let Some(rest) = name.strip_prefix("U__") else { return name.to_owned() };
    let (mut out, mut chars) = (String::new(), rest.chars());
    while let Some(c) = chars.next() {
        if c != '_' {
            out.push(c);
            continue;
        }
        let code: String = chars.by_ref().take_while(|c| *c != '_').collect();
        if code.is_empty() {
            out.push('_');
        } else {
            match u32::from_str_radix(&code, 16).ok().and_then(char::from_u32) {
                Some(c) => out.push(c),
                None => return name.to_owned(),
            }
        }
    }
    out
}

#[derive(Serialize)]
struct MetadataJson {
    #[serde(rename = "type")]
    kind: &'static str,
    help: String,
    unit: String,
}

pub(super) async fn metadata(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let number = |name: &str| match params.get(name) {
        None => Ok(i64::MAX),
        Some(text) => text.parse::<i64>().map_err(|_| ApiError::bad_data(format!("{name} must be a number"))),
    };
    let (limit, _per_metric) = (number("limit")?, number("limit_per_metric")?);
    let wanted = params.get("metric");
    let mut families: BTreeMap<String, Vec<MetadataJson>> = BTreeMap::new();
    for m in state.metrics.metadata() {
        let MetricMetadata { name, kind, help, unit } = m;
        if wanted.is_none_or(|w| w == name) && (families.len() as i64) < limit {
            families.entry(name).or_default().push(MetadataJson { kind: kind.as_str(), help, unit });
        }
    }
    Ok(success(families))
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn names_unescape() {
        assert_eq!(unescape("U__my_2e_label"), "my.label");
        assert_eq!(unescape("U__a__b"), "a_b");
        assert_eq!(unescape("plain"), "plain");
        assert_eq!(unescape("U__bad_zz_"), "U__bad_zz_");
    }
}
