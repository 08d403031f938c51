//! Which route needs what: one table for all doors.
//!
//! Paths mean the same at every door that has them, so a door is no column; the prefixes under which the main door has
//! the others' APIs are taken off first. What is not in the table needs an administrator. `tests/routes.rs` reads the
//! sources for routes and fails on one that has no line here.

use super::scope::{Need, Scope};
use http::Method;

/// Prefixes under which the main door (and VictoriaMetrics') has the other doors' paths.
const PREFIXES: [&str; 5] = ["/prometheus", "/loki", "/tempo", "/jaeger", "/zipkin"];

const READ: Need = Need::Scope(Scope::Read);
const INGEST: Need = Need::Scope(Scope::Ingest);
const ADMIN: Need = Need::Scope(Scope::Admin);

/// Methods of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    /// GET and HEAD.
    Get,
    /// GET, HEAD and POST: a question whose parameters may be in a form.
    Ask,
    /// POST and PUT.
    Post,
    /// POST, PUT, PATCH and DELETE.
    Change,
    /// Any.
    Any,
}

use By::{Any, Ask, Change, Get, Post};

/// Method, path and need. `{name}` is one segment, `{*rest}` one or more.
const TABLE: &[(By, &str, Need)] = &[
    // Health.
    (Get, "/health", Need::Public),
    (Get, "/-/healthy", Need::Public),
    (Get, "/-/ready", Need::Public),
    (Get, "/ready", Need::Public),
    (Get, "/api/health", Need::Public),
    (Any, "/grpc.health.v1.Health/{method}", Need::Public),
    // The page.
    (Get, "/", Need::Page),
    (Get, "/index.html", Need::Page),
    (Get, "/setup", Need::Public),
    (Get, "/login", Need::Public),
    (Get, "/theme.js", Need::Public),
    (Get, "/assets/{*rest}", Need::Public),
    // The owner. Handlers look at the code, the password or the session themselves.
    (Get, "/api/v1/owner", Need::Public),
    (Post, "/api/v1/owner", Need::Public),
    (Change, "/api/v1/owner", ADMIN),
    (Any, "/api/v1/session", Need::Public),
    (Any, "/api/v1/tokens", ADMIN),
    (Any, "/api/v1/tokens/{id}", ADMIN),
    // The machine.
    (Get, "/api/v1/system", READ),
    (Change, "/api/v1/system", ADMIN),
    (Any, "/api/v1/system/{*rest}", ADMIN),
    // Bramble's own.
    (Get, "/api/v1/status", READ),
    (Ask, "/api/v1/logs/templates", READ),
    (Get, "/api/status", READ),
    (Get, "/api/problems", READ),
    (Get, "/api/nodes", READ),
    (Any, "/api/nodes/tokens", ADMIN),
    (Any, "/api/nodes/tokens/{id}", ADMIN),
    (Change, "/api/nodes/{id}", ADMIN),
    (Get, "/api/peer/v1/hello", READ),
    (Ask, "/api/peer/v1/read", READ),
    (Any, "/bramble.node.v1.Node/{method}", Need::Own),
    // Correlations.
    (Get, "/api/correlations", READ),
    (Get, "/api/correlations/stream", READ),
    (Get, "/api/correlations/{id}", READ),
    (Get, "/api/stories", READ),
    (Get, "/api/logs", READ),
    (Post, "/api/logs", INGEST),
    (Any, "/api/otlp/{signal}", INGEST),
    (Any, "/api/otlp/v1/{signal}", INGEST),
    // OTLP.
    (Any, "/v1/logs", INGEST),
    (Any, "/v1/metrics", INGEST),
    (Any, "/v1/traces", INGEST),
    (Any, "/opentelemetry.proto.collector.logs.v1.LogsService/{method}", INGEST),
    (Any, "/opentelemetry.proto.collector.metrics.v1.MetricsService/{method}", INGEST),
    (Any, "/opentelemetry.proto.collector.trace.v1.TraceService/{method}", INGEST),
    // Prometheus and VictoriaMetrics.
    (Ask, "/api/v1/query", READ),
    (Ask, "/api/v1/query_range", READ),
    (Ask, "/api/v1/query_exemplars", READ),
    (Ask, "/api/v1/format_query", READ),
    (Ask, "/api/v1/parse_query", READ),
    (Ask, "/api/v1/series", READ),
    (Ask, "/api/v1/labels", READ),
    (Get, "/api/v1/label/{name}/values", READ),
    (Get, "/api/v1/metadata", READ),
    (Get, "/api/v1/targets", READ),
    (Get, "/api/v1/targets/metadata", READ),
    (Get, "/api/v1/targets/relabel_steps", READ),
    (Get, "/api/v1/scrape_pools", READ),
    (Get, "/api/v1/rules", READ),
    (Get, "/api/v1/alerts", READ),
    (Get, "/api/v1/alertmanagers", READ),
    (Get, "/api/v1/notifications", READ),
    (Get, "/api/v1/notifications/live", READ),
    (Get, "/api/v1/status/{what}", READ),
    (Any, "/api/v1/admin/tsdb/{what}", ADMIN),
    (Ask, "/api/v1/export", READ),
    (Ask, "/api/v1/read", READ),
    (Get, "/federate", READ),
    (Any, "/-/reload", ADMIN),
    (Any, "/-/quit", ADMIN),
    (Any, "/internal/force_flush", ADMIN),
    (Any, "/internal/force_merge", ADMIN),
    (Get, "/metrics", READ),
    (Get, "/version", READ),
    (Post, "/api/v1/write", INGEST),
    (Post, "/api/v1/push", INGEST),
    (Post, "/api/v1/otlp/v1/metrics", INGEST),
    (Post, "/opentelemetry/v1/metrics", INGEST),
    (Post, "/opentelemetry/api/v1/push", INGEST),
    (Post, "/api/v1/import", INGEST),
    (Post, "/api/v1/import/prometheus", INGEST),
    // Loki.
    (Ask, "/loki/api/v1/query", READ),
    (Ask, "/loki/api/v1/query_range", READ),
    (Ask, "/loki/api/v1/format_query", READ),
    (Ask, "/loki/api/v1/labels", READ),
    (Ask, "/loki/api/v1/label", READ),
    (Ask, "/loki/api/v1/label/{name}/values", READ),
    (Ask, "/loki/api/v1/series", READ),
    (Ask, "/loki/api/v1/index/stats", READ),
    (Ask, "/loki/api/v1/index/volume", READ),
    (Ask, "/loki/api/v1/index/volume_range", READ),
    (Ask, "/loki/api/v1/detected_labels", READ),
    (Ask, "/loki/api/v1/detected_fields", READ),
    (Ask, "/loki/api/v1/detected_field/{name}/values", READ),
    (Ask, "/loki/api/v1/patterns", READ),
    (Get, "/loki/api/v1/tail", READ),
    (Get, "/loki/api/v1/delete", READ),
    (Change, "/loki/api/v1/delete", ADMIN),
    (Get, "/loki/api/v1/drilldown-limits", READ),
    (Get, "/loki/api/v1/rules", READ),
    (Change, "/loki/api/v1/rules", ADMIN),
    (Get, "/loki/api/v1/rules/{namespace}", READ),
    (Change, "/loki/api/v1/rules/{namespace}", ADMIN),
    (Get, "/loki/api/v1/rules/{namespace}/{group}", READ),
    (Change, "/loki/api/v1/rules/{namespace}/{group}", ADMIN),
    (Get, "/loki/api/v1/status/buildinfo", READ),
    (Get, "/loki/api/v1/status/config", READ),
    (Ask, "/api/prom/query", READ),
    (Ask, "/api/prom/label", READ),
    (Ask, "/api/prom/label/{name}/values", READ),
    (Ask, "/api/prom/series", READ),
    (Get, "/api/prom/tail", READ),
    (Get, "/api/prom/rules", READ),
    (Change, "/api/prom/rules", ADMIN),
    (Get, "/api/prom/rules/{namespace}", READ),
    (Change, "/api/prom/rules/{namespace}", ADMIN),
    (Get, "/api/prom/rules/{namespace}/{group}", READ),
    (Change, "/api/prom/rules/{namespace}/{group}", ADMIN),
    (Get, "/config", READ),
    (Get, "/services", READ),
    (Get, "/log_level", READ),
    (Change, "/log_level", ADMIN),
    (Any, "/flush", ADMIN),
    (Any, "/ingester/{what}", ADMIN),
    (Post, "/loki/api/v1/push", INGEST),
    (Post, "/api/prom/push", INGEST),
    (Post, "/otlp/v1/logs", INGEST),
    (Post, "/insert/loki/api/v1/push", INGEST),
    (Post, "/insert/opentelemetry/v1/logs", INGEST),
    (Post, "/insert/jsonline", INGEST),
    (Post, "/insert/elasticsearch/_bulk", INGEST),
    (Get, "/insert/elasticsearch", INGEST),
    (Get, "/insert/elasticsearch/", INGEST),
    // Tempo.
    (Ask, "/api/echo", READ),
    (Ask, "/api/traces/{id}", READ),
    (Ask, "/api/v2/traces/{id}", READ),
    (Ask, "/api/search", READ),
    (Ask, "/api/search/tags", READ),
    (Ask, "/api/search/tag/{tag}/values", READ),
    (Ask, "/api/v2/search/tags", READ),
    (Ask, "/api/v2/search/tag/{tag}/values", READ),
    (Ask, "/api/metrics/query_range", READ),
    (Ask, "/api/metrics/query", READ),
    (Get, "/status", READ),
    (Get, "/status/{what}", READ),
    (Get, "/api/status/buildinfo", READ),
    (Any, "/tempopb.StreamingQuerier/{method}", READ),
    // Jaeger: questions.
    (Get, "/api/services", READ),
    (Get, "/api/services/{service}/operations", READ),
    (Get, "/api/operations", READ),
    (Get, "/api/traces", READ),
    (Post, "/api/archive/{id}", ADMIN),
    (Get, "/api/dependencies", READ),
    (Ask, "/api/transform", READ),
    (Get, "/api/metrics/{what}", READ),
    (Get, "/api/v3/services", READ),
    (Get, "/api/v3/operations", READ),
    (Get, "/api/v3/traces", READ),
    (Get, "/api/v3/traces/{id}", READ),
    (Get, "/api/v3/trace-summaries", READ),
    // Jaeger's and Zipkin's senders; what they ask is how much to send.
    (Post, "/api/traces", INGEST),
    (Get, "/sampling", INGEST),
    (Get, "/baggageRestrictions", INGEST),
    (Get, "/api/sampling", INGEST),
    (Get, "/api/baggageRestrictions", INGEST),
    (Any, "/jaeger.api_v2.CollectorService/{method}", INGEST),
    (Any, "/jaeger.api_v2.SamplingManager/{method}", INGEST),
    (Post, "/api/v1/spans", INGEST),
    (Post, "/api/v2/spans", INGEST),
];

