//! One scrape configuration with everything filled in.

use super::document::{Global, Job, NameEscaping, NameValidation};
use super::protocol::{DEFAULT_PROTOCOLS, ScrapeProtocol, accept_header};
use super::units::PromDuration;
use crate::discovery::DiscoveryConfig;
use crate::relabel::RelabelConfig;
use bramble_client::HttpConfig;
use std::collections::BTreeMap;

const DEFAULT_INTERVAL: PromDuration = PromDuration::seconds(60);
const DEFAULT_TIMEOUT: PromDuration = PromDuration::seconds(10);

/// Limits of a scrape; 0 is none.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ScrapeLimits {
    /// Bytes of an uncompressed body.
    pub body_bytes: u64,
    /// Samples after relabelling.
    pub samples: u64,
    /// Targets of a job.
    pub targets: u64,
    /// Labels of a sample.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_bytes: u64,
    /// Bytes of a label's value.
    pub label_value_bytes: u64,
    /// Buckets of a native histogram: more are merged.
    pub histogram_buckets: u64,
    /// Native histograms are merged until each bucket is at least so many times its neighbour; 0 for as they are.
    pub min_bucket_factor: f64,
    /// Dropped targets that are remembered; their number always is.
    pub kept_dropped_targets: u64,
}

/// One scrape configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct ScrapeConfig {
    /// The job, and the name of its pool of targets.
    pub job_name: String,
    /// Time between scrapes of a target.
    pub interval: PromDuration,
    /// Time that one scrape may take.
    pub timeout: PromDuration,
    /// What is asked for, best first.
    pub protocols: Vec<ScrapeProtocol>,
    /// What a body without a known type is read as.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// Whether native histograms are asked for and taken.
    pub native_histograms: bool,
    /// Whether classic buckets of native histograms are taken too.
    pub classic_histograms_too: bool,
    /// Whether labels of the page win over the target's.
    pub honor_labels: bool,
    /// Whether times of the page are taken.
    pub honor_timestamps: bool,
    /// Whether series with such times end with a staleness marker.
    pub track_timestamps_staleness: bool,
    /// Query parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// `http` or `https`.
    pub scheme: String,
    /// Path.
    pub metrics_path: String,
    /// Whether gzip is asked for.
    pub compression: bool,
    /// Whether the series of limits, timeout and size are written too.
    pub extra_metrics: bool,
    /// Whether names may be of any characters.
    pub utf8_names: bool,
    /// The `Accept` header.
    pub accept: String,
    /// Limits.
    pub limits: ScrapeLimits,
    /// Rules for targets.
    pub relabel: Vec<RelabelConfig>,
    /// Rules for samples.
    pub metric_relabel: Vec<RelabelConfig>,
    /// How targets are spoken to.
    pub http: HttpConfig,
    /// Where targets come from.
    pub discovery: DiscoveryConfig,
    /// Line of its beginning.
    pub line: u64,
    /// The file that it is in.
    pub file: String,
}

/// Fills in what a job does not say. `notes` gets what is read and not served.
///
/// # Errors
/// Prometheus' text.
pub(super) fn resolve(job: Job, global: &Global, notes: &mut Vec<String>) -> Result<ScrapeConfig, String> {
    let name = job.job_name.clone().unwrap_or_default();
    if name.is_empty() {
        return Err("job_name is empty".to_owned());
    }
    let (interval, timeout) = times(&job, global)?;
    for kind in job.elsewhere.used() {
        notes.push(format!("job {name:?}: {kind} are not supported; their targets are not scraped"));
    }
    if job.convert_classic_histograms_to_nhcb.or(global.convert_classic_histograms_to_nhcb) == Some(true) {
        notes.push(format!(
            "job {name:?}: convert_classic_histograms_to_nhcb is not supported; histograms stay classic"
        ));
    }
    if job.scrape_failure_log_file.as_ref().or(global.scrape_failure_log_file.as_ref()).is_some() {
        notes.push(format!("job {name:?}: scrape_failure_log_file is not written; failures are in Bramble's own log"));
    }
    let utf8_names =
        job.metric_name_validation_scheme.or(global.metric_name_validation_scheme) != Some(NameValidation::Legacy);
    let escaping = job.metric_name_escaping_scheme.or(global.metric_name_escaping_scheme);
    let escaping = escaping.unwrap_or(if utf8_names { NameEscaping::AllowUtf8 } else { NameEscaping::Underscores });
    if !utf8_names && escaping == NameEscaping::AllowUtf8 {
        return Err(format!(
            "utf8 metric names requested but validation scheme is not set to UTF8 for scrape config with job name {name:?}"
        ));
    }
    let native_histograms = job.scrape_native_histograms.or(global.scrape_native_histograms);
    let protocols = protocols(&job, global, native_histograms == Some(true), &name)?;
    let classic = job.scrape_classic_histograms.or(job.always_scrape_classic_histograms);
    job.http.validate().map_err(|error| error.to_string())?;
    job.discovery.validate()?;
    Ok(ScrapeConfig {
        accept: accept_header(&protocols, escaping.as_str()),
        native_histograms: native_histograms.unwrap_or(true),
        classic_histograms_too: classic.or(global.always_scrape_classic_histograms).unwrap_or(false),
        limits: limits(&job, global),
        interval,
        timeout,
        protocols,
        utf8_names,
        extra_metrics: job.extra_scrape_metrics.or(global.extra_scrape_metrics).unwrap_or(false),
        fallback_protocol: job.fallback_scrape_protocol,
        honor_labels: job.honor_labels.unwrap_or(false),
        honor_timestamps: job.honor_timestamps.unwrap_or(true),
        track_timestamps_staleness: job.track_timestamps_staleness.unwrap_or(false),
        params: job.params.unwrap_or_default(),
        scheme: job.scheme.unwrap_or_else(|| "http".to_owned()),
        metrics_path: job.metrics_path.unwrap_or_else(|| "/metrics".to_owned()),
        compression: job.enable_compression.unwrap_or(true),
        relabel: job.relabel_configs.unwrap_or_default(),
        metric_relabel: job.metric_relabel_configs.unwrap_or_default(),
        http: job.http,
        discovery: job.discovery,
        line: 0,
        file: String::new(),
        job_name: name,
    })
}

