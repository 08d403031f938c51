//! Mechanisms as a configuration names them.

use super::group::TargetGroup;
use super::interval::Interval;
use bramble_client::HttpConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The mechanisms of one scrape configuration, with Prometheus' names. Flatten it into the structure around it.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// Targets named in the configuration itself.
    pub static_configs: Vec<StaticConfig>,
    /// Targets in files.
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Targets told by an HTTP server.
    pub http_sd_configs: Vec<HttpSdConfig>,
    /// Targets in the DNS.
    pub dns_sd_configs: Vec<DnsSdConfig>,
    /// Containers.
    pub docker_sd_configs: Vec<DockerSdConfig>,
    /// Objects of a Kubernetes cluster.
    pub kubernetes_sd_configs: Vec<KubernetesSdConfig>,
}

/// Targets with labels in common.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaticConfig {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: Option<BTreeMap<String, String>>,
}

impl StaticConfig {
    /// As a group; `meta` is one label more.
    pub(crate) fn group(&self, source: String, meta: Option<(&str, &str)>) -> TargetGroup {
        let mut labels: Vec<(String, String)> =
            self.labels.iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
        labels.extend(meta.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let address = |target: &String| vec![("__address__".to_owned(), target.clone())];
        TargetGroup { source, labels, targets: self.targets.iter().map(address).collect() }
    }
}

/// Files with target groups, JSON or YAML.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSdConfig {
    /// Paths; the last part may have `*`.
    #[serde(default)]
    pub files: Vec<String>,
    /// How often all are read even if nothing seems to have changed.
    #[serde(default = "five_minutes")]
    pub refresh_interval: Interval,
}

/// A server that answers with target groups.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSdConfig {
    /// Where it answers.
    #[serde(default)]
    pub url: String,
    /// How often it is asked.
    #[serde(default = "one_minute")]
    pub refresh_interval: Interval,
    /// How it is asked.
    #[serde(flatten)]
    pub http: HttpConfig,
}

/// Names in the DNS.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSdConfig {
    /// What is looked up.
    #[serde(default)]
    pub names: Vec<String>,
    /// `A`, `AAAA`, `SRV`, `MX` or `NS`.
    #[serde(rename = "type", default = "srv")]
    pub record_type: String,
    /// The port of targets, where records have none.
    #[serde(default)]
    pub port: u16,
    /// How often they are looked up.
    #[serde(default = "thirty_seconds")]
    pub refresh_interval: Interval,
}

/// A Docker daemon.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerSdConfig {
    /// `unix:///var/run/docker.sock`, `tcp://…`, `http://…` or `https://…`.
    #[serde(default)]
    pub host: String,
    /// The port of targets that expose none.
    #[serde(default = "eighty")]
    pub port: u16,
    /// The address of containers on the host's network.
    #[serde(default = "localhost")]
    pub host_networking_host: String,
    /// Whether a container on several networks is one target only.
    #[serde(default = "yes")]
    pub match_first_network: bool,
    /// Which containers, by the daemon's own filters.
    #[serde(default)]
    pub filters: Vec<DockerFilter>,
    /// How often it is asked.
    #[serde(default = "one_minute")]
    pub refresh_interval: Interval,
    /// How it is asked.
    #[serde(flatten)]
    pub http: HttpConfig,
}

/// One of the daemon's filters.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerFilter {
    /// Of what.
    pub name: String,
    /// Any of these.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What kind of object a target is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubernetesRole {
    /// Each node: its kubelet.
    Node,
    /// Each declared port of each container.
    Pod,
    /// Each port of each service.
    Service,
    /// Each address and port behind a service.
    Endpoints,
    /// The same, from the newer objects.
    EndpointSlice,
    /// Each path of each ingress.
    Ingress,
}

