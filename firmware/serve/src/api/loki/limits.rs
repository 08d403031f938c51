//! Limits on queries, under Loki's names and with its texts, and `/drilldown-limits`, where the Logs Drilldown app reads
//! them.

use super::answer::ApiError;
use crate::api::json;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_logql::Answer;
use bramble_query_logql::syntax::duration_text;
use bramble_query_promql::syntax::format_duration;
use bramble_wire::loki::SERVICE_LABELS;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Names of labels in which a line's level is looked for.
const LEVEL_FIELDS: [&str; 9] =
    ["level", "LEVEL", "Level", "severity", "SEVERITY", "Severity", "lvl", "LVL", "log.level"];
/// Limits on queries; a duration of zero stands for none.
#[derive(Clone, Copy, Debug)]
pub struct LokiLimits {
    /// Lines that one query may ask for.
    pub max_entries_limit_per_query: usize,
    /// Longest range of one query.
    pub max_query_length: Duration,
    /// How far back queries see; what is older is as if it were not there.
    pub max_query_lookback: Duration,
    /// Series that a metric query may give.
    pub max_query_series: usize,
    /// Series that an answer about volumes may have.
    pub volume_max_series: usize,
    /// Whether `approx_topk` is answered, exactly; Loki refuses it unless it shards queries.
    pub approx_topk: bool,
    /// How long logs are kept.
    pub retention_period: Duration,
    /// Longest line that is stored, bytes.
    pub max_line_bytes: usize,
    /// Whether lines get a level when they come in.
    pub discover_log_levels: bool,
    /// Whether streams get a `service_name` when they come in.
    pub discover_service_name: bool,
}

impl Default for LokiLimits {
    fn default() -> Self {
        LokiLimits {
            max_entries_limit_per_query: 5000,
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_lookback: Duration::ZERO,
            max_query_series: 500,
            volume_max_series: 1000,
            approx_topk: false,
            retention_period: Duration::ZERO,
            max_line_bytes: 256 << 10,
            discover_log_levels: true,
            discover_service_name: true,
        }
    }
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A duration as Prometheus prints it: `30d1h`.
fn short(duration: Duration) -> String {
    format_duration(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

impl LokiLimits {
    /// The part of a range that may be asked about; `None` when there is nothing of it.
    pub(super) fn allowed(&self, (start_ns, end_ns): (i64, i64), now_ns: i64) -> Result<Option<(i64, i64)>, ApiError> {
        let mut start_ns = start_ns;
        if !self.max_query_lookback.is_zero() {
            start_ns = start_ns.max(now_ns.saturating_sub(ns(self.max_query_lookback)));
            if end_ns < start_ns {
                return Ok(None);
            }
        }
        let length_ns = end_ns.saturating_sub(start_ns);
        if !self.max_query_length.is_zero() && length_ns > ns(self.max_query_length) {
            return Err(ApiError::bad(format!(
                "the query time range exceeds the limit (query length: {}, limit: {})",
                duration_text(length_ns),
                short(self.max_query_length)
            )));
        }
        Ok(Some((start_ns, end_ns)))
    }

    /// Refuses an answer with too many series.
    pub(super) fn check_series(&self, answer: &Answer) -> Result<(), ApiError> {
        let series = match answer {
            Answer::Vector(series) | Answer::Matrix(series) => series.len(),
            Answer::Streams(_) | Answer::Scalar { .. } => 0,
        };
        if self.max_query_series > 0 && series > self.max_query_series {
            return Err(ApiError::bad(format!(
                "maximum number of series ({}) reached for a single query; consider reducing query cardinality by adding more \
                 specific stream selectors, reducing the time range, or aggregating results with functions like sum(), \
                 count() or topk()",
                self.max_query_series
            )));
        }
        Ok(())
    }
}

pub(super) async fn drilldown(State(state): State<Arc<ApiState>>) -> Response {
    let limits = &state.loki_limits;
    let services: &[&str] = if limits.discover_service_name { &SERVICE_LABELS } else { &[] };
    let body = json!({
        "limits": {
            "discover_log_levels": limits.discover_log_levels,
            "discover_service_name": services,
            "log_level_fields": LEVEL_FIELDS,
            "max_entries_limit_per_query": limits.max_entries_limit_per_query,
            "max_line_size_truncate": false,
            "max_query_bytes_read": "0B",
            "max_query_length": short(limits.max_query_length),
            "max_query_lookback": short(limits.max_query_lookback),
            "max_query_range": "0s",
            "max_query_series": limits.max_query_series,
            "metric_aggregation_enabled": false,
            "otlp_config": {},
            "pattern_persistence_enabled": true,
            "query_timeout": short(state.query_timeout),
            "retention_period": short(limits.retention_period),
            "volume_enabled": true,
            "volume_max_series": limits.volume_max_series,
        },
        "pattern_ingester_enabled": true,
        "version": super::status::LEVEL,
        "mode": "active",
    });
    json(StatusCode::OK, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_query_logql::{LabelSet, Series};

    #[test]
    fn ranges() {
        let hour = 3_600_000_000_000;
        let limits = LokiLimits { max_query_length: Duration::from_secs(7200), ..LokiLimits::default() };
        assert_eq!(limits.allowed((0, 2 * hour), 9 * hour).ok(), Some(Some((0, 2 * hour))));
        assert_eq!(
            limits.allowed((0, 3 * hour), 9 * hour).unwrap_err().1,
            "the query time range exceeds the limit (query length: 3h0m0s, limit: 2h)"
        );
        let limits = LokiLimits { max_query_lookback: Duration::from_secs(3600), ..limits };
        assert_eq!(limits.allowed((0, 9 * hour), 9 * hour).ok(), Some(Some((8 * hour, 9 * hour))));
        assert_eq!(limits.allowed((0, 7 * hour), 9 * hour).ok(), Some(None));
        assert_eq!([short(Duration::from_secs(721 * 3600)), short(Duration::from_millis(1500))], ["30d1h", "1s500ms"]);
        assert_eq!([short(Duration::ZERO), short(Duration::from_secs(14 * 86_400))], ["0s", "2w"]);
    }

    #[test]
    fn series() {
        let limits = LokiLimits { max_query_series: 2, ..LokiLimits::default() };
        let series = |n: usize| vec![Series { labels: LabelSet::default(), points: Vec::new() }; n];
        assert!(limits.check_series(&Answer::Vector(series(2))).is_ok());
        let refused = limits.check_series(&Answer::Matrix(series(3))).unwrap_err();
        assert!(refused.1.starts_with("maximum number of series (2) reached for a single query"), "{}", refused.1);
    }
}