/// What a request needs, if the table says so.
pub(super) fn listed(method: &Method, path: &str) -> Option<Need> {
    find(method, path).or_else(|| find(method, without_prefix(path)?))
}

/// What a request needs; what is not listed needs an administrator.
pub(super) fn need(method: &Method, path: &str) -> Need {
    listed(method, path).unwrap_or(ADMIN)
}

/// The path as another door has it, when it begins with the prefix of one.
pub(super) fn without_prefix(path: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')))
}

fn find(method: &Method, path: &str) -> Option<Need> {
    let found = TABLE.iter().find(|(by, pattern, _)| by.has(method) && fits(pattern, path));
    found.map(|(_, _, need)| *need)
}

impl By {
    fn has(self, method: &Method) -> bool {
        let (get, post) = (matches!(*method, Method::GET | Method::HEAD), *method == Method::POST);
        match self {
            By::Get => get,
            By::Ask => get || post,
            By::Post => post || *method == Method::PUT,
            By::Change => post || matches!(*method, Method::PUT | Method::PATCH | Method::DELETE),
            By::Any => true,
        }
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(rest), Some(segment)) if rest.starts_with("{*") => return !segment.is_empty(),
            (Some(one), Some(segment)) if one.starts_with('{') && !segment.is_empty() => {}
            (Some(one), Some(segment)) if one == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