impl KubernetesRole {
    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            KubernetesRole::Node => "node",
            KubernetesRole::Pod => "pod",
            KubernetesRole::Service => "service",
            KubernetesRole::Endpoints => "endpoints",
            KubernetesRole::EndpointSlice => "endpointslice",
            KubernetesRole::Ingress => "ingress",
        }
    }

    /// Whose objects are read for it, itself first.
    pub(crate) fn reads(self) -> &'static [KubernetesRole] {
        match self {
            KubernetesRole::Node => &[KubernetesRole::Node],
            KubernetesRole::Pod => &[KubernetesRole::Pod],
            KubernetesRole::Service => &[KubernetesRole::Service],
            KubernetesRole::Ingress => &[KubernetesRole::Ingress],
            KubernetesRole::Endpoints => &[KubernetesRole::Endpoints, KubernetesRole::Service, KubernetesRole::Pod],
            KubernetesRole::EndpointSlice => {
                &[KubernetesRole::EndpointSlice, KubernetesRole::Service, KubernetesRole::Pod]
            }
        }
    }
}

/// A Kubernetes cluster.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSdConfig {
    /// The API's address; empty inside a pod, where it is known.
    #[serde(default)]
    pub api_server: String,
    /// Which objects become targets.
    pub role: KubernetesRole,
    /// How to reach the cluster, as `kubectl` reads it, instead of `api_server` and HTTP settings.
    #[serde(default)]
    pub kubeconfig_file: Option<PathBuf>,
    /// Where they are looked for; all namespaces when empty.
    #[serde(default)]
    pub namespaces: NamespaceConfig,
    /// Which of them, by the API's own selectors.
    #[serde(default)]
    pub selectors: Vec<SelectorConfig>,
    /// What else is told about targets.
    #[serde(default)]
    pub attach_metadata: AttachMetadata,
    /// How the API is asked.
    #[serde(flatten)]
    pub http: HttpConfig,
}

/// Namespaces.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamespaceConfig {
    /// Our own, inside a pod.
    pub own_namespace: bool,
    /// These.
    pub names: Vec<String>,
}

/// A selector for the objects of one role.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectorConfig {
    /// Whose objects.
    pub role: KubernetesRole,
    /// By labels.
    #[serde(default)]
    pub label: String,
    /// By fields.
    #[serde(default)]
    pub field: String,
}

/// Labels of related objects.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttachMetadata {
    /// Of the node.
    pub node: bool,
    /// Of the namespace.
    pub namespace: bool,
}

fn five_minutes() -> Interval {
    Interval::seconds(300)
}

fn one_minute() -> Interval {
    Interval::seconds(60)
}

fn thirty_seconds() -> Interval {
    Interval::seconds(30)
}

