//! promtail.yaml as it is written. Source: Promtail's documentation, "Configuration file reference".
//!
//! What Promtail reads and we have no use for is named here too, so that a misspelt key is still told from it.

use crate::discovery::DiscoveryConfig;
use crate::pipeline::logs::StageConfig;
use crate::relabel::RelabelConfig;
use bramble_client::{BasicAuth, OAuth2, Secret, TlsConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::Path;

/// Something that is not looked at, and where it stands.
type Ignored = Option<Spanned<IgnoredAny>>;

/// Ways of discovery, each as it stands, so that what is wrong in one is told with its line.
type Ways = Option<Vec<Spanned<serde_json::Value>>>;

/// The whole file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PromtailFile {
    pub(super) global: Option<IgnoredAny>,
    pub(super) server: Option<IgnoredAny>,
    /// The form before 1.0.
    pub(super) client: Option<Spanned<ClientConfig>>,
    pub(super) clients: Option<Vec<Spanned<ClientConfig>>>,
    pub(super) positions: Option<PositionsConfig>,
    pub(super) scrape_configs: Option<Vec<Spanned<ScrapeConfig>>>,
    pub(super) limits_config: Option<Spanned<LimitsConfig>>,
    pub(super) target_config: Option<IgnoredAny>,
    pub(super) options: Ignored,
    pub(super) tracing: Ignored,
    pub(super) wal: Ignored,
    /// Anchors that people keep here.
    #[serde(rename = "x-anchors")]
    pub(super) anchors: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PositionsConfig {
    pub(super) filename: Option<String>,
    pub(super) sync_period: Option<IgnoredAny>,
    pub(super) ignore_invalid_yaml: bool,
}

/// A Loki that Promtail pushes to.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientConfig {
    pub(super) name: Option<String>,
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) tenant_id: Option<String>,
    pub(super) batchwait: Option<IgnoredAny>,
    pub(super) batchsize: Option<IgnoredAny>,
    pub(super) basic_auth: Option<BasicAuth>,
    pub(super) oauth2: Option<OAuth2>,
    pub(super) bearer_token: Option<Secret>,
    pub(super) bearer_token_file: Option<String>,
    pub(super) proxy_url: Option<String>,
    pub(super) tls_config: Option<TlsConfig>,
    pub(super) follow_redirects: Option<bool>,
    pub(super) enable_http2: Option<IgnoredAny>,
    pub(super) backoff_config: Option<IgnoredAny>,
    pub(super) drop_rate_limited_batches: Ignored,
    pub(super) external_labels: BTreeMap<String, String>,
    pub(super) timeout: Option<IgnoredAny>,
    pub(super) stream_lag_labels: Option<IgnoredAny>,
}

/// One job.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScrapeConfig {
    pub(super) job_name: String,
    pub(super) pipeline_stages: Option<Vec<Spanned<StageConfig>>>,
    /// The form before 1.0: what a runtime wraps lines in.
    pub(super) entry_parser: Ignored,
    pub(super) decompression: Option<DecompressionConfig>,
    pub(super) encoding: Option<Spanned<String>>,
    pub(super) relabel_configs: Option<Vec<Spanned<RelabelConfig>>>,
    pub(super) static_configs: Option<Vec<Spanned<StaticConfig>>>,
    pub(super) file_sd_configs: Ways,
    pub(super) kubernetes_sd_configs: Ways,
    pub(super) docker_sd_configs: Ways,
    pub(super) http_sd_configs: Ways,
    pub(super) dns_sd_configs: Ways,
    pub(super) journal: Option<Spanned<JournalConfig>>,
    pub(super) syslog: Option<Spanned<SyslogConfig>>,
    pub(super) loki_push_api: Ignored,
    pub(super) windows_events: Ignored,
    pub(super) gcplog: Ignored,
    pub(super) azure_event_hub: Ignored,
    pub(super) azure_event_hubs: Ignored,
    pub(super) kafka: Ignored,
    pub(super) gelf: Ignored,
    pub(super) cloudflare: Ignored,
    pub(super) heroku_drain: Ignored,
    pub(super) consul_sd_configs: Ignored,
    pub(super) consulagent_sd_configs: Ignored,
    pub(super) ec2_sd_configs: Ignored,
    pub(super) gce_sd_configs: Ignored,
    pub(super) azure_sd_configs: Ignored,
    pub(super) openstack_sd_configs: Ignored,
    pub(super) triton_sd_configs: Ignored,
    pub(super) digitalocean_sd_configs: Ignored,
    pub(super) dockerswarm_sd_configs: Ignored,
    pub(super) nerve_sd_configs: Ignored,
    pub(super) serverset_sd_configs: Ignored,
}

