//! The fields that tell who someone is. The table is in the parent's head.

use super::path::pod_log;
use crate::origin::Origin;
use bramble_signal::LabelsRef;
use bramble_signal::attributes::{AttributeValue, AttributesRef};

/// A part of an origin, by its place in [`Parts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Part {
    Service,
    Env,
    Node,
    Namespace,
    Pod,
    Container,
    Unit,
    /// A path: it may tell of a namespace, a pod and a container.
    Path,
}

const PARTS: usize = Part::Path as usize;

/// Node as `instance` tells it: an address that is scraped.
const INSTANCE: u8 = 11;
/// Behind all fields.
const OF_PATH: u8 = 100;
const UNTOLD: u8 = u8::MAX;
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Which part a field of this name tells, and how many tell it better.
pub(crate) fn field_of(name: &[u8]) -> Option<(Part, u8)> {
    use Part::*;
    Some(match name.len() {
        3 if name == b"app" => (Service, 2),
        3 if name == b"env" => (Env, 2),
        3 if name == b"job" => (Service, 12),
        3 if name == b"pod" => (Pod, 3),
        4 => match name {
            b"node" => (Node, 3),
            b"host" => (Node, 6),
            b"unit" => (Unit, 3),
            b"path" => (Path, OF_PATH + 3),
            b"file" => (Path, OF_PATH + 4),
            _ => return None,
        },
        7 => match name {
            b"service" => (Service, 1),
            b"machine" => (Node, 10),
            _ => return None,
        },
        8 => match name {
            b"app_name" => (Service, 4),
            b"workload" => (Service, 10),
            b"hostname" => (Node, 7),
            b"nodename" => (Node, 9),
            b"instance" => (Node, INSTANCE),
            b"pod_name" => (Pod, 2),
            b"filename" => (Path, OF_PATH + 1),
            b"__path__" => (Path, OF_PATH + 2),
            _ => return None,
        },
        9 => match name {
            b"host.name" | b"host_name" => (Node, 5),
            b"node_name" => (Node, 2),
            b"_HOSTNAME" => (Node, 8),
            b"namespace" => (Namespace, 3),
            b"container" => (Container, 3),
            b"component" => (Service, 9),
            _ => return None,
        },
        11 => match name {
            b"application" => (Service, 3),
            b"environment" => (Env, 3),
            _ => return None,
        },
        12 => match name {
            b"service.name" | b"service_name" => (Service, 0),
            b"systemd.unit" | b"systemd_unit" => (Unit, 0),
            b"k8s.pod.name" | b"k8s_pod_name" => (Pod, 0),
            b"k8s.job.name" | b"k8s_job_name" => (Service, 11),
            _ => return None,
        },
        13 => match name {
            b"k8s.node.name" | b"k8s_node_name" => (Node, 0),
            b"log.file.path" | b"log_file_path" => (Path, OF_PATH),
            b"_SYSTEMD_UNIT" => (Unit, 1),
            _ => return None,
        },
        14 => match name {
            b"container.name" | b"container_name" => (Container, 2),
            b"kubernetes_node" => (Node, 4),
            _ => return None,
        },
        _ => return long_field_of(name),
    })
}

fn long_field_of(name: &[u8]) -> Option<(Part, u8)> {
    use Part::*;
    let first = name.first()?;
    if name.len() < 15 || !matches!(first, b'k' | b'd' | b's' | b'a' | b'_') {
        return None;
    }
    Some(match name {
        b"app.kubernetes.io/name" | b"app_kubernetes_io_name" => (Service, 5),
        b"k8s.deployment.name" | b"k8s_deployment_name" => (Service, 6),
        b"k8s.statefulset.name" | b"k8s_statefulset_name" => (Service, 7),
        b"k8s.daemonset.name" | b"k8s_daemonset_name" => (Service, 8),
        b"deployment.environment.name" | b"deployment_environment_name" => (Env, 0),
        b"deployment.environment" | b"deployment_environment" => (Env, 1),
        b"service.environment" | b"service_environment" => (Env, 4),
        b"kubernetes_node_name" => (Node, 1),
        b"kubernetes_node" => (Node, 4),
        b"k8s.namespace.name" | b"k8s_namespace_name" => (Namespace, 0),
        b"kubernetes_namespace_name" => (Namespace, 1),
        b"kubernetes_namespace" => (Namespace, 2),
        b"kubernetes_pod_name" => (Pod, 1),
        b"k8s.container.name" | b"k8s_container_name" => (Container, 0),
        b"kubernetes_container_name" => (Container, 1),
        b"__journal__systemd_unit" => (Unit, 2),
        _ => return None,
    })
}

