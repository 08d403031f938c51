//! Roles on recorded answers of clusters (tests/fixtures/kubernetes), and lists and watches against a replaying server.

use super::objects::{EndpointSlice, Endpoints, Ingress, Node, Pod, Service};
use super::watch::Change;
use super::world::{Kept, World};
use crate::discovery::config::{AttachMetadata, KubernetesRole};
use crate::discovery::{Discovery, DiscoveryConfig, DiscoveryMetrics, TargetGroup};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PODS: &str = include_str!("../../../../../tests/fixtures/kubernetes/pods.json");
const SERVICES: &str = include_str!("../../../../../tests/fixtures/kubernetes/services.json");
const SLICES: &str = include_str!("../../../../../tests/fixtures/kubernetes/endpointslices.json");
const ENDPOINTS: &str = include_str!("../../../../../tests/fixtures/kubernetes/endpoints.json");
const INGRESSES: &str = include_str!("../../../../../tests/fixtures/kubernetes/ingresses.json");

fn read<T: Kept>(world: &mut World, list: &str) {
    let list: Value = serde_json::from_str(list).unwrap();
    let objects: Vec<T> = serde_json::from_value(list["items"].clone()).unwrap();
    let scope = T::store(world).open();
    world.apply(scope, Change::Reset(objects));
}

fn world<T: Kept>(role: KubernetesRole, list: &str) -> World {
    let mut world = World::new(role, AttachMetadata::default());
    read::<T>(&mut world, list);
    world
}

type LabelMap = BTreeMap<String, String>;

/// Each target with the labels of its group, by address.
fn targets(groups: &[TargetGroup]) -> Vec<LabelMap> {
    let mut all: Vec<LabelMap> = groups
        .iter()
        .flat_map(|group| group.targets.iter().map(|target| group.labels.iter().chain(target).cloned().collect()))
        .collect();
    all.sort();
    all
}

/// `name value` by line, without `__meta_kubernetes_`.
fn expect(target: &LabelMap, lines: &str) {
    let mut wanted = LabelMap::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(' ').unwrap();
        let name = if name == "__address__" { name.to_owned() } else { format!("__meta_kubernetes_{name}") };
        wanted.insert(name, value.to_owned());
    }
    assert_eq!(*target, wanted);
}

#[test]
fn pods_are_labelled() {
    let found = targets(&world::<Pod>(KubernetesRole::Pod, PODS).groups());
    assert_eq!(found.len(), 1);
    expect(
        &found[0],
        "__address__ 172.17.0.2:1234
        namespace kube-system
        pod_name etcd-m01
        pod_ip 172.17.0.2
        pod_container_name etcd
        pod_container_image k8s.gcr.io/etcd:3.4.3-0
        pod_container_id docker://a28f0800855008485376c1eece1cf61de97cb7026b9188d138b0d55d92fc2f5c
        pod_container_port_name foobar
        pod_container_port_number 1234
        pod_container_port_protocol TCP
        pod_ready true
        pod_phase Running
        pod_node_name m01
        pod_host_ip 172.17.0.2
        pod_uid 9d328156-75d1-411a-bdd0-aeacb53a38de
        pod_controller_kind Node
        pod_controller_name m01
        pod_container_init false
        pod_label_component etcd
        pod_label_tier control-plane
        pod_labelpresent_component true
        pod_labelpresent_tier true
        pod_annotation_kubernetes_io_config_hash 3ec997b76fb6ed3b78da8e0b5676dac4
        pod_annotation_kubernetes_io_config_mirror 3ec997b76fb6ed3b78da8e0b5676dac4
        pod_annotation_kubernetes_io_config_seen 2020-03-16T20:44:26.538136233Z
        pod_annotation_kubernetes_io_config_source file
        pod_annotationpresent_kubernetes_io_config_hash true
        pod_annotationpresent_kubernetes_io_config_mirror true
        pod_annotationpresent_kubernetes_io_config_seen true
        pod_annotationpresent_kubernetes_io_config_source true",
    );
}