fn srv() -> String {
    "SRV".to_owned()
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn eighty() -> u16 {
    80
}

fn yes() -> bool {
    true
}

impl DiscoveryConfig {
    /// Whether no mechanism is named.
    pub fn is_empty(&self) -> bool {
        *self == DiscoveryConfig::default()
    }

    /// Makes relative file names relative to `directory`, where the configuration file is.
    pub fn set_directory(&mut self, directory: &Path) {
        for file in self.file_sd_configs.iter_mut().flat_map(|one| &mut one.files) {
            *file = directory.join(&*file).to_string_lossy().into_owned();
        }
        for one in &mut self.http_sd_configs {
            one.http.set_directory(directory);
        }
        for one in &mut self.docker_sd_configs {
            one.http.set_directory(directory);
        }
        for one in &mut self.kubernetes_sd_configs {
            one.http.set_directory(directory);
            if let Some(file) = &mut one.kubeconfig_file {
                *file = directory.join(&*file);
            }
        }
    }

    /// Whether all mechanisms can work, as far as can be told without asking anybody.
    ///
    /// # Errors
    /// The first reason against, in Prometheus' words where it has them.
    pub fn validate(&self) -> Result<(), String> {
        self.file_sd_configs.iter().try_for_each(FileSdConfig::validate)?;
        self.http_sd_configs.iter().try_for_each(HttpSdConfig::validate)?;
        self.dns_sd_configs.iter().try_for_each(DnsSdConfig::validate)?;
        self.docker_sd_configs.iter().try_for_each(DockerSdConfig::validate)?;
        self.kubernetes_sd_configs.iter().try_for_each(KubernetesSdConfig::validate)
    }
}

impl FileSdConfig {
    fn validate(&self) -> Result<(), String> {
        refuse(self.files.is_empty(), "file service discovery config must contain at least one path name")?;
        for name in &self.files {
            let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
            let known = matches!(extension, "json" | "yml" | "yaml" | "JSON" | "YML" | "YAML");
            let stars_last = stem.split_once('*').is_none_or(|(_, after)| !after.contains('/'));
            refuse(!known || !stars_last, &format!("path name \"{name}\" is not valid for file discovery"))?;
        }
        Ok(())
    }
}

impl HttpSdConfig {
    fn validate(&self) -> Result<(), String> {
        refuse(self.url.is_empty(), "URL is missing")?;
        let uri: ::http::Uri = self.url.parse().map_err(|error| format!("parse \"{}\": {error}", self.url))?;
        let scheme = uri.scheme_str();
        refuse(scheme != Some("http") && scheme != Some("https"), "URL scheme must be 'http' or 'https'")?;
        refuse(uri.host().unwrap_or_default().is_empty(), "host is missing in URL")?;
        self.http.validate().map_err(|error| error.to_string())
    }
}

impl DnsSdConfig {
    fn validate(&self) -> Result<(), String> {
        refuse(self.names.is_empty(), "DNS-SD config must contain at least one SRV record name")?;
        match self.record_type.to_ascii_uppercase().as_str() {
            "SRV" => Ok(()),
            "A" | "AAAA" | "MX" | "NS" => {
                refuse(self.port == 0, "a port is required in DNS-SD configs for all record types except SRV")
            }
            _ => Err(format!("invalid DNS-SD records type {}", self.record_type)),
        }
    }
}

impl DockerSdConfig {
    fn validate(&self) -> Result<(), String> {
        refuse(self.host.is_empty(), "host missing")?;
        refuse(!self.host.contains("://"), &format!("unable to parse docker host `{}`", self.host))?;
        self.http.validate().map_err(|error| error.to_string())
    }
}

impl KubernetesSdConfig {
    /// In short, for people.
    pub(crate) fn describe(&self) -> String {
        let place = match (&self.kubeconfig_file, self.api_server.as_str()) {
            (Some(file), _) => format!(" by {}", file.display()),
            (None, "") => String::new(),
            (None, server) => format!(" of {server}"),
        };
        format!("{}{place}", self.role.as_str())
    }

    fn validate(&self) -> Result<(), String> {
        let custom_http = self.http != HttpConfig::default();
        let kubeconfig = self.kubeconfig_file.is_some();
        refuse(
            kubeconfig && !self.api_server.is_empty(),
            "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
        )?;
        refuse(
            kubeconfig && custom_http,
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
        )?;
        refuse(
            !kubeconfig && self.api_server.is_empty() && custom_http,
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
        )?;
        refuse(
            !self.api_server.is_empty() && self.namespaces.own_namespace,
            "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
        )?;
        refuse(
            kubeconfig && self.namespaces.own_namespace,
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
        )?;
        let allowed = self.role.reads();
        for selector in &self.selectors {
            if !allowed.contains(&selector.role) {
                let names: Vec<&str> = allowed.iter().rev().map(|role| role.as_str()).collect();
                return Err(format!("{} role supports only {} selectors", self.role.as_str(), names.join(", ")));
            }
        }
        self.http.validate().map_err(|error| error.to_string())
    }
}

fn refuse(condition: bool, reason: &str) -> Result<(), String> {
    if condition { Err(reason.to_owned()) } else { Ok(()) }
}
