//! What is read of Kubernetes' objects: the fields that labels are made of, and no others.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Text by text.
pub(crate) type Map = BTreeMap<String, String>;

/// An object that the API lists and watches.
pub(crate) trait Object: serde::de::DeserializeOwned + Send + Sync + 'static {
    fn metadata(&self) -> &Metadata;
}

/// Who an object is.
#[derive(Deserialize, Default, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) creation_timestamp: Option<String>,
    pub(crate) labels: Option<Map>,
    pub(crate) annotations: Option<Map>,
    pub(crate) owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize, Default, Clone, PartialEq, Debug)]
#[serde(default)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) controller: Option<bool>,
}

macro_rules! object {
    ($($name:ident),*) => {
        $(impl Object for $name {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        })*
    };
}
object!(Pod, Node, Service, Endpoints, EndpointSlice, Ingress, Namespace);

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatus,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    pub(crate) containers: Option<Vec<Container>>,
    pub(crate) init_containers: Option<Vec<Container>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) ports: Option<Vec<ContainerPort>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub(crate) name: String,
    pub(crate) container_port: u32,
    /// The API fills it in; objects that were never there say TCP by leaving it out.
    pub(crate) protocol: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: String,
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: String,
    pub(crate) conditions: Option<Vec<Condition>>,
    pub(crate) container_statuses: Option<Vec<ContainerStatus>>,
    pub(crate) init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct ContainerStatus {
    pub(crate) name: String,
    #[serde(rename = "containerID")]
    pub(crate) container_id: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) metadata: Metadata,
    pub(crate) spec: NodeSpec,
    pub(crate) status: NodeStatus,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(crate) provider_id: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeStatus {
    pub(crate) addresses: Option<Vec<NodeAddress>>,
    pub(crate) daemon_endpoints: DaemonEndpoints,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct NodeAddress {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) address: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DaemonEndpoints {
    pub(crate) kubelet_endpoint: DaemonEndpoint,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct DaemonEndpoint {
    #[serde(rename = "Port")]
    pub(crate) port: u32,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) spec: ServiceSpec,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: String,
    pub(crate) external_name: String,
    #[serde(rename = "loadBalancerIP")]
    pub(crate) load_balancer_ip: String,
    pub(crate) ports: Option<Vec<NamedPort>>,
}

/// A port of a service, of endpoints or of a slice.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NamedPort {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) protocol: Option<String>,
    pub(crate) app_protocol: Option<String>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Endpoints {
    pub(crate) metadata: Metadata,
    pub(crate) subsets: Option<Vec<Subset>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Subset {
    pub(crate) addresses: Option<Vec<Address>>,
    pub(crate) not_ready_addresses: Option<Vec<Address>>,
    pub(crate) ports: Option<Vec<NamedPort>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Address {
    pub(crate) ip: String,
    pub(crate) hostname: String,
    pub(crate) node_name: Option<String>,
    pub(crate) target_ref: Option<Reference>,
}

#[derive(Deserialize, Default, Clone, PartialEq, Debug)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: Metadata,
    pub(crate) address_type: String,
    pub(crate) ports: Option<Vec<NamedPort>>,
    pub(crate) endpoints: Option<Vec<SliceEndpoint>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SliceEndpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) conditions: EndpointConditions,
    pub(crate) hostname: Option<String>,
    pub(crate) node_name: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) target_ref: Option<Reference>,
    pub(crate) deprecated_topology: Option<Map>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct EndpointConditions {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
    pub(crate) terminating: Option<bool>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Ingress {
    pub(crate) metadata: Metadata,
    pub(crate) spec: IngressSpec,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressSpec {
    pub(crate) ingress_class_name: Option<String>,
    pub(crate) tls: Option<Vec<IngressTls>>,
    pub(crate) rules: Option<Vec<IngressRule>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct IngressTls {
    pub(crate) hosts: Option<Vec<String>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct IngressRule {
    pub(crate) host: String,
    pub(crate) http: Option<IngressHttp>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct IngressHttp {
    pub(crate) paths: Vec<IngressPath>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct IngressPath {
    pub(crate) path: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(crate) struct Namespace {
    pub(crate) metadata: Metadata,
}
