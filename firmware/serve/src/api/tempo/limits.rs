//! Limits on queries, under Tempo's names.

use super::answer::ApiError;
use std::time::Duration;

/// Limits on queries; zero stands for none.
#[derive(Clone, Copy, Debug)]
pub struct TempoLimits {
    /// Traces of a search that names no limit.
    pub default_result_limit: usize,
    /// Most traces that a search may ask for.
    pub max_result_limit: usize,
    /// Most spans of each set that a search may ask for.
    pub max_spans_per_span_set: usize,
    /// Longest range of a search.
    pub max_search_duration: Duration,
    /// Longest range of a query that measures.
    pub max_metrics_duration: Duration,
    /// Most exemplars of one query.
    pub max_exemplars: usize,
    /// Most series of an answer; further ones are left out, and the answer says so.
    pub max_response_series: usize,
    /// Longest query, bytes.
    pub max_query_expression_size_bytes: usize,
    /// Largest message of a stream, bytes.
    pub max_grpc_streaming_packet_size: usize,
}

impl Default for TempoLimits {
    fn default() -> Self {
        TempoLimits {
            default_result_limit: 20,
            max_result_limit: 10_000,
            max_spans_per_span_set: 0,
            max_search_duration: Duration::ZERO,
            max_metrics_duration: Duration::ZERO,
            max_exemplars: 100,
            max_response_series: 1000,
            max_query_expression_size_bytes: 128 << 10,
            max_grpc_streaming_packet_size: 2 << 20,
        }
    }
}

/// Largest and smallest message of a stream, whatever the setting says: gRPC clients take 4 MiB unless told otherwise.
const PACKET_BYTES: (usize, usize) = (16 << 10, 3 << 20);

impl TempoLimits {
    /// How many traces a search gives.
    ///
    /// # Errors
    /// When `asked` is zero or too many.
    pub(super) fn result_limit(&self, asked: Option<u64>) -> Result<usize, ApiError> {
        let Some(asked) = asked else { return Ok(self.default_result_limit.max(1)) };
        let asked = usize::try_from(asked).unwrap_or(usize::MAX);
        match self.max_result_limit {
            _ if asked == 0 => Err(ApiError::bad("invalid limit: must be a positive number")),
            max if max > 0 && asked > max => {
                Err(ApiError::bad(format!("invalid limit: limit {asked} exceeds max limit {max}")))
            }
            _ => Ok(asked),
        }
    }

    /// How many spans of each set a search shows; `asked` zero for all.
    ///
    /// # Errors
    /// When `asked` is too many.
    pub(super) fn spans_per_set(&self, asked: Option<u64>) -> Result<usize, ApiError> {
        const DEFAULT: usize = 3;
        let max = self.max_spans_per_span_set;
        match asked.map(|n| usize::try_from(n).unwrap_or(usize::MAX)) {
            None => Ok(DEFAULT),
            Some(0) if max == 0 => Ok(usize::MAX),
            Some(asked) if max > 0 && (asked > max || asked == 0) => {
                Err(ApiError::bad(format!("invalid spss: spans per span set {asked} exceeds max {max}")))
            }
            Some(asked) => Ok(asked),
        }
    }

    /// # Errors
    /// When a search reaches over more time than it may.
    pub(super) fn check_search(&self, range_ns: (u64, u64)) -> Result<(), ApiError> {
        check_range(range_ns, self.max_search_duration, "search")
    }

    /// # Errors
    /// When a query that measures reaches over more time than it may.
    pub(super) fn check_metrics(&self, range_ns: (u64, u64)) -> Result<(), ApiError> {
        check_range(range_ns, self.max_metrics_duration, "metrics query")
    }

    /// # Errors
    /// When a query is longer than it may be.
    pub(super) fn check_query(&self, query: &str) -> Result<(), ApiError> {
        let (len, max) = (query.len(), self.max_query_expression_size_bytes);
        if max > 0 && len > max {
            return Err(ApiError::bad(format!("query of {len} bytes is longer than the limit of {max} bytes")));
        }
        Ok(())
    }

    /// Bytes of a message.
    pub(super) fn packet_bytes(&self) -> usize {
        self.max_grpc_streaming_packet_size.clamp(PACKET_BYTES.0, PACKET_BYTES.1)
    }
}

fn check_range((start_ns, end_ns): (u64, u64), max: Duration, what: &str) -> Result<(), ApiError> {
    let range = Duration::from_nanos(end_ns.saturating_sub(start_ns));
    if !max.is_zero() && range > max {
        let hours = |d: Duration| d.as_secs_f64() / 3600.0;
        return Err(ApiError::bad(format!(
            "the range of the {what}, {:.2} h, exceeds the limit of {:.2} h: ask for less time",
            hours(range),
            hours(max)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_and_named() {
        let limits = TempoLimits {
            max_result_limit: 50,
            max_spans_per_span_set: 10,
            max_search_duration: Duration::from_secs(3600),
            ..TempoLimits::default()
        };
        assert_eq!((limits.result_limit(None).unwrap(), limits.result_limit(Some(50)).unwrap()), (20, 50));
        assert!(limits.result_limit(Some(51)).unwrap_err().message.contains("exceeds max limit 50"));
        assert!(limits.result_limit(Some(0)).is_err() && limits.result_limit(Some(u64::MAX)).is_err());
        assert!(limits.spans_per_set(Some(0)).is_err() && limits.spans_per_set(Some(11)).is_err());
        assert_eq!(TempoLimits::default().spans_per_set(Some(0)).unwrap(), usize::MAX);
        assert!(limits.check_search((0, 3600 * 1_000_000_000)).is_ok());
        assert!(limits.check_search((0, 3601 * 1_000_000_000)).unwrap_err().message.contains("1.00 h"));
        assert!(limits.check_metrics((0, u64::MAX)).is_ok());
        assert!(limits.check_query(&"x".repeat(128 << 10)).is_ok());
        assert!(limits.check_query(&"x".repeat((128 << 10) + 1)).is_err());
        assert_eq!(TempoLimits { max_grpc_streaming_packet_size: 1, ..limits }.packet_bytes(), 16 << 10);
    }
}
