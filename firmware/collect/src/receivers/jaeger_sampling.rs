//! Remote sampling, as Jaeger's clients ask for it: which share of their traces to record.
//!
//! `GET /sampling?service=` on the agent's port 5778 (and `/`, whose answers have numbers for words),
//! `GET /api/sampling?service=` on the collector's, `jaeger.api_v2.SamplingManager/GetSamplingStrategy` over gRPC. All
//! services are told the same. Of baggage restrictions there are none.
//!
//! Source: jaeger-idl `thrift/sampling.thrift`, `proto/api_v2/sampling.proto`; Jaeger's `clientcfghttp` handler.

use super::otlp_http::respond;
use super::spans::text;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use bramble_wire::protobuf::Writer;
use http::StatusCode;

/// What clients are told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum SamplingStrategy {
    /// Record this share of traces, 0 to 1.
    Probabilistic(f64),
    /// Record so many traces per second.
    RateLimiting(u32),
}

impl Default for SamplingStrategy {
    fn default() -> Self {
        SamplingStrategy::Probabilistic(1.0)
    }
}

impl SamplingStrategy {
    fn json(self, words: bool) -> String {
        let kind = |number: u8, word: &str| if words { format!("\"{word}\"") } else { number.to_string() };
        match self {
            SamplingStrategy::Probabilistic(share) => {
                let kind = kind(0, "PROBABILISTIC");
                format!(r#"{{"strategyType":{kind},"probabilisticSampling":{{"samplingRate":{share}}}}}"#)
            }
            SamplingStrategy::RateLimiting(traces) => {
                let kind = kind(1, "RATE_LIMITING");
                format!(r#"{{"strategyType":{kind},"rateLimitingSampling":{{"maxTracesPerSecond":{traces}}}}}"#)
            }
        }
    }

    /// As `SamplingStrategyResponse`.
    pub(super) fn protobuf(self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        match self {
            SamplingStrategy::Probabilistic(share) => writer.message(2, |w| w.double(1, share)),
            SamplingStrategy::RateLimiting(traces) => {
                writer.varint(1, 1);
                writer.message(3, |w| w.varint(1, traces.into()));
            }
        }
        out
    }
}

/// What an agent serves on 5778.
pub fn jaeger_sampling(strategy: SamplingStrategy) -> Router {
    Router::new()
        .route("/", get(move |query| async move { answer(&query, || strategy.json(false)) }))
        .route("/sampling", get(move |query| async move { answer(&query, || strategy.json(true)) }))
        .route("/baggageRestrictions", get(|query| async move { answer(&query, || "[]".to_owned()) }))
}

/// What a collector serves on 14268.
pub(super) fn api_sampling(strategy: SamplingStrategy) -> Router {
    let restrictions = |query| async move { answer(&query, || "[]".to_owned()) };
    Router::new()
        .route("/api/sampling", get(move |query| async move { answer(&query, || strategy.json(true)) }))
        .route("/api/baggageRestrictions", get(restrictions))
}

fn answer(Query(parameters): &Query<Vec<(String, String)>>, body: impl FnOnce() -> String) -> Response {
    let services = parameters.iter().filter(|(name, value)| name == "service" && !value.is_empty()).count();
    match services {
        1 => respond(StatusCode::OK, "application/json", body().into_bytes()),
        _ => text(StatusCode::BAD_REQUEST, "'service' parameter must be provided once"),
    }
}
