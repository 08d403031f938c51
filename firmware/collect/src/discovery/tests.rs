//! Mechanisms against servers of the tests.

use super::{Discovery, DiscoveryConfig, DiscoveryMetrics, TargetGroup};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CONTAINERS: &str = include_str!("../../../../tests/fixtures/docker/containers.json");
const NETWORKS: &str = include_str!("../../../../tests/fixtures/docker/networks.json");

fn start(config: Value) -> Discovery {
    let config: DiscoveryConfig = serde_json::from_value(config).unwrap();
    let metrics = DiscoveryMetrics::new(&prometheus::Registry::new()).unwrap();
    Discovery::start("test", &config, &metrics).unwrap()
}

async fn until(discovery: &Discovery, ready: impl Fn(&[Arc<TargetGroup>]) -> bool) -> Vec<Arc<TargetGroup>> {
    let mut groups = discovery.groups();
    let wait = groups.wait_for(|groups| ready(groups));
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("in time").unwrap().to_vec()
}

async fn until_error(discovery: &Discovery) -> String {
    let error = async {
        loop {
            if let Some(error) = discovery.status().iter().find_map(|status| status.last_error.clone()) {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), error).await.expect("in time")
}

fn addresses(groups: &[Arc<TargetGroup>]) -> Vec<String> {
    let targets = groups.iter().flat_map(|group| &group.targets);
    let labels = targets.flat_map(|target| target.iter().filter(|(name, _)| name == "__address__"));
    let mut all: Vec<String> = labels.map(|(_, address)| address.clone()).collect();
    all.sort();
    all
}

fn docker() -> Router {
    let json = |body: &'static str| move || async move { ([(CONTENT_TYPE, "application/json")], body) };
    Router::new().route("/containers/json", get(json(CONTAINERS))).route("/networks", get(json(NETWORKS)))
}

#[test]
fn configurations_are_refused_in_prometheus_words() {
    let refused =
        |config: Value| serde_json::from_value::<DiscoveryConfig>(config).unwrap().validate().err().unwrap_or_default();
    let file = |name: &str| refused(json!({"file_sd_configs": [{"files": [name]}]}));
    assert_eq!(file("a.txt"), "path name \"a.txt\" is not valid for file discovery");
    assert_eq!(file("a/*/b.yml"), "path name \"a/*/b.yml\" is not valid for file discovery");
    assert_eq!(file("a/b/*.yml"), "");
    assert_eq!(refused(json!({"http_sd_configs": [{"url": "ftp://x"}]})), "URL scheme must be 'http' or 'https'");
    assert_eq!(
        refused(json!({"dns_sd_configs": [{"names": ["x"], "type": "A"}]})),
        "a port is required in DNS-SD configs for all record types except SRV"
    );
    assert_eq!(
        refused(json!({"kubernetes_sd_configs": [{"role": "pod", "selectors": [{"role": "node", "label": "x"}]}]})),
        "pod role supports only pod selectors"
    );
    let unknown = json!({"static_configs": [{"target": []}]});
    assert!(serde_json::from_value::<DiscoveryConfig>(unknown).is_err(), "a mistyped name is said");
}

#[test]
fn configurations_are_read_from_yaml_flattened() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Job {
        job_name: String,
        #[serde(flatten)]
        discovery: DiscoveryConfig,
        #[serde(flatten)]
        http: bramble_client::HttpConfig,
    }
    let yaml = "job_name: x\nstatic_configs:\n- targets: ['a:1']\n  labels: {b: c}\nbasic_auth: {username: u, password: 7}\n\
                kubernetes_sd_configs:\n- role: endpointslice\n  namespaces: {names: [shop]}\n  api_server: https://k\n  \
                tls_config: {insecure_skip_verify: true}\n";
    let job: Job = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(job.job_name, "x");
    assert_eq!(job.http.basic_auth.unwrap().password.expose(), "7");
    assert!(job.discovery.kubernetes_sd_configs[0].http.tls_config.insecure_skip_verify);
    assert!(serde_saphyr::from_str::<Job>("job_name: x\nstatic_config: []\n").is_err());
}

