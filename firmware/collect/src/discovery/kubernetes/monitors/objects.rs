//! ServiceMonitor and PodMonitor (`monitoring.coreos.com/v1`, prometheus-operator's API reference), as far as they say
//! what is scraped and how.

use crate::discovery::kubernetes::objects::{Map, Metadata, Object};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct ServiceMonitor {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct PodMonitor {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

impl Object for ServiceMonitor {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Object for PodMonitor {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// Both kinds have the same fields but for the name of their endpoints.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) job_label: String,
    pub(super) target_labels: Option<Vec<String>>,
    pub(super) pod_target_labels: Option<Vec<String>>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) pod_metrics_endpoints: Option<Vec<Endpoint>>,
    pub(super) selector: Selector,
    pub(super) namespace_selector: NamespaceSelector,
    pub(super) sample_limit: Option<u64>,
    pub(super) target_limit: Option<u64>,
    pub(super) label_limit: Option<u64>,
    pub(super) label_name_length_limit: Option<u64>,
    pub(super) label_value_length_limit: Option<u64>,
    pub(super) keep_dropped_targets: Option<u64>,
    pub(super) body_size_limit: Option<String>,
    pub(super) scrape_protocols: Option<Vec<String>>,
    pub(super) fallback_scrape_protocol: Option<String>,
    pub(super) scrape_classic_histograms: Option<bool>,
    pub(super) native_histogram_bucket_limit: Option<u64>,
    pub(super) attach_metadata: AttachMetadata,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct AttachMetadata {
    pub(super) node: Option<bool>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NamespaceSelector {
    pub(super) any: bool,
    pub(super) match_names: Option<Vec<String>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Selector {
    pub(super) match_labels: Option<Map>,
    pub(super) match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Expression {
    pub(super) key: String,
    pub(super) operator: String,
    pub(super) values: Option<Vec<String>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    pub(super) port: Option<String>,
    pub(super) port_number: Option<u32>,
    /// A number or a name.
    pub(super) target_port: Option<Value>,
    pub(super) path: String,
    pub(super) scheme: String,
    pub(super) params: Option<BTreeMap<String, Vec<String>>>,
    pub(super) interval: String,
    pub(super) scrape_timeout: String,
    pub(super) honor_labels: bool,
    pub(super) honor_timestamps: Option<bool>,
    pub(super) track_timestamps_staleness: Option<bool>,
    pub(super) follow_redirects: Option<bool>,
    pub(super) enable_http2: Option<bool>,
    pub(super) filter_running: Option<bool>,
    pub(super) proxy_url: Option<String>,
    pub(super) relabelings: Option<Vec<Relabeling>>,
    pub(super) metric_relabelings: Option<Vec<Relabeling>>,
    pub(super) bearer_token_file: String,
    pub(super) bearer_token_secret: Option<KeyRef>,
    pub(super) authorization: Option<Authorization>,
    pub(super) basic_auth: Option<BasicAuth>,
    pub(super) oauth2: Option<OAuth2>,
    pub(super) tls_config: Option<Tls>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Relabeling {
    pub(super) source_labels: Option<Vec<String>>,
    pub(super) separator: Option<String>,
    pub(super) target_label: Option<String>,
    pub(super) regex: Option<String>,
    pub(super) modulus: Option<u64>,
    pub(super) replacement: Option<String>,
    pub(super) action: Option<String>,
}

/// A key of a Secret or a ConfigMap in the monitor's namespace.
#[derive(Deserialize, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(default)]
pub(super) struct KeyRef {
    pub(super) name: String,
    pub(super) key: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SecretOrConfigMap {
    pub(super) secret: Option<KeyRef>,
    pub(super) config_map: Option<KeyRef>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Authorization {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) credentials: Option<KeyRef>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct BasicAuth {
    pub(super) username: KeyRef,
    pub(super) password: KeyRef,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OAuth2 {
    pub(super) client_id: SecretOrConfigMap,
    pub(super) client_secret: KeyRef,
    pub(super) token_url: String,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) endpoint_params: Option<Map>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tls {
    pub(super) ca: SecretOrConfigMap,
    pub(super) cert: SecretOrConfigMap,
    pub(super) key_secret: Option<KeyRef>,
    pub(super) ca_file: String,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) server_name: String,
    pub(super) insecure_skip_verify: Option<bool>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
}
