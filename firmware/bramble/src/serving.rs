//! From settings to the parts they describe.

use crate::config::{Config, Door, SettingValue};
use crate::machine;
use bramble_disk::DiskChoice;
use bramble_disk::journal::JournalOptions;
use bramble_ingest::{IngestOptions, Retained, RetentionOptions};
use bramble_serve::api::loki::LokiLimits;
use bramble_serve::api::tempo::TempoLimits;
use bramble_signal::Signal;
use bramble_storage::RetentionClass;
use std::path::PathBuf;
use std::time::Duration;

/// Size of a journal extent: an allocation unit of common cards.
const EXTENT_BYTES: u64 = 4 << 20;

/// Where data goes.
pub(crate) fn data_dir(config: &Config) -> anyhow::Result<PathBuf> {
    match &config.storage.data_dir.0 {
        Some(directory) => Ok(PathBuf::from(directory)),
        None => machine::default_data_dir().ok_or_else(|| {
            anyhow::anyhow!("no usual data directory can be written; set storage.data_dir or pass --data-dir")
        }),
    }
}

/// How files are written.
pub(crate) fn disk_choice(config: &Config) -> DiskChoice {
    match config.storage.disk.word {
        "io_uring" => DiskChoice::IoUring,
        "threads" => DiskChoice::Threads,
        _ => DiskChoice::Auto,
    }
}

/// Every door's name and address; `None` when off.
pub(crate) fn door_addresses(config: &Config) -> Vec<(&'static str, Option<String>)> {
    let doors = &config.doors;
    let address = |door: &Door| door.address(&doors.listen);
    vec![
        ("main", address(&doors.main)),
        ("prometheus", address(&doors.prometheus)),
        ("victoria_metrics", address(&doors.victoria_metrics)),
        ("loki", address(&doors.loki)),
        ("tempo", address(&doors.tempo)),
        ("jaeger", address(&doors.jaeger)),
        ("otlp_grpc", address(&doors.otlp_grpc)),
        ("otlp_grpc_old", address(&doors.otlp_grpc_old)),
        ("otlp_http", address(&doors.otlp_http)),
        ("otlp_http_old", address(&doors.otlp_http_old)),
        ("jaeger_thrift_compact", address(&doors.jaeger_thrift_compact)),
        ("jaeger_thrift_binary", address(&doors.jaeger_thrift_binary)),
        ("jaeger_thrift_http", address(&doors.jaeger_thrift_http)),
        ("jaeger_grpc", address(&doors.jaeger_grpc)),
        ("jaeger_sampling", address(&doors.jaeger_sampling)),
        ("zipkin", address(&doors.zipkin)),
        ("health", address(&doors.health)),
        ("syslog", address(&doors.syslog)),
        ("correlation", address(&doors.correlation)),
        ("jaeger_health", address(&doors.jaeger_health)),
    ]
}

/// Settings of the write path.
pub(crate) fn ingest_options(config: &Config) -> IngestOptions {
    let storage = &config.storage;
    let limit = |signal, class, size: &crate::config::Optional<crate::config::Size>| {
        size.0.map(|s| Retained { signal, class, bytes: s.0 })
    };
    let limits = [
        limit(Signal::Metrics, RetentionClass::Hot, &storage.metrics_hot),
        limit(Signal::Metrics, RetentionClass::Cold, &storage.metrics_cold),
        limit(Signal::Logs, RetentionClass::Warm, &storage.logs_warm),
        // Of logs, only correlations are kept that long.
        Some(Retained { signal: Signal::Logs, class: RetentionClass::Cold, bytes: config.correlation.storage_max.0 }),
        limit(Signal::Traces, RetentionClass::Hot, &storage.traces_hot),
        limit(Signal::Traces, RetentionClass::Warm, &storage.traces_warm),
    ];
    let days = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let mut retention = RetentionOptions {
        days: [days(storage.hot_days), days(storage.warm_days), days(storage.cold_days)],
        limits: limits.into_iter().flatten().collect(),
        total_bytes: storage.total.0.map(|s| s.0),
        ..RetentionOptions::default()
    };
    if let Some(reserve) = storage.reserve.0 {
        retention.reserve_bytes = reserve.0;
    }
    let extents = (config.journal.max_size.0 / EXTENT_BYTES).clamp(2, 1024) as u32;
    IngestOptions {
        journal: JournalOptions { extent_bytes: EXTENT_BYTES as u32, extents_min: 1, extents_max: extents },
        sender_wait_ns: config.journal.sender_wait.ns(),
        background_wait_ns: config.journal.background_wait.ns(),
        retention,
        ..IngestOptions::default()
    }
}

/// Limits of Loki's API.
pub(crate) fn loki_limits(config: &Config) -> LokiLimits {
    let loki = &config.loki;
    LokiLimits {
        max_entries_limit_per_query: loki.max_entries_limit_per_query as usize,
        max_query_length: loki.max_query_length.0,
        max_query_lookback: loki.max_query_lookback.0,
        max_query_series: loki.max_query_series as usize,
        volume_max_series: loki.volume_max_series as usize,
        approx_topk: loki.approx_topk,
        retention_period: Duration::from_secs(config.storage.warm_days.saturating_mul(86_400)),
        max_line_bytes: config.ingest.line_max.0 as usize,
        discover_log_levels: config.ingest.loki_detect_level,
        discover_service_name: config.ingest.loki_service_name,
    }
}

/// Limits of Tempo's API.
pub(crate) fn tempo_limits(config: &Config) -> TempoLimits {
    let tempo = &config.tempo;
    TempoLimits {
        default_result_limit: tempo.default_result_limit as usize,
        max_result_limit: tempo.max_result_limit as usize,
        max_spans_per_span_set: tempo.max_spans_per_span_set as usize,
        max_search_duration: tempo.search_max_duration.0,
        max_metrics_duration: tempo.metrics_max_duration.0,
        max_exemplars: tempo.max_exemplars as usize,
        max_response_series: tempo.max_response_series as usize,
        max_query_expression_size_bytes: tempo.max_query_expression_size.0 as usize,
        max_grpc_streaming_packet_size: tempo.max_grpc_streaming_packet_size.0 as usize,
    }
}

/// Settings that Prometheus has as flags, under its names.
pub(crate) fn flags(config: &Config) -> Vec<(&'static str, String)> {
    let (query, storage) = (&config.query, &config.storage);
    let seconds = |ms: i64| format!("{}s", ms / 1000);
    let address = config.doors.prometheus.address(&config.doors.listen).unwrap_or_default();
    let total = storage.total.0.map_or_else(|| "0B".to_owned(), |size| format!("{}B", size.0));
    vec![
        ("query.lookback-delta", seconds(query.lookback.ms())),
        ("query.max-concurrency", query.concurrency.to_string()),
        ("query.max-samples", query.max_samples.to_string()),
        ("query.timeout", seconds(query.timeout.ms())),
        ("storage.tsdb.path", data_dir(config).map(|d| d.display().to_string()).unwrap_or_default()),
        ("storage.tsdb.retention.size", total),
        ("storage.tsdb.retention.time", format!("{}d", storage.hot_days.max(storage.cold_days))),
        ("web.enable-admin-api", config.prometheus.enable_admin_api.to_string()),
        ("web.enable-lifecycle", config.prometheus.enable_lifecycle.to_string()),
        ("web.enable-otlp-receiver", "true".to_owned()),
        ("web.enable-remote-write-receiver", "true".to_owned()),
        ("web.listen-address", address),
        ("log.level", config.log.level.show().trim_matches('"').to_owned()),
    ]
}
