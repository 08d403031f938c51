//! What is scraped: `/targets`, `/scrape_pools`, `/targets/metadata`, `/targets/relabel_steps`.

use super::answer::{ApiError, success};
use super::asked::number_of;
use crate::params::Params;
use crate::scraping::{LabelMap, TargetLists};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_promql::parse_selector;
use bramble_signal::{Labels, Matcher};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<ApiState>>;

pub(super) async fn scrape_pools(State(state): Shared) -> Response {
    let mut pools = state.scraping.pools();
    pools.sort();
    success(json!({"scrapePools": pools}))
}

pub(super) async fn targets(State(state): Shared, params: Params) -> Response {
    let state_of = params.get("state").map(str::to_ascii_lowercase);
    let wants = |kind: &str| state_of.as_deref().is_none_or(|asked| asked == "any" || asked == kind);
    let TargetLists { active, dropped, dropped_counts } = state.scraping.targets(params.get("scrapePool"));
    let active = if wants("active") { active } else { Vec::new() };
    let (dropped, counts) = if wants("dropped") { (dropped, json!(dropped_counts)) } else { (Vec::new(), Value::Null) };
    success(json!({"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts}))
}

#[derive(Serialize)]
struct FamilyJson {
    target: LabelMap,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    help: String,
    unit: String,
}

pub(super) async fn metadata(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let limit = number_of(&params, "limit", -1)?;
    let matchers = match params.get("match_target") {
        Some(text) => parse_selector(text).map_err(|e| ApiError::parameter("match_target", e))?,
        None => Vec::new(),
    };
    let fits = |labels: &Labels| matchers.iter().all(|m: &Matcher| m.matches(labels.get(&m.name).unwrap_or("")));
    let metric = params.get("metric").filter(|name| !name.is_empty());
    // A limit of 0 asks for everything in Prometheus, too; so does one below.
    let limit = usize::try_from(limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
    let found = state.scraping.families(&fits, metric, limit);
    let shown = found.into_iter().map(|(target, family)| FamilyJson {
        target: map_of(&target),
        // Who asks for one metric knows its name.
        metric: metric.is_none().then(|| family.name.clone()),
        kind: family.kind.as_str(),
        help: family.help.clone(),
        unit: family.unit.clone(),
    });
    Ok(success(shown.collect::<Vec<_>>()))
}

fn map_of(labels: &Labels) -> LabelMap {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(super) async fn relabel_steps(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let Some(pool) = params.get("scrapePool").filter(|pool| !pool.is_empty()) else {
        return Err(ApiError::bad_data("no scrapePool parameter provided"));
    };
    let labels: LabelMap = serde_json::from_str(params.get("labels").unwrap_or(""))
        .map_err(|error| ApiError::bad_data(format!("error parsing labels: {error}")))?;
    let steps = state.scraping.relabel_steps(pool, labels).map_err(ApiError::bad_data)?;
    Ok(success(json!({"steps": steps})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scraping::{ActiveTarget, DroppedTarget, RelabelStep, Scraping};
    use crate::testing;
    use bramble_signal::{MetricKind, MetricMetadata};
    use bramble_storage::memory::{MemoryLogs, MemoryMetrics};
    use http_body_util::BodyExt;
    use std::collections::BTreeMap;

    /// One target and one that is dropped.
    struct OneOfEach;

    fn labels(pairs: &[(&str, &str)]) -> LabelMap {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    impl Scraping for OneOfEach {
        fn pools(&self) -> Vec<String> {
            vec!["node".to_owned(), "a".to_owned()]
        }

        fn targets(&self, pool: Option<&str>) -> TargetLists {
            if pool == Some("none") {
                return TargetLists::default();
            }
            let active = ActiveTarget {
                discovered_labels: labels(&[("__address__", "h:1")]),
                labels: labels(&[("job", "node")]),
                scrape_pool: "node".to_owned(),
                scrape_url: "http://h:1/metrics".to_owned(),
                global_url: "http://h:1/metrics".to_owned(),
                last_error: String::new(),
                last_scrape: "2026-11-21T00:00:00Z".to_owned(),
                last_scrape_duration: 0.5,
                health: "up",
                scrape_interval: "15s".to_owned(),
                scrape_timeout: "10s".to_owned(),
            };
            let dropped =
                DroppedTarget { discovered_labels: labels(&[("__address__", "x")]), scrape_pool: "a".to_owned() };
            let dropped_counts = BTreeMap::from([("a".to_owned(), 1), ("node".to_owned(), 0)]);
            TargetLists { active: vec![active], dropped: vec![dropped], dropped_counts }
        }

        fn families(
            &self,
            matches: &dyn Fn(&Labels) -> bool,
            _: Option<&str>,
            _: usize,
        ) -> Vec<(Labels, Arc<MetricMetadata>)> {
            let target = Labels::from_pairs([("job", "node")]);
            let family = MetricMetadata {
                name: "up".to_owned(),
                kind: MetricKind::Gauge,
                help: "h".to_owned(),
                unit: String::new(),
            };
            if matches(&target) { vec![(target, Arc::new(family))] } else { Vec::new() }
        }

        fn relabel_steps(&self, pool: &str, labels: LabelMap) -> Result<Vec<RelabelStep>, String> {
            assert_eq!(pool, "node");
            Ok(vec![RelabelStep { rule: json!({}), output: labels, keep: true }])
        }
    }

    async fn data(response: Response) -> Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()["data"].take()
    }

    fn state() -> Shared {
        let mut state = testing::state(Arc::new(MemoryMetrics::default()), Arc::new(MemoryLogs::default()), 1 << 20);
        state.scraping = Arc::new(OneOfEach);
        State(Arc::new(state))
    }

    #[tokio::test]
    async fn targets_are_listed_by_state() {
        let all = data(targets(state(), Params::parse("")).await).await;
        assert_eq!(all["activeTargets"][0]["discoveredLabels"]["__address__"], "h:1");
        assert_eq!(all["droppedTargetCounts"], json!({"a": 1, "node": 0}));
        let active = data(targets(state(), Params::parse("state=active")).await).await;
        assert_eq!((active["droppedTargets"].clone(), active["droppedTargetCounts"].clone()), (json!([]), Value::Null));
        let dropped = data(targets(state(), Params::parse("state=dropped")).await).await;
        assert_eq!(
            (dropped["activeTargets"].clone(), dropped["droppedTargets"][0]["scrapePool"].clone()),
            (json!([]), json!("a"))
        );
        assert_eq!(data(scrape_pools(state()).await).await, json!({"scrapePools": ["a", "node"]}));
    }

    #[tokio::test]
    async fn metadata_is_told_of_targets_that_match() {
        let of = |query: &'static str| async move {
            data(metadata(state(), Params::parse(query)).await.unwrap_or_else(|e| panic!("{}", e.message))).await
        };
        let expected = json!([{"target": {"job": "node"}, "metric": "up", "type": "gauge", "help": "h", "unit": ""}]);
        assert_eq!(of("match_target={job=\"node\"}").await, expected);
        assert_eq!(of("match_target={job=\"x\"}").await, json!([]));
        assert!(of("metric=up").await[0].get("metric").is_none());
        let refused = metadata(state(), Params::parse("match_target={job=")).await.err().unwrap();
        assert!(refused.message.starts_with("invalid parameter \"match_target\": 1:"), "{}", refused.message);
    }

    #[tokio::test]
    async fn rules_are_shown_step_by_step() {
        let asked = Params::parse("scrapePool=node&labels={\"a\":\"b\"}");
        let steps = data(relabel_steps(state(), asked).await.unwrap()).await;
        assert_eq!(steps, json!({"steps": [{"rule": {}, "output": {"a": "b"}, "keep": true}]}));
        for bad in ["", "scrapePool=node", "scrapePool=node&labels=x"] {
            assert!(relabel_steps(state(), Params::parse(bad)).await.is_err(), "{bad}");
        }
    }
}