impl ScrapeConfig {
    /// The ways of discovery.
    ///
    /// # Errors
    /// Line and reason.
    pub(super) fn discovery(&self, directory: &Path) -> Result<DiscoveryConfig, (u64, String)> {
        let all = [
            ("file_sd_configs", &self.file_sd_configs),
            ("kubernetes_sd_configs", &self.kubernetes_sd_configs),
            ("docker_sd_configs", &self.docker_sd_configs),
            ("http_sd_configs", &self.http_sd_configs),
            ("dns_sd_configs", &self.dns_sd_configs),
        ];
        let read = |ways: serde_json::Map<String, serde_json::Value>| {
            let mut config: DiscoveryConfig =
                serde_json::from_value(serde_json::Value::Object(ways)).map_err(|error| error.to_string())?;
            config.set_directory(directory);
            config.validate()?;
            Ok::<DiscoveryConfig, String>(config)
        };
        let mut together = serde_json::Map::new();
        for (name, ways) in all {
            for way in ways.iter().flatten() {
                // Each by itself first, for its line.
                let alone = serde_json::Value::Array(vec![way.value.clone()]);
                read([(name.to_owned(), alone)].into_iter().collect())
                    .map_err(|error| (way.referenced.line(), format!("{name}: {error}")))?;
            }
            if let Some(ways) = ways {
                let ways = ways.iter().map(|way| way.value.clone()).collect();
                together.insert(name.to_owned(), serde_json::Value::Array(ways));
            }
        }
        read(together).map_err(|error| (0, error))
    }

    /// What the job asks for and does not get, with the word for it.
    pub(super) fn unsupported(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("loki_push_api", &self.loki_push_api),
            ("windows_events", &self.windows_events),
            ("gcplog", &self.gcplog),
            ("azure_event_hub", &self.azure_event_hub),
            ("azure_event_hubs", &self.azure_event_hubs),
            ("kafka", &self.kafka),
            ("gelf", &self.gelf),
            ("cloudflare", &self.cloudflare),
            ("heroku_drain", &self.heroku_drain),
            ("consul_sd_configs", &self.consul_sd_configs),
            ("consulagent_sd_configs", &self.consulagent_sd_configs),
            ("ec2_sd_configs", &self.ec2_sd_configs),
            ("gce_sd_configs", &self.gce_sd_configs),
            ("azure_sd_configs", &self.azure_sd_configs),
            ("openstack_sd_configs", &self.openstack_sd_configs),
            ("triton_sd_configs", &self.triton_sd_configs),
            ("digitalocean_sd_configs", &self.digitalocean_sd_configs),
            ("dockerswarm_sd_configs", &self.dockerswarm_sd_configs),
            ("nerve_sd_configs", &self.nerve_sd_configs),
            ("serverset_sd_configs", &self.serverset_sd_configs),
            ("entry_parser", &self.entry_parser),
        ];
        all.into_iter().filter_map(|(word, found)| found.as_ref().map(|found| (word, found.referenced.line())))
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecompressionConfig {
    pub(super) enabled: bool,
    pub(super) initial_delay: Option<IgnoredAny>,
    pub(super) format: Option<Spanned<String>>,
}

/// Targets that are listed. Promtail takes them without `targets` too: they are of this host.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StaticConfig {
    pub(super) targets: Option<Vec<String>>,
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JournalConfig {
    pub(super) json: bool,
    pub(super) max_age: Option<Spanned<String>>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) path: Option<String>,
    pub(super) matches: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SyslogConfig {
    pub(super) listen_address: String,
    pub(super) listen_protocol: Option<Spanned<String>>,
    pub(super) idle_timeout: Option<Spanned<String>>,
    pub(super) label_structured_data: bool,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) use_incoming_timestamp: bool,
    pub(super) use_rfc5424_message: bool,
    pub(super) syslog_format: Option<Spanned<String>>,
    pub(super) max_message_length: Option<u64>,
    pub(super) tls_config: Ignored,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsConfig {
    pub(super) readline_rate_enabled: bool,
    pub(super) readline_rate: Option<f64>,
    pub(super) readline_burst: Option<u64>,
    pub(super) readline_rate_drop: Option<bool>,
    pub(super) max_streams: Option<Spanned<u64>>,
    pub(super) max_line_size: Option<Spanned<SizeText>>,
    pub(super) max_line_size_truncate: bool,
}

/// A size in bytes: a number, or a text such as `256kb`.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub(super) enum SizeText {
    Bytes(u64),
    Text(String),
}