/// Interval and timeout of `global`.
///
/// # Errors
/// Prometheus' text.
pub(super) fn global_times(global: &Global) -> Result<(PromDuration, PromDuration), String> {
    let interval = global.scrape_interval.filter(|d| d.ms() > 0).unwrap_or(DEFAULT_INTERVAL);
    let timeout = global.scrape_timeout.filter(|d| d.ms() > 0);
    if timeout.is_some_and(|timeout| timeout > interval) {
        return Err("global scrape timeout greater than scrape interval".to_owned());
    }
    Ok((interval, timeout.unwrap_or(DEFAULT_TIMEOUT.min(interval))))
}

fn times(job: &Job, global: &Global) -> Result<(PromDuration, PromDuration), String> {
    let (global_interval, global_timeout) = global_times(global)?;
    let interval = job.scrape_interval.filter(|d| d.ms() > 0).unwrap_or(global_interval);
    let timeout = job.scrape_timeout.filter(|d| d.ms() > 0);
    if timeout.is_some_and(|timeout| timeout > interval) {
        let name = job.job_name.as_deref().unwrap_or_default();
        return Err(format!("scrape timeout greater than scrape interval for scrape config with job name {name:?}"));
    }
    Ok((interval, timeout.unwrap_or(global_timeout.min(interval))))
}

fn protocols(job: &Job, global: &Global, histograms: bool, name: &str) -> Result<Vec<ScrapeProtocol>, String> {
    let Some(protocols) = job.scrape_protocols.as_ref().or(global.scrape_protocols.as_ref()) else {
        let first = histograms.then_some(ScrapeProtocol::Proto);
        return Ok(first.into_iter().chain(DEFAULT_PROTOCOLS).collect());
    };
    let of_job = || format!("for scrape config with job name {name:?}");
    if protocols.is_empty() {
        return Err(format!("scrape_protocols cannot be empty {}", of_job()));
    }
    for (at, protocol) in protocols.iter().enumerate() {
        if protocols.iter().take(at).any(|before| before == protocol) {
            return Err(format!(
                "duplicated protocol in scrape_protocols, got {} twice {}",
                protocol.as_str(),
                of_job()
            ));
        }
    }
    Ok(protocols.clone())
}

fn limits(job: &Job, global: &Global) -> ScrapeLimits {
    // A limit of 0 is as none, and the global one then holds.
    let or = |own: Option<u64>, global: Option<u64>| own.filter(|&limit| limit > 0).or(global).unwrap_or(0);
    ScrapeLimits {
        body_bytes: or(job.body_size_limit.map(|size| size.0), global.body_size_limit.map(|size| size.0)),
        samples: or(job.sample_limit, global.sample_limit),
        targets: or(job.target_limit, global.target_limit),
        labels: or(job.label_limit, global.label_limit),
        label_name_bytes: or(job.label_name_length_limit, global.label_name_length_limit),
        label_value_bytes: or(job.label_value_length_limit, global.label_value_length_limit),
        histogram_buckets: job.native_histogram_bucket_limit.unwrap_or(0),
        min_bucket_factor: job.native_histogram_min_bucket_factor.unwrap_or(0.0),
        kept_dropped_targets: or(job.keep_dropped_targets, global.keep_dropped_targets),
    }
}
