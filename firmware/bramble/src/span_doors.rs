//! The doors of Jaeger's, Zipkin's and syslog's senders, and of what asks whether we live where a collector used to.

use crate::config::Config;
use crate::doors::Served;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bramble_collect::receivers::{self, ReceiverState, SamplingStrategy, SyslogOptions};
use bramble_ingest::WritePath;

/// Doors of packets; all others are of connections.
pub(crate) const OF_PACKETS: [&str; 2] = ["jaeger_thrift_compact", "jaeger_thrift_binary"];

/// What the door of this name serves; `None` when it is none of these.
pub(crate) fn served(name: &str, config: &Config, receivers: &ReceiverState, path: &WritePath) -> Option<Served> {
    match name {
        "health" | "jaeger_health" => Some(Served::Http(health(path.clone()))),
        _ => of_senders(name, config, receivers),
    }
}

/// What the door of this name serves, if it is one of Jaeger's, Zipkin's and syslog's senders.
pub(crate) fn of_senders(name: &str, config: &Config, receivers: &ReceiverState) -> Option<Served> {
    let strategy = strategy(config);
    Some(match name {
        "syslog" => Served::Syslog(receivers.clone(), syslog_options(config)),
        name if OF_PACKETS.contains(&name) => Served::Packets(receivers.clone()),
        "jaeger_thrift_http" => Served::Http(receivers::jaeger_http(receivers.clone(), strategy)),
        "jaeger_grpc" => Served::Http(receivers::jaeger_grpc(receivers.clone(), strategy)),
        "jaeger_sampling" => Served::Http(receivers::jaeger_sampling(strategy)),
        "zipkin" => Served::Http(receivers::zipkin(receivers.clone())),
        _ => return None,
    })
}

fn syslog_options(config: &Config) -> SyslogOptions {
    let syslog = &config.syslog;
    SyslogOptions {
        zone: syslog.time_zone.zone(),
        connections_max: syslog.connections_max as usize,
        message_bytes_max: syslog.message_max.0 as usize,
        ..SyslogOptions::default()
    }
}

/// What clients that ask are told to record.
fn strategy(config: &Config) -> SamplingStrategy {
    match u32::try_from(config.jaeger.sampling_traces_per_second) {
        Ok(0) => SamplingStrategy::Probabilistic(config.jaeger.sampling_rate.0),
        traces => SamplingStrategy::RateLimiting(traces.unwrap_or(u32::MAX)),
    }
}

/// As the health check of OpenTelemetry's Collector and of Jaeger: 200 once the journal is read, 503 before.
fn health(path: WritePath) -> Router {
    let answer = |State(path): State<WritePath>| async move {
        let (status, body) = match path.is_ready() && !path.is_stopping() {
            true => (StatusCode::OK, r#"{"status":"Server available"}"#),
            false => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"Server not available"}"#),
        };
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    Router::new().route("/", get(answer)).route("/status", get(answer)).with_state(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Share;

    #[test]
    fn a_rate_goes_before_a_share() {
        let mut config = Config::default();
        assert_eq!(strategy(&config), SamplingStrategy::default());
        config.jaeger.sampling_rate = Share(0.1);
        assert_eq!(strategy(&config), SamplingStrategy::Probabilistic(0.1));
        config.jaeger.sampling_traces_per_second = 7;
        assert_eq!(strategy(&config), SamplingStrategy::RateLimiting(7));
    }
}