/// What was told so far of each part, and by which field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    values: [&'a str; PARTS],
    ranks: [u8; PARTS],
}

impl Default for Parts<'_> {
    fn default() -> Self {
        Parts { values: [""; PARTS], ranks: [UNTOLD; PARTS] }
    }
}

impl<'a> Parts<'a> {
    pub(crate) fn offer_labels(&mut self, labels: LabelsRef<'a>) {
        for (name, value) in labels.iter() {
            if let Some((part, rank)) = field_of(name.as_bytes()) {
                self.offer(part, rank, value);
            }
        }
    }

    pub(crate) fn offer_attributes(&mut self, attributes: AttributesRef<'a>) {
        for (name, value) in attributes.encoded() {
            if let Some((part, rank)) = field_of(name)
                && let Some(AttributeValue::Str(value)) = value.decode()
            {
                self.offer(part, rank, value);
            }
        }
    }

    /// Whether a field that tells this part may add to what is told already; a better one that comes later does not.
    pub(crate) fn lacks(&self, part: Part) -> bool {
        match part {
            Part::Path => self.value(Part::Pod).is_empty() || self.value(Part::Container).is_empty(),
            part => self.value(part).is_empty(),
        }
    }

    pub(crate) fn offer(&mut self, part: Part, rank: u8, value: &'a str) {
        let value = match part {
            Part::Path => {
                if let Some(log) = pod_log(value) {
                    self.set(Part::Namespace, rank, log.namespace);
                    self.set(Part::Pod, rank, log.pod);
                    self.set(Part::Container, rank, log.container);
                }
                return;
            }
            Part::Service if value == UNKNOWN_SERVICE => return,
            // OpenTelemetry's job is `namespace/service`.
            Part::Service if value.contains('/') => value.rsplit('/').next().unwrap_or(value),
            // Docker's names begin with a slash.
            Part::Container => value.strip_prefix('/').unwrap_or(value),
            Part::Node => match if rank == INSTANCE { without_port(value) } else { value } {
                "localhost" | "127.0.0.1" | "::1" => return,
                node => node,
            },
            _ => value,
        };
        self.set(part, rank, value);
    }

    fn set(&mut self, part: Part, rank: u8, value: &'a str) {
        let at = part as usize;
        if let (Some(known), Some(place)) = (self.ranks.get_mut(at), self.values.get_mut(at))
            && rank < *known
            && !value.is_empty()
        {
            (*known, *place) = (rank, value);
        }
    }

    fn value(&self, part: Part) -> &'a str {
        self.values.get(part as usize).copied().unwrap_or("")
    }

    /// What all of it comes to.
    pub(crate) fn origin(&self) -> Origin<'a> {
        let (mut service, mut node) = (self.value(Part::Service), self.value(Part::Node));
        let (pod, container, unit) = (self.value(Part::Pod), self.value(Part::Container), self.value(Part::Unit));
        if service.is_empty() {
            let named = [container, unit.strip_suffix(".service").unwrap_or(unit), UNKNOWN_SERVICE];
            service = named.into_iter().find(|name| !name.is_empty()).unwrap_or(UNKNOWN_SERVICE);
        }
        // In a pod a scraped address is that of the pod, and so is the host's name as its processes see it.
        if !pod.is_empty() && (node == pod || self.ranks.get(Part::Node as usize) == Some(&INSTANCE)) {
            node = "";
        }
        let (env, namespace) = (self.value(Part::Env), self.value(Part::Namespace));
        Origin { service, env, node, namespace, pod, container, unit }
    }
}

fn without_port(instance: &str) -> &str {
    let Some((host, port)) = instance.rsplit_once(':') else { return instance };
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return instance;
    }
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address,
        // An IPv6 address without a port.
        None if host.contains(':') => instance,
        None => host,
    }
}
