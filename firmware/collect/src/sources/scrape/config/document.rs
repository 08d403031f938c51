//! `prometheus.yml` as it is written: every field of Prometheus 3, nothing filled in.

use super::protocol::ScrapeProtocol;
use super::units::{ByteSize, PromDuration};
use crate::discovery::DiscoveryConfig;
use crate::relabel::RelabelConfig;
use bramble_client::HttpConfig;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) global: Option<Spanned<Global>>,
    pub(super) runtime: Option<IgnoredAny>,
    pub(super) scrape_configs: Option<Vec<Spanned<Option<Job>>>>,
    pub(super) scrape_config_files: Option<Vec<String>>,
    pub(super) rule_files: Option<Vec<String>>,
    pub(super) alerting: Option<IgnoredAny>,
    pub(super) remote_write: Option<IgnoredAny>,
    pub(super) remote_read: Option<IgnoredAny>,
    pub(super) storage: Option<IgnoredAny>,
    pub(super) tracing: Option<IgnoredAny>,
    pub(super) otlp: Option<IgnoredAny>,
}

/// A file of `scrape_config_files`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobsDocument {
    pub(super) scrape_configs: Option<Vec<Spanned<Option<Job>>>>,
}

/// How names that are not plain are validated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NameValidation {
    Legacy,
    Utf8,
}

/// How names that are not plain are asked to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NameEscaping {
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl NameEscaping {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            NameEscaping::AllowUtf8 => "allow-utf-8",
            NameEscaping::Underscores => "underscores",
            NameEscaping::Dots => "dots",
            NameEscaping::Values => "values",
        }
    }
}

/// What `global` and each scrape configuration may say.
macro_rules! shared_fields {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            pub(super) scrape_interval: Option<PromDuration>,
            pub(super) scrape_timeout: Option<PromDuration>,
            pub(super) scrape_protocols: Option<Vec<ScrapeProtocol>>,
            pub(super) scrape_native_histograms: Option<bool>,
            pub(super) always_scrape_classic_histograms: Option<bool>,
            pub(super) convert_classic_histograms_to_nhcb: Option<bool>,
            pub(super) extra_scrape_metrics: Option<bool>,
            pub(super) scrape_failure_log_file: Option<String>,
            pub(super) body_size_limit: Option<ByteSize>,
            pub(super) sample_limit: Option<u64>,
            pub(super) target_limit: Option<u64>,
            pub(super) label_limit: Option<u64>,
            pub(super) label_name_length_limit: Option<u64>,
            pub(super) label_value_length_limit: Option<u64>,
            pub(super) keep_dropped_targets: Option<u64>,
            pub(super) metric_name_validation_scheme: Option<NameValidation>,
            pub(super) metric_name_escaping_scheme: Option<NameEscaping>,
            $($(#[$field_meta])* pub(super) $field: $kind,)*
        }
    };
}

shared_fields! {
    /// `global`.
    Global {
        evaluation_interval: Option<PromDuration>,
        rule_query_offset: Option<PromDuration>,
        query_log_file: Option<String>,
        external_labels: Option<BTreeMap<String, String>>,
    }
}

shared_fields! {
    /// An entry of `scrape_configs`.
    Job {
        job_name: Option<String>,
        honor_labels: Option<bool>,
        honor_timestamps: Option<bool>,
        track_timestamps_staleness: Option<bool>,
        params: Option<BTreeMap<String, Vec<String>>>,
        fallback_scrape_protocol: Option<ScrapeProtocol>,
        scrape_classic_histograms: Option<bool>,
        metrics_path: Option<String>,
        scheme: Option<String>,
        enable_compression: Option<bool>,
        native_histogram_bucket_limit: Option<u64>,
        native_histogram_min_bucket_factor: Option<f64>,
        relabel_configs: Option<Vec<RelabelConfig>>,
        metric_relabel_configs: Option<Vec<RelabelConfig>>,
        #[serde(flatten)] http: HttpConfig,
        #[serde(flatten)] discovery: DiscoveryConfig,
        #[serde(flatten)] elsewhere: ForeignDiscovery,
    }
}

/// Discovery that is not there: read, so that it can be named.
macro_rules! foreign_discovery {
    ($($field:ident)*) => {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        pub(super) struct ForeignDiscovery {
            $($field: Option<IgnoredAny>,)*
        }

        impl ForeignDiscovery {
            /// Names of those that are used.
            pub(super) fn used(&self) -> Vec<&'static str> {
                [$((stringify!($field), self.$field.is_some())),*]
                    .into_iter()
                    .filter_map(|(name, used)| used.then_some(name))
                    .collect()
            }
        }
    };
}

foreign_discovery! {
    aws_sd_configs azure_sd_configs consul_sd_configs digitalocean_sd_configs dockerswarm_sd_configs ec2_sd_configs
    ecs_sd_configs eureka_sd_configs gce_sd_configs hetzner_sd_configs ionos_sd_configs kuma_sd_configs
    lightsail_sd_configs linode_sd_configs marathon_sd_configs nerve_sd_configs nomad_sd_configs openstack_sd_configs
    ovhcloud_sd_configs puppetdb_sd_configs scaleway_sd_configs serverset_sd_configs stackit_sd_configs
    triton_sd_configs uyuni_sd_configs vultr_sd_configs
}
