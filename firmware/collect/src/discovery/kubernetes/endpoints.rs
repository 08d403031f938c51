//! Endpoints: the addresses behind a service, and the pods behind the addresses.

use super::labels::{put_node, put_service};
use super::meta::{Labels, object_group, put};
use super::objects::{Address, Endpoints, NamedPort, Pod, Reference};
use super::pod::{containers, put_container, put_pod};
use super::world::World;
use crate::discovery::group::{TargetGroup, add, host_port};

pub(super) fn group(endpoints: &Endpoints, world: &World) -> TargetGroup {
    let metadata = &endpoints.metadata;
    let mut group = object_group("endpoints", "endpoints", metadata, world);
    if let Some(service) = world.services.get(&metadata.namespace, &metadata.name) {
        put_service(&mut group.labels, service);
    }
    let mut pods = PodsSeen::default();
    for subset in endpoints.subsets.iter().flatten() {
        for port in subset.ports.iter().flatten() {
            let ready = subset.addresses.iter().flatten().map(|address| (address, "true"));
            let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, "false"));
            for (address, ready) in ready.chain(not_ready) {
                let mut target = address_target(address, port, ready);
                let reference = address.target_ref.as_ref();
                attach_node(&mut target, world, reference, address.node_name.as_deref());
                let pod = pods.see(world, reference, &metadata.namespace);
                if let Some(pod) = pod {
                    attach_pod(&mut target, pod, port.port, &mut pods);
                }
                group.targets.push(target);
            }
        }
    }
    pods.put_rest(world, &mut group);
    group
}

fn address_target(address: &Address, port: &NamedPort, ready: &str) -> Labels {
    let mut target = Vec::new();
    add(&mut target, "__address__", host_port(&address.ip, port.port.unwrap_or_default()));
    put(&mut target, "endpoint_port_name", port.name.as_deref().unwrap_or_default());
    put(&mut target, "endpoint_port_protocol", port.protocol.as_deref().unwrap_or("TCP"));
    put(&mut target, "endpoint_ready", ready);
    if let Some(reference) = &address.target_ref {
        put(&mut target, "endpoint_address_target_kind", reference.kind.as_str());
        put(&mut target, "endpoint_address_target_name", reference.name.as_str());
    }
    put(&mut target, "endpoint_node_name", address.node_name.as_deref().unwrap_or_default());
    put(&mut target, "endpoint_hostname", address.hostname.as_str());
    target
}

/// Labels of the node that an address is on, or is.
pub(super) fn attach_node(target: &mut Labels, world: &World, reference: Option<&Reference>, name: Option<&str>) {
    if !world.attach.node {
        return;
    }
    let referred = reference.filter(|reference| reference.kind == "Node").map(|reference| reference.name.as_str());
    if let Some(node) = referred.or(name).and_then(|name| world.nodes.get("", name)) {
        put_node(target, node);
    }
}

/// Labels of the pod behind an address, and of the container that listens on the port.
pub(super) fn attach_pod<'a>(target: &mut Labels, pod: &'a Pod, number: Option<u32>, seen: &mut PodsSeen<'a>) {
    put_pod(target, pod);
    for (container, is_init) in containers(pod) {
        for port in container.ports.iter().flatten() {
            if Some(port.container_port) == number {
                put_container(target, pod, container, is_init, Some(port));
                seen.covered.push((&pod.metadata.uid, port.container_port));
                return;
            }
        }
    }
}

/// Pods behind the addresses of one object, and which of their ports it covers.
#[derive(Default)]
pub(super) struct PodsSeen<'a> {
    pods: Vec<&'a Pod>,
    covered: Vec<(&'a str, u32)>,
}

impl<'a> PodsSeen<'a> {
    /// The pod that is referred to.
    pub(super) fn see(&mut self, world: &'a World, reference: Option<&Reference>, namespace: &str) -> Option<&'a Pod> {
        let reference = reference.filter(|reference| reference.kind == "Pod")?;
        let namespace = if reference.namespace.is_empty() { namespace } else { &reference.namespace };
        let pod = world.pods.get(namespace, &reference.name)?;
        if !self.pods.iter().any(|known| std::ptr::eq(*known, pod)) {
            self.pods.push(pod);
        }
        Some(pod)
    }

    /// Ports of those pods that the service does not name are targets too: a sidecar's metrics, say.
    pub(super) fn put_rest(self, world: &World, group: &mut TargetGroup) {
        for pod in self.pods {
            if pod.status.pod_ip.is_empty() {
                continue;
            }
            for (container, is_init) in containers(pod) {
                for port in container.ports.iter().flatten() {
                    if self.covered.contains(&(pod.metadata.uid.as_str(), port.container_port)) {
                        continue;
                    }
                    let mut target = Vec::new();
                    add(&mut target, "__address__", host_port(&pod.status.pod_ip, port.container_port));
                    put_container(&mut target, pod, container, is_init, Some(port));
                    attach_node(&mut target, world, None, Some(&pod.spec.node_name));
                    put_pod(&mut target, pod);
                    group.targets.push(target);
                }
            }
        }
    }
}
