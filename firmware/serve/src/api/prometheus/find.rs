//! `/series`, `/labels`, `/label/<name>/values`.

use super::answer::{ApiError, TRUNCATED, success_with};
use super::asked::{EVER_MS, limit_of, selectors_of, time_of};
use super::value::LabelsJson;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_signal::{Labels, Matcher};
use bramble_storage::{MetricSelect, QueryContext, ReadError};
use http::Uri;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What these calls have in common: selectors, range, limit.
struct Find {
    selectors: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
    limit: usize,
}

/// `bad_selector` words what is wrong with a selector, since the calls differ in it.
fn find_of(params: &Params, bad_selector: fn(String) -> ApiError) -> Result<Find, ApiError> {
    let limit = limit_of(params)?;
    let (start_ms, end_ms) = (time_of(params, "start", EVER_MS.0)?, time_of(params, "end", EVER_MS.1)?);
    let selectors = selectors_of(params).map_err(bad_selector)?;
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

    fn cut<T>(&self, found: BTreeSet<T>, mut warnings: Vec<String>) -> (Vec<T>, Vec<String>) {
        let mut found: Vec<T> = found.into_iter().collect();
        if self.limit > 0 && found.len() > self.limit {
            found.truncate(self.limit);
            warnings.push(TRUNCATED.to_owned());
        }
        (found, warnings)
    }
}

pub(super) async fn series(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    if params.all(&["match[]"]).next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let find = find_of(&params, |e| ApiError::parameter("match[]", e))?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let found: BTreeSet<Labels> = find.union(|select| state.metrics.series(select, context))?;
        Ok::<_, ReadError>(find.cut(found, context.warnings()))
    };
    let (found, warnings) = run(&state, None, work).await??;
    Ok(success_with(found.iter().map(LabelsJson).collect::<Vec<_>>(), warnings, Vec::new()))
}

pub(super) async fn label_names(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let find = find_of(&params, ApiError::bad_data)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        let found = find.union(|select| state.metrics.label_names(select, context))?;
        Ok::<_, ReadError>(find.cut(found, context.warnings()))
    };
    let (found, warnings) = run(&state, None, work).await??;
    Ok(success_with(found, warnings, Vec::new()))
}

pub(super) async fn label_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    uri: Uri,
    params: Params,
) -> Result<Response, ApiError> {
    if name.is_empty() {
        return Ok(super::status::not_found(uri).await);
    }
    let name = unescape(&name);
    let find = find_of(&params, ApiError::bad_data)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| {
        if find.limit == 0 {
            let found = find.union(|select| state.metrics.label_values(&name, select, context))?;
            return Ok((found.into_iter().collect(), context.warnings()));
        }
        let mut any_more = false;
        let found = find.union(|select| {
            let (values, more) = state.metrics.some_label_values(&name, select, find.limit, context)?;
            any_more |= more;
            Ok(values)
        })?;
        let (values, mut warnings) = find.cut(found, context.warnings());
        if any_more && !warnings.iter().any(|w| w == TRUNCATED) {
            warnings.push(TRUNCATED.to_owned());
        }
        Ok::<(Vec<String>, Vec<String>), ReadError>((values, warnings))
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