#[test]
fn services_are_labelled() {
    let found = targets(&world::<Service>(KubernetesRole::Service, SERVICES).groups());
    assert_eq!(found.len(), 3);
    expect(
        &found[2],
        "__address__ kube-dns.kube-system.svc:9153
        namespace kube-system
        service_name kube-dns
        service_type ClusterIP
        service_port_name metrics
        service_port_number 9153
        service_port_protocol TCP
        service_cluster_ip 10.96.0.10
        service_label_k8s_app kube-dns
        service_label_kubernetes_io_cluster_service true
        service_label_kubernetes_io_name KubeDNS
        service_labelpresent_k8s_app true
        service_labelpresent_kubernetes_io_cluster_service true
        service_labelpresent_kubernetes_io_name true
        service_annotation_prometheus_io_port 9153
        service_annotation_prometheus_io_scrape true
        service_annotationpresent_prometheus_io_port true
        service_annotationpresent_prometheus_io_scrape true",
    );
}

#[test]
fn endpoint_slices_are_labelled_with_their_service() {
    let mut world = world::<EndpointSlice>(KubernetesRole::EndpointSlice, SLICES);
    read::<Service>(&mut world, SERVICES);
    let found = targets(&world.groups());
    assert_eq!(found.len(), 3);
    assert_eq!(found[0]["__address__"], "10.244.0.3:53");
    assert_eq!(found[1]["__meta_kubernetes_endpointslice_address_target_name"], "coredns-66bff467f8-z8czk");
    assert_eq!(found[1]["__meta_kubernetes_service_name"], "kube-dns");
    assert_eq!(found[1]["__meta_kubernetes_service_annotation_prometheus_io_scrape"], "true");
    expect(
        &found[2],
        "__address__ 172.18.0.2:6443
        endpointslice_address_type IPv4
        endpointslice_endpoint_conditions_ready true
        endpointslice_label_kubernetes_io_service_name kubernetes
        endpointslice_labelpresent_kubernetes_io_service_name true
        endpointslice_name kubernetes
        endpointslice_port 6443
        endpointslice_port_name https
        endpointslice_port_protocol TCP
        namespace default",
    );
}

#[test]
fn endpoints_are_labelled() {
    let found = targets(&world::<Endpoints>(KubernetesRole::Endpoints, ENDPOINTS).groups());
    assert_eq!(found.len(), 1);
    expect(
        &found[0],
        "__address__ 172.17.0.2:8443
        endpoint_address_target_kind Pod
        endpoint_address_target_name coredns-6955765f44-lnp6t
        endpoint_hostname aaa.bbb
        endpoint_node_name foobar
        endpoint_port_name https
        endpoint_port_protocol TCP
        endpoint_ready true
        endpoints_name kubernetes
        endpoints_annotation_x y
        endpoints_annotationpresent_x true
        endpoints_label_foo bar
        endpoints_labelpresent_foo true
        namespace default",
    );
}

#[test]
fn ingresses_are_labelled() {
    let found = targets(&world::<Ingress>(KubernetesRole::Ingress, INGRESSES).groups());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["__address__"], "foobar");
    assert_eq!(found[0]["__meta_kubernetes_ingress_scheme"], "http");
    assert_eq!(found[0]["__meta_kubernetes_ingress_path"], "/");
    assert_eq!(found[0]["__meta_kubernetes_ingress_name"], "test-ingress");
}

