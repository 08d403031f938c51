//! Identity: the same machine, pod, container, service or unit, whatever signal tells of it and whatever it is called there.
//!
//! [`sources`] reads an [`Origin`] out of stream labels, series labels, resource attributes and metadata, [`entity`] gives
//! what an origin is made of numbers that are the same on every host and in every version. Where several fields tell,
//! the first in this table counts (dots may be underscores, as attributes become labels):
//!
//! | part | fields, best first |
//! | --- | --- |
//! | service | `service.name`, `service`, `app`, `application`, `app_name`, `app.kubernetes.io/name`, `k8s.deployment.name`, `k8s.statefulset.name`, `k8s.daemonset.name`, `component`, `workload`, `k8s.job.name`, `job` (behind its last slash), else the container, else the unit without `.service`; `unknown_service` counts as nothing |
//! | env | `deployment.environment.name`, `deployment.environment`, `env`, `environment`, `service.environment` |
//! | node | `k8s.node.name`, `kubernetes_node_name`, `node_name`, `node`, `kubernetes_node`, `host.name`, `host`, `hostname`, `_HOSTNAME`, `nodename`, `machine`, `instance` (without its port); the last is no machine where a pod is known, a pod's own name and `localhost` never are |
//! | namespace | `k8s.namespace.name`, `kubernetes_namespace_name`, `kubernetes_namespace`, `namespace`, a pod-log path |
//! | pod | `k8s.pod.name`, `kubernetes_pod_name`, `pod_name`, `pod`, a pod-log path |
//! | container | `k8s.container.name`, `kubernetes_container_name`, `container.name`, `container`, a pod-log path |
//! | unit | `systemd.unit`, `_SYSTEMD_UNIT`, `__journal__systemd_unit`, `unit` |
//!
//! Pod-log paths are what kubelets write (`/var/log/pods/<namespace>_<pod>_<uid>/<container>/0.log`,
//! `/var/log/containers/<pod>_<namespace>_<container>-<id>.log`), in `log.file.path`, `filename`, `__path__`, `path` or `file`.
//!
//! Of a log entry, stream labels tell before its metadata does.

mod entity;
mod path;
mod sources;
#[cfg(test)]
mod tests;

pub use entity::{EntityId, EntityKind};
pub use path::{PodLog, pod_log};
pub(crate) use sources::{Parts, field_of};

use crate::origin::Origin;
use bramble_signal::LabelsRef;
use bramble_signal::attributes::AttributesRef;

impl<'a> Origin<'a> {
    /// Who a stream or a series is of.
    pub fn of_labels(labels: LabelsRef<'a>) -> Origin<'a> {
        let mut parts = Parts::default();
        parts.offer_labels(labels);
        parts.origin()
    }

    /// Who a resource is.
    pub fn of_resource(attributes: AttributesRef<'a>) -> Origin<'a> {
        let mut parts = Parts::default();
        parts.offer_attributes(attributes);
        parts.origin()
    }
}