/// The targets of Prometheus' `TestDockerSDRefresh`.
#[tokio::test]
async fn containers_behind_a_socket_are_prometheus_targets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, docker()).await });
    let host = format!("unix://{}", path.display());
    let discovery = start(json!({"docker_sd_configs": [{"host": host}]}));
    let groups = until(&discovery, |groups| !groups.is_empty()).await;
    assert_eq!(
        addresses(&groups),
        [
            "172.19.0.2:9100",
            "172.19.0.3:80",
            "172.20.0.2:3306",
            "172.20.0.2:33060",
            "172.20.0.2:9104",
            "172.20.0.3:3306",
            "172.20.0.3:33060",
            "localhost",
        ]
    );
    let is_node = |target: &&Vec<(String, String)>| target.iter().any(|(_, value)| value == "172.19.0.2:9100");
    let node = groups[0].targets.iter().find(is_node).unwrap();
    let node: BTreeMap<&str, &str> = node.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let wanted: BTreeMap<&str, &str> = [
        ("__address__", "172.19.0.2:9100"),
        ("__meta_docker_container_id", "c301b928faceb1a18fe379f6bc178727ef920bb30b0f9b8592b32b36255a0eca"),
        ("__meta_docker_container_image", "prom/node-exporter:v1.1.2"),
        ("__meta_docker_container_image_id", "sha256:c19ae228f0699185488b6a1c0debb9c6b79672181356ad455c9a7924a41a01bb"),
        ("__meta_docker_container_label_com_docker_compose_project", "dockersd"),
        ("__meta_docker_container_label_com_docker_compose_service", "node"),
        ("__meta_docker_container_label_com_docker_compose_version", "1.25.0"),
        ("__meta_docker_container_label_maintainer", "The Prometheus Authors <prometheus-developers@googlegroups.com>"),
        ("__meta_docker_container_label_prometheus_job", "node"),
        ("__meta_docker_container_name", "/dockersd_node_1"),
        ("__meta_docker_container_network_mode", "dockersd_default"),
        ("__meta_docker_network_id", "7189986ab399e144e52a71b7451b4e04e2158c044b4cd2f3ae26fc3a285d3798"),
        ("__meta_docker_network_ingress", "false"),
        ("__meta_docker_network_internal", "false"),
        ("__meta_docker_network_ip", "172.19.0.2"),
        ("__meta_docker_network_label_com_docker_compose_network", "default"),
        ("__meta_docker_network_label_com_docker_compose_project", "dockersd"),
        ("__meta_docker_network_label_com_docker_compose_version", "1.25.0"),
        ("__meta_docker_network_name", "dockersd_default"),
        ("__meta_docker_network_scope", "local"),
        ("__meta_docker_port_private", "9100"),
    ]
    .into();
    assert_eq!(node, wanted);
}

/// 13 targets, as in Prometheus' `TestDockerSDRefreshMatchAllNetworks`.
#[tokio::test]
async fn all_networks_of_a_container_may_be_targets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, docker()).await });
    let discovery = start(json!({"docker_sd_configs": [{"host": host, "match_first_network": false}]}));
    let groups = until(&discovery, |groups| !groups.is_empty()).await;
    assert_eq!(addresses(&groups).len(), 13);
}

#[tokio::test]
async fn a_dead_docker_socket_is_said() {
    let discovery = start(json!({"docker_sd_configs": [{"host": "unix:///nowhere/docker.sock"}]}));
    let error = until_error(&discovery).await;
    assert!(error.contains("Cannot connect to the Docker daemon at unix:///nowhere/docker.sock"), "{error}");
}

#[tokio::test]
async fn files_are_watched_and_keep_their_groups_while_they_are_broken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    std::fs::write(&path, r#"[{"targets": ["a:1"], "labels": {"x": "y"}}]"#).unwrap();
    std::fs::write(directory.path().join("b.yml"), "- targets: ['b:1', 'b:2']\n").unwrap();
    std::fs::write(directory.path().join("c.txt"), "no targets").unwrap();
    let pattern = directory.path().join("*.json").to_string_lossy().into_owned();
    let yaml = directory.path().join("*.yml").to_string_lossy().into_owned();
    let config = json!({"file_sd_configs": [{"files": [pattern, yaml], "refresh_interval": "100ms"}]});
    let discovery = start(config);
    let groups = until(&discovery, |groups| groups.len() == 2).await;
    assert_eq!(addresses(&groups), ["a:1", "b:1", "b:2"]);
    let of_a = groups.iter().find(|group| group.source.ends_with("a.json:0")).unwrap();
    let filepath = ("__meta_filepath".to_owned(), path.to_string_lossy().into_owned());
    assert!(of_a.labels.contains(&filepath) && of_a.labels.contains(&("x".to_owned(), "y".to_owned())));
    std::fs::write(&path, r#"[{"targets": ["#).unwrap();
    let error = until_error(&discovery).await;
    assert!(error.contains("a.json"), "{error}");
    assert_eq!(discovery.groups().borrow().len(), 2);
    std::fs::write(&path, r#"[{"targets": ["a:2"]}]"#).unwrap();
    until(&discovery, |groups| addresses(groups).contains(&"a:2".to_owned())).await;
    std::fs::remove_file(&path).unwrap();
    until(&discovery, |groups| addresses(groups) == ["b:1", "b:2"]).await;
}

#[tokio::test]
async fn an_http_server_tells_targets_until_it_fails_and_they_stay() {
    let works = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&works);
    let answer = move || {
        let works = flag.load(Ordering::SeqCst);
        async move {
            let kind = if works { "application/json; charset=utf-8" } else { "text/html" };
            ([(CONTENT_TYPE, kind)], r#"[{"targets": ["h:1"], "labels": {"__meta_x": "y"}}]"#)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sd", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/sd", get(answer))).await });
    let discovery = start(json!({"http_sd_configs": [{"url": url, "refresh_interval": "150ms"}]}));
    let groups = until(&discovery, |groups| !groups.is_empty()).await;
    assert_eq!(groups[0].source, format!("{url}:0"));
    assert!(groups[0].labels.contains(&("__meta_url".to_owned(), url)));
    works.store(false, Ordering::SeqCst);
    assert_eq!(until_error(&discovery).await, "unsupported content type \"text/html\"");
    assert_eq!(discovery.groups().borrow().len(), 1);
}

#[tokio::test]
async fn static_targets_are_there_at_once() {
    let discovery =
        start(json!({"static_configs": [{"targets": ["a:1"]}, {"targets": ["b:1"], "labels": {"l": "v"}}]}));
    let groups = discovery.groups().borrow().clone();
    assert_eq!(addresses(&groups), ["a:1", "b:1"]);
    assert_eq!(discovery.status()[0].targets, 2);
}