/// The example of Prometheus' `TestEndpointSliceDiscoveryAdd`: the slice's port is container c1's, and c2's port is a
/// target of its own.
#[test]
fn ports_that_a_service_leaves_out_are_targets() {
    let mut world = world::<EndpointSlice>(
        KubernetesRole::EndpointSlice,
        &json!({"items": [{
            "metadata": {"name": "testendpoints", "namespace": "default"},
            "addressType": "IPv4",
            "ports": [{"name": "testport", "port": 9000, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": ["4.3.2.1"],
                "conditions": {"ready": false},
                "targetRef": {"kind": "Pod", "name": "testpod", "namespace": "default"},
            }],
        }]})
        .to_string(),
    );
    let pod = json!({"items": [{
        "metadata": {"name": "testpod", "namespace": "default", "uid": "deadbeef"},
        "spec": {"nodeName": "testnode", "containers": [
            {"name": "c1", "image": "c1:latest", "ports": [{"name": "mainport", "containerPort": 9000, "protocol": "TCP"}]},
            {"name": "c2", "image": "c2:latest", "ports": [{"name": "sideport", "containerPort": 9001, "protocol": "TCP"}]},
        ]},
        "status": {"hostIP": "2.3.4.5", "podIP": "1.2.3.4"},
    }]});
    read::<Pod>(&mut world, &pod.to_string());
    let found = targets(&world.groups());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["__address__"], "1.2.3.4:9001");
    assert_eq!(found[0]["__meta_kubernetes_pod_container_name"], "c2");
    assert!(!found[0].contains_key("__meta_kubernetes_endpointslice_port"));
    assert_eq!(found[1]["__address__"], "4.3.2.1:9000");
    assert_eq!(found[1]["__meta_kubernetes_pod_container_name"], "c1");
    assert_eq!(found[1]["__meta_kubernetes_pod_ready"], "unknown");
}

#[test]
fn nodes_are_their_kubelets() {
    let nodes = json!({"items": [{
        "metadata": {"name": "pi-1", "labels": {"kubernetes.io/arch": "arm64"}},
        "spec": {"providerID": "k3s://pi-1"},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "pi-1"},
                {"type": "InternalIP", "address": "192.168.1.5"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    }]});
    let found = targets(&world::<Node>(KubernetesRole::Node, &nodes.to_string()).groups());
    assert_eq!(found[0]["__address__"], "192.168.1.5:10250");
    assert_eq!(found[0]["instance"], "pi-1");
    assert_eq!(found[0]["__meta_kubernetes_node_address_InternalIP"], "192.168.1.5");
    assert_eq!(found[0]["__meta_kubernetes_node_address_Hostname"], "pi-1");
    assert_eq!(found[0]["__meta_kubernetes_node_provider_id"], "k3s://pi-1");
}

/// What a replaying API answers next, by kind of request.
#[derive(Default)]
struct Script {
    /// Answers to lists; the last is repeated.
    lists: Vec<(u16, String)>,
    /// Bodies of watches; when there is none, a watch stays open and silent.
    watches: Vec<String>,
    asked: Vec<String>,
}

type Shared = Arc<parking_lot::Mutex<Script>>;

/// The next answer; `None`: a watch that stays silent.
fn next_answer(script: &Shared, uri: &Uri, is_watch: bool) -> Option<(u16, String)> {
    let mut script = script.lock();
    script.asked.push(uri.to_string());
    if is_watch {
        return (!script.watches.is_empty()).then(|| (200, script.watches.remove(0)));
    }
    if script.lists.len() > 1 { Some(script.lists.remove(0)) } else { script.lists.first().cloned() }
}

async fn answer(State(script): State<Shared>, uri: Uri, RawQuery(query): RawQuery) -> Response {
    let is_watch = query.unwrap_or_default().contains("watch=true");
    let Some((status, body)) = next_answer(&script, &uri, is_watch) else {
        std::future::pending::<()>().await;
        return StatusCode::OK.into_response();
    };
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

async fn serve(script: Script) -> (String, Shared) {
    let shared = Arc::new(parking_lot::Mutex::new(script));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, shared)
}

