//! Settings of what is taken in, as doors and the log store want them.

use crate::config::Config;
use bramble_collect::receivers::{
    LogOptions, LokiOptions, MetricOptions, OtlpOptions, Promotion, RateLimits, ReceiveLimits,
};
use bramble_store_logs::{FloatingRules, LogLimits};

/// Limits of requests and of what is in them.
pub(crate) fn receive_limits(config: &Config) -> ReceiveLimits {
    let (ingest, logs, mut limits) = (&config.ingest, &config.logs, ReceiveLimits::default());
    limits.body_bytes_max = ingest.body_max.0 as usize;
    limits.decompressed_bytes_max = ingest.decompressed_max.0 as usize;
    let items = &mut limits.items;
    items.label_name_bytes_max = ingest.label_name_max.0 as usize;
    items.label_value_bytes_max = ingest.label_value_max.0 as usize;
    items.stream_labels_max = logs.labels_max as usize;
    items.line_bytes_max = ingest.line_max.0 as usize;
    items.line_truncate = logs.line_truncate;
    items.metadata_count_max = logs.metadata_count_max as usize;
    items.metadata_bytes_max = logs.metadata_max.0 as usize;
    limits
}

/// What is done to logs on arrival.
pub(crate) fn loki_options(config: &Config) -> LokiOptions {
    let rate = |size: &crate::config::Optional<crate::config::Size>| size.0.map(|size| size.0);
    LokiOptions {
        service_name: config.ingest.loki_service_name,
        level_detection: config.ingest.loki_detect_level,
        promoted: config.logs.promote.0.clone(),
        rates: RateLimits { all: rate(&config.logs.rate), stream: rate(&config.logs.stream_rate) },
    }
}

/// How what comes by OTLP is translated.
///
/// # Errors
/// Settings that exclude each other, or that cannot be read.
pub(crate) fn otlp_options(config: &Config) -> anyhow::Result<OtlpOptions> {
    let otlp = &config.otlp;
    let (promoted, ignored) = (&otlp.promote_resource_attributes.0, &otlp.ignore_resource_attributes.0);
    let promotion = match otlp.promote_all_resource_attributes {
        true if !promoted.is_empty() => {
            anyhow::bail!(
                "otlp.promote_all_resource_attributes and otlp.promote_resource_attributes exclude each other"
            )
        }
        false if !ignored.is_empty() => {
            anyhow::bail!("otlp.ignore_resource_attributes needs otlp.promote_all_resource_attributes")
        }
        true => Promotion::AllBut(ignored.clone()),
        false => Promotion::Only(promoted.clone()),
    };
    let metrics = MetricOptions {
        translation: otlp.translation_strategy.0,
        promotion,
        keep_identifying_resource_attributes: otlp.keep_identifying_resource_attributes,
        promote_scope_metadata: otlp.promote_scope_metadata,
        convert_histograms_to_nhcb: otlp.convert_histograms_to_nhcb,
    };
    let logs = LogOptions::parse(config.logs.otlp_labels.0.iter().map(String::as_str))
        .map_err(|error| anyhow::anyhow!("logs.otlp_labels: {error}"))?;
    Ok(OtlpOptions { metrics, logs, delta_bytes_max: otlp.delta_memory.0 as usize })
}

/// What the log store takes.
pub(crate) fn log_limits(config: &Config) -> LogLimits {
    let (ingest, logs) = (&config.ingest, &config.logs);
    let ages = [ingest.max_age.0, logs.max_age.0];
    // What a door lets through: metadata, and every label of the stream, should it float.
    let label_bytes = ingest.label_name_max.0.saturating_add(ingest.label_value_max.0).saturating_add(8);
    let labels_bytes = logs.labels_max.saturating_mul(label_bytes);
    let metadata_bytes = logs.metadata_count_max.saturating_mul(8).saturating_add(logs.metadata_max.0);
    LogLimits {
        streams_max: ingest.streams_max as usize,
        line_bytes_max: ingest.line_max.0 as usize,
        metadata_bytes_max: metadata_bytes.saturating_add(labels_bytes) as usize,
        max_age_ms: ages.into_iter().flatten().map(|age| age.ms()).min(),
        future_ms: ingest.max_ahead.0.map(|ahead| ahead.ms()),
        out_of_order_ms: logs.out_of_order.0.map(|window| window.ms()),
        floating: FloatingRules {
            names: logs.floating_labels.0.clone(),
            values_max: (logs.floating_values > 0).then_some(logs.floating_values as usize),
            kept: logs.never_floating.0.clone(),
        },
        ..LogLimits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Interval, Names, Optional, Size};

    #[test]
    fn settings_reach_where_they_work() {
        let mut config = Config::default();
        let (limits, log) = (receive_limits(&config), log_limits(&config));
        assert_eq!(limits.items, ReceiveLimits::default().items, "defaults are one");
        assert_eq!((log.max_age_ms, log.out_of_order_ms), (Some(90 * 86_400_000), None));
        assert_eq!(log.floating.names, FloatingRules::default().names);
        assert_eq!(otlp_options(&config).unwrap().logs.texts(), LogOptions::default().texts());
        config.logs.max_age = Optional(Some(Interval::days(7)));
        config.logs.out_of_order = Optional(Some(Interval::seconds(3600)));
        config.logs.floating_values = 0;
        config.logs.rate = Optional(Some(Size::mib(4)));
        config.logs.line_truncate = true;
        config.ingest.line_max = Size::kib(1);
        let (limits, log) = (receive_limits(&config), log_limits(&config));
        assert_eq!((log.max_age_ms, log.out_of_order_ms), (Some(7 * 86_400_000), Some(3_600_000)));
        assert_eq!((log.floating.values_max, log.line_bytes_max), (None, 1024));
        assert_eq!((limits.items.line_bytes_max, limits.items.line_truncate), (1024, true));
        assert_eq!(loki_options(&config).rates, RateLimits { all: Some(4 << 20), stream: None });
        config.logs.otlp_labels = Names(vec!["a=b-c".into()]);
        assert!(otlp_options(&config).unwrap_err().to_string().contains("logs.otlp_labels"));
    }
}
