//! Pods.

use super::labels::put_node;
use super::meta::{Labels, object_group, put, put_maps};
use super::objects::{Container, ContainerPort, Pod};
use super::world::World;
use crate::discovery::group::{TargetGroup, add, host_port};

/// Labels about a pod, but for its namespace.
pub(super) fn put_pod(labels: &mut Labels, pod: &Pod) {
    put(labels, "pod_name", pod.metadata.name.as_str());
    put_facts(labels, pod);
    put_maps(labels, "pod", &pod.metadata);
}

fn put_facts(labels: &mut Labels, pod: &Pod) {
    put(labels, "pod_ip", pod.status.pod_ip.as_str());
    put(labels, "pod_ready", ready(pod));
    put(labels, "pod_phase", pod.status.phase.as_str());
    put(labels, "pod_node_name", pod.spec.node_name.as_str());
    put(labels, "pod_host_ip", pod.status.host_ip.as_str());
    put(labels, "pod_uid", pod.metadata.uid.as_str());
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    if let Some(owner) = owners.iter().find(|owner| owner.controller == Some(true)) {
        put(labels, "pod_controller_kind", owner.kind.as_str());
        put(labels, "pod_controller_name", owner.name.as_str());
    }
}

fn ready(pod: &Pod) -> String {
    let conditions = pod.status.conditions.as_deref().unwrap_or_default();
    let condition = conditions.iter().find(|condition| condition.kind == "Ready");
    condition.map_or_else(|| "unknown".to_owned(), |condition| condition.status.to_lowercase())
}

/// Each container of a pod, and whether it is an init container.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let usual = pod.spec.containers.iter().flatten().map(|container| (container, false));
    usual.chain(pod.spec.init_containers.iter().flatten().map(|container| (container, true)))
}

/// Labels about a container and one of its ports.
pub(super) fn put_container(
    labels: &mut Labels,
    pod: &Pod,
    container: &Container,
    is_init: bool,
    port: Option<&ContainerPort>,
) {
    put(labels, "pod_container_name", container.name.as_str());
    put(labels, "pod_container_image", container.image.as_str());
    let statuses = if is_init { &pod.status.init_container_statuses } else { &pod.status.container_statuses };
    let status = statuses.iter().flatten().find(|status| status.name == container.name);
    put(labels, "pod_container_id", status.map(|status| status.container_id.clone()).unwrap_or_default());
    put(labels, "pod_container_init", is_init.to_string());
    if let Some(port) = port {
        put(labels, "pod_container_port_name", port.name.as_str());
        put(labels, "pod_container_port_number", port.container_port.to_string());
        put(labels, "pod_container_port_protocol", protocol(port));
    }
}

fn protocol(port: &ContainerPort) -> &str {
    if port.protocol.is_empty() { "TCP" } else { &port.protocol }
}

/// A target for each declared port of each container; for a container without ports, one without a port.
pub(super) fn group(pod: &Pod, world: &World) -> TargetGroup {
    let mut group = object_group("pod", "pod", &pod.metadata, world);
    let ip = &pod.status.pod_ip;
    if ip.is_empty() {
        // Not scheduled yet, or never to run again.
        return group;
    }
    put_facts(&mut group.labels, pod);
    if world.attach.node
        && let Some(node) = world.nodes.get("", &pod.spec.node_name)
    {
        put_node(&mut group.labels, node);
    }
    for (container, is_init) in containers(pod) {
        let ports = container.ports.as_deref().unwrap_or_default();
        let mut push = |address: String, port: Option<&ContainerPort>| {
            let mut target = Vec::new();
            add(&mut target, "__address__", address);
            put_container(&mut target, pod, container, is_init, port);
            group.targets.push(target);
        };
        if ports.is_empty() {
            let address = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
            push(address, None);
        }
        for port in ports {
            push(host_port(ip, port.container_port), Some(port));
        }
    }
    group
}
