//! Nodes and services.

use super::meta::{Labels, META, object_group, put, put_maps};
use super::objects::{Node, Service};
use super::world::World;
use crate::discovery::group::{TargetGroup, add, host_port, sanitize};

/// Which of a node's addresses the kubelet is asked at, first found first.
const ADDRESS_ORDER: [&str; 6] = ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// Labels about a node.
pub(super) fn put_node(labels: &mut Labels, node: &Node) {
    put(labels, "node_name", node.metadata.name.as_str());
    put(labels, "node_provider_id", node.spec.provider_id.as_str());
    put_maps(labels, "node", &node.metadata);
}

/// The node itself, as its kubelet.
pub(super) fn node_group(node: &Node) -> TargetGroup {
    let mut group = TargetGroup { source: format!("node/{}", node.metadata.name), ..TargetGroup::default() };
    put_node(&mut group.labels, node);
    let addresses = node.status.addresses.as_deref().unwrap_or_default();
    let of_kind = |kind: &str| addresses.iter().find(|address| address.kind == kind);
    let Some(address) = ADDRESS_ORDER.iter().find_map(|kind| of_kind(kind)) else { return group };
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    let mut target = Vec::new();
    add(&mut target, "__address__", host_port(&address.address, port));
    add(&mut target, "instance", node.metadata.name.as_str());
    let mut seen: Vec<&str> = Vec::new();
    for address in addresses {
        if !seen.contains(&address.kind.as_str()) {
            seen.push(&address.kind);
            add(&mut target, &sanitize(&format!("{META}node_address_{}", address.kind)), address.address.as_str());
        }
    }
    group.targets.push(target);
    group
}

/// Labels about the service behind endpoints.
pub(super) fn put_service(labels: &mut Labels, service: &Service) {
    put(labels, "service_name", service.metadata.name.as_str());
    put_maps(labels, "service", &service.metadata);
}

/// A service, by its name in the cluster's DNS.
pub(super) fn service_group(service: &Service, world: &World) -> TargetGroup {
    let metadata = &service.metadata;
    let mut group = object_group("svc", "service", metadata, world);
    let host = format!("{}.{}.svc", metadata.name, metadata.namespace);
    for port in service.spec.ports.iter().flatten() {
        let number = port.port.unwrap_or_default();
        let mut target = Vec::new();
        add(&mut target, "__address__", host_port(&host, number));
        put(&mut target, "service_port_name", port.name.as_deref().unwrap_or_default());
        put(&mut target, "service_port_number", number.to_string());
        put(&mut target, "service_port_protocol", port.protocol.as_deref().unwrap_or("TCP"));
        put(&mut target, "service_type", service.spec.kind.as_str());
        if service.spec.kind == "ExternalName" {
            put(&mut target, "service_external_name", service.spec.external_name.as_str());
        } else {
            put(&mut target, "service_cluster_ip", service.spec.cluster_ip.as_str());
        }
        if service.spec.kind == "LoadBalancer" {
            put(&mut target, "service_loadbalancer_ip", service.spec.load_balancer_ip.as_str());
        }
        group.targets.push(target);
    }
    group
}
