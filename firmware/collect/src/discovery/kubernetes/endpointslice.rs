//! Endpoint slices.

use super::endpoints::{PodsSeen, attach_node, attach_pod};
use super::labels::put_service;
use super::meta::{Labels, META, object_group, put};
use super::objects::{EndpointSlice, NamedPort, SliceEndpoint};
use super::world::World;
use crate::discovery::group::{TargetGroup, add, host_port, sanitize};

/// The label of a slice that names its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

pub(super) fn group(slice: &EndpointSlice, world: &World) -> TargetGroup {
    let metadata = &slice.metadata;
    let mut group = object_group("endpointslice", "endpointslice", metadata, world);
    put(&mut group.labels, "endpointslice_address_type", slice.address_type.as_str());
    let service = metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
    if let Some(service) = service.and_then(|name| world.services.get(&metadata.namespace, name)) {
        put_service(&mut group.labels, service);
    }
    let mut pods = PodsSeen::default();
    for port in slice.ports.iter().flatten() {
        for endpoint in slice.endpoints.iter().flatten() {
            for address in &endpoint.addresses {
                let mut target = address_target(address, endpoint, port);
                let reference = endpoint.target_ref.as_ref();
                attach_node(&mut target, world, reference, endpoint.node_name.as_deref());
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

fn address_target(address: &str, endpoint: &SliceEndpoint, port: &NamedPort) -> Labels {
    let mut target = Vec::new();
    // A port of a slice may have no number: every port, then, and the address alone is the target.
    let whole = match port.port {
        Some(number) => host_port(address, number),
        None => address.to_owned(),
    };
    add(&mut target, "__address__", whole);
    put(&mut target, "endpointslice_port_name", port.name.as_deref().unwrap_or_default());
    put(&mut target, "endpointslice_port_protocol", port.protocol.as_deref().unwrap_or_default());
    put(&mut target, "endpointslice_port", port.port.map(|number| number.to_string()).unwrap_or_default());
    put(&mut target, "endpointslice_port_app_protocol", port.app_protocol.as_deref().unwrap_or_default());
    let flag = |value: Option<bool>| value.map(|value| value.to_string()).unwrap_or_default();
    let conditions = &endpoint.conditions;
    put(&mut target, "endpointslice_endpoint_conditions_ready", flag(conditions.ready));
    put(&mut target, "endpointslice_endpoint_conditions_serving", flag(conditions.serving));
    put(&mut target, "endpointslice_endpoint_conditions_terminating", flag(conditions.terminating));
    put(&mut target, "endpointslice_endpoint_hostname", endpoint.hostname.as_deref().unwrap_or_default());
    put(&mut target, "endpointslice_endpoint_node_name", endpoint.node_name.as_deref().unwrap_or_default());
    put(&mut target, "endpointslice_endpoint_zone", endpoint.zone.as_deref().unwrap_or_default());
    if let Some(reference) = &endpoint.target_ref {
        put(&mut target, "endpointslice_address_target_kind", reference.kind.as_str());
        put(&mut target, "endpointslice_address_target_name", reference.name.as_str());
    }
    for (name, value) in endpoint.deprecated_topology.iter().flatten() {
        let name = sanitize(name);
        add(&mut target, &format!("{META}endpointslice_endpoint_topology_{name}"), value.as_str());
        add(&mut target, &format!("{META}endpointslice_endpoint_topology_present_{name}"), "true");
    }
    target
}
