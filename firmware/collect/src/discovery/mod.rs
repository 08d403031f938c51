//! Who is there to be scraped: service discovery, configured as in `prometheus.yml` and `promtail.yaml`.
//!
//! * [`DiscoveryConfig`] is the part of a scrape configuration that names mechanisms: [`static_configs`](StaticConfig),
//!   files, HTTP, DNS, Docker and Kubernetes.
//! * [`Discovery::start`] runs one task per mechanism and keeps the current [`TargetGroup`]s in a watch channel. A group
//!   is named by its `source`; it stays as it was while its mechanism fails.
//! * Labels of targets begin with `__meta_` and are Prometheus', name for name, since people's `relabel_configs` read
//!   them. Empty labels are left out: for relabelling they are the same as missing ones.
//! * What fails is seen: [`MechanismStatus`] with the last error, and `bramble_discovery_*` ([`DiscoveryMetrics`]).
//! * [`monitors`] turns the ServiceMonitor and PodMonitor objects of a cluster, and the `prometheus.io/…` annotations,
//!   into scrape configurations.
//!
//! Nothing is scraped here, and no relabelling is done: whoever asked does both.

mod config;
mod dns;
mod docker;
mod file;
mod group;
mod http;
mod interval;
pub mod kubernetes;
mod poll;
mod run;
mod status;
#[cfg(test)]
mod tests;

pub use config::{
    AttachMetadata, DiscoveryConfig, DnsSdConfig, DockerFilter, DockerSdConfig, FileSdConfig, HttpSdConfig,
    KubernetesRole, KubernetesSdConfig, NamespaceConfig, SelectorConfig, StaticConfig,
};
pub use group::TargetGroup;
pub use interval::Interval;
pub use kubernetes::monitors;
pub use run::Discovery;
pub use status::{DiscoveryMetrics, MechanismStatus};