fn pod_list(version: &str, next: &str, names: &[&str]) -> (u16, String) {
    let items: Vec<Value> = names.iter().map(|name| pod(name, "1")).collect();
    let list = json!({"kind": "PodList", "metadata": {"resourceVersion": version, "continue": next}, "items": items});
    (200, list.to_string())
}

fn pod(name: &str, version: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": version},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"podIP": "10.0.0.9", "phase": "Running"},
    })
}

fn event(kind: &str, object: Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn start(api_server: &str) -> Discovery {
    let config: DiscoveryConfig =
        serde_json::from_value(json!({"kubernetes_sd_configs": [{"role": "pod", "api_server": api_server}]})).unwrap();
    let metrics = DiscoveryMetrics::new(&prometheus::Registry::new()).unwrap();
    Discovery::start("test", &config, &metrics).unwrap()
}

/// Waits until the sources are these.
async fn until(discovery: &Discovery, wanted: &[&str]) {
    let mut groups = discovery.groups();
    let wait = groups.wait_for(|groups| {
        let mut sources: Vec<&str> = groups.iter().map(|group| group.source.as_str()).collect();
        sources.sort_unstable();
        sources == wanted
    });
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("in time").unwrap();
}

#[tokio::test]
async fn lists_are_read_in_pages_and_watched() {
    let (address, script) = serve(Script {
        lists: vec![pod_list("5", "more", &["a"]), pod_list("5", "", &["b"])],
        watches: vec![
            event("ADDED", pod("c", "6"))
                + &event("DELETED", pod("a", "7"))
                + &event("BOOKMARK", json!({"kind": "Pod", "metadata": {"resourceVersion": "9"}})),
        ],
        ..Script::default()
    })
    .await;
    let discovery = start(&address);
    until(&discovery, &["pod/default/b", "pod/default/c"]).await;
    // The second watch goes on from the bookmark.
    let asked = async {
        loop {
            if let Some(last) = script.lock().asked.get(3).cloned() {
                return last;
            }
            tokio::task::yield_now().await;
        }
    };
    let last = tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    assert!(last.contains("resourceVersion=9") && last.contains("allowWatchBookmarks=true"), "{last}");
    let asked = script.lock().asked.clone();
    assert!(asked[0].starts_with("/api/v1/pods?limit=") && !asked[0].contains("continue"), "{asked:?}");
    assert!(asked[1].contains("continue=more"), "{asked:?}");
    assert!(asked[2].contains("resourceVersion=5"), "{asked:?}");
}

#[tokio::test]
async fn a_version_that_is_gone_is_read_anew() {
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
    let (address, _script) = serve(Script {
        lists: vec![pod_list("5", "", &["a"]), pod_list("50", "", &["z"])],
        watches: vec![event("ERROR", gone)],
        ..Script::default()
    })
    .await;
    let discovery = start(&address);
    until(&discovery, &["pod/default/z"]).await;
    assert_eq!(discovery.status()[0].failures, 0, "no fault of anybody");
}

#[tokio::test]
async fn an_expired_token_is_said_and_groups_stay() {
    let refused = json!({"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401}).to_string();
    let gone = json!({"kind": "Status", "code": 410});
    let (address, script) = serve(Script {
        lists: vec![pod_list("5", "", &["a"]), (401, refused)],
        watches: vec![event("ERROR", gone)],
        ..Script::default()
    })
    .await;
    let discovery = start(&address);
    until(&discovery, &["pod/default/a"]).await;
    let error = async {
        loop {
            if let Some(error) = discovery.status()[0].last_error.clone() {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(30), error).await.unwrap();
    assert!(error.contains("pods") && error.contains("401 Unauthorized"), "{error}");
    assert_eq!(discovery.groups().borrow().len(), 1, "what is known stays");
    script.lock().lists = vec![pod_list("60", "", &["b"])];
    until(&discovery, &["pod/default/b"]).await;
    let recovered = async {
        while discovery.status()[0].last_error.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), recovered).await.unwrap();
}
