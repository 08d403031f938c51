//! Translation against what the prometheus operator's own tests expect.
//!
//! Expected rules: prometheus-operator, `pkg/prometheus/testdata/{MatchExpressionsServiceMonitor,HonorLabelsOverriding}.golden`
//! (Apache-2.0), without the rules by which it shares targets among several Prometheus servers (`__tmp_hash`).

use super::objects::{PodMonitor, ServiceMonitor};
use super::secrets::Secrets;
use super::{MonitorOptions, annotations, translate};
use crate::relabel::{RelabelConfig, relabel};
use serde_json::{Map, Value, json};

fn service(monitor: Value, secrets: &Secrets) -> Result<Vec<Value>, String> {
    let monitor: ServiceMonitor = serde_json::from_value(monitor).unwrap();
    translate::service_monitor(&monitor, &Map::new(), secrets)
}

fn pod(monitor: Value) -> Vec<Value> {
    let monitor: PodMonitor = serde_json::from_value(monitor).unwrap();
    translate::pod_monitor(&monitor, &Map::new(), &Secrets::fixed(&[])).unwrap()
}

/// Rules as the relabeller reads them: equal rules may be written in different ways.
fn rules(config: &Value) -> Vec<RelabelConfig> {
    serde_json::from_value(config.get("relabel_configs").unwrap().clone()).unwrap()
}

fn expected(yaml: &str) -> Vec<RelabelConfig> {
    serde_saphyr::from_str(yaml).unwrap()
}

const BEHIND_ADDRESS: &str = r#"
- source_labels: [__meta_kubernetes_endpoint_address_target_kind, __meta_kubernetes_endpoint_address_target_name]
  separator: ;
  regex: Node;(.*)
  replacement: ${1}
  target_label: node
- source_labels: [__meta_kubernetes_endpoint_address_target_kind, __meta_kubernetes_endpoint_address_target_name]
  separator: ;
  regex: Pod;(.*)
  replacement: ${1}
  target_label: pod
- source_labels: [__meta_kubernetes_namespace]
  target_label: namespace
- source_labels: [__meta_kubernetes_service_name]
  target_label: service
- source_labels: [__meta_kubernetes_pod_name]
  target_label: pod
- source_labels: [__meta_kubernetes_pod_container_name]
  target_label: container
- action: drop
  source_labels: [__meta_kubernetes_pod_phase]
  regex: (Failed|Succeeded)
"#;

#[test]
fn a_service_monitor_with_an_expression_is_the_operators() {
    let generated = service(
        json!({
            "metadata": {"name": "test", "namespace": "default"},
            "spec": {
                "selector": {"matchExpressions": [{"key": "alpha", "operator": "In", "values": ["beta", "gamma"]}]},
                "endpoints": [{"port": "web", "interval": "30s"}],
            },
        }),
        &Secrets::fixed(&[]),
    )
    .unwrap();
    let [config] = generated.as_slice() else { panic!("one configuration") };
    assert_eq!(config["job_name"], "serviceMonitor/default/test/0");
    assert_eq!(config["honor_labels"], false);
    assert_eq!(config["scrape_interval"], "30s");
    assert_eq!(config["kubernetes_sd_configs"], json!([{"role": "endpoints", "namespaces": {"names": ["default"]}}]));
    let head = r#"
- source_labels: [job]
  target_label: __tmp_prometheus_job_name
- action: keep
  source_labels: [__meta_kubernetes_service_label_alpha, __meta_kubernetes_service_labelpresent_alpha]
  regex: (beta|gamma);true
- action: keep
  source_labels: [__meta_kubernetes_endpoint_port_name]
  regex: web
"#;
    let tail = r#"
- source_labels: [__meta_kubernetes_service_name]
  target_label: job
  replacement: ${1}
- target_label: endpoint
  replacement: web
"#;
    assert_eq!(rules(config), expected(&format!("{head}{BEHIND_ADDRESS}{tail}")));
}

#[test]
fn target_labels_are_carried_as_by_the_operator() {
    let generated = service(
        json!({
            "metadata": {"name": "testservicemonitor1", "namespace": "default"},
            "spec": {"targetLabels": ["example", "env"], "endpoints": [{"port": "web", "honorLabels": false}]},
        }),
        &Secrets::fixed(&[]),
    )
    .unwrap();
    let head = r#"
- source_labels: [job]
  target_label: __tmp_prometheus_job_name
- action: keep
  source_labels: [__meta_kubernetes_endpoint_port_name]
  regex: web
"#;
    let tail = r#"
- source_labels: [__meta_kubernetes_service_label_example]
  target_label: example
  regex: (.+)
  replacement: ${1}
- source_labels: [__meta_kubernetes_service_label_env]
  target_label: env
  regex: (.+)
  replacement: ${1}
- source_labels: [__meta_kubernetes_service_name]
  target_label: job
  replacement: ${1}
- target_label: endpoint
  replacement: web
"#;
    assert_eq!(rules(&generated[0]), expected(&format!("{head}{BEHIND_ADDRESS}{tail}")));
}

#[test]
fn a_pod_monitor_keeps_its_port_and_names_its_job() {
    let generated = pod(json!({
        "metadata": {"name": "m", "namespace": "n"},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "x"}},
            "namespaceSelector": {"any": true},
            "jobLabel": "app",
            "podMetricsEndpoints": [
                {"port": "metrics", "path": "/m", "scheme": "HTTPS", "filterRunning": false,
                 "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "go_.*", "action": "Drop"}]},
                {"targetPort": 9000},
            ],
        },
    }));
    assert_eq!(generated.len(), 2);
    assert_eq!(generated[0]["kubernetes_sd_configs"], json!([{"role": "pod"}]));
    assert_eq!((&generated[0]["metrics_path"], &generated[0]["scheme"]), (&json!("/m"), &json!("https")));
    assert_eq!(generated[0]["metric_relabel_configs"][0]["action"], "drop");
    let rules = rules(&generated[0]);
    let target = |port: &str| {
        vec![
            ("__meta_kubernetes_namespace".to_owned(), "n".to_owned()),
            ("__meta_kubernetes_pod_label_app_kubernetes_io_name".to_owned(), "x".to_owned()),
            ("__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name".to_owned(), "true".to_owned()),
            ("__meta_kubernetes_pod_container_port_name".to_owned(), port.to_owned()),
            ("__meta_kubernetes_pod_label_app".to_owned(), "named".to_owned()),
        ]
    };
    let mut labels = target("metrics");
    assert!(relabel(&mut labels, &rules));
    assert!(labels.contains(&("job".to_owned(), "named".to_owned())), "{labels:?}");
    assert!(labels.contains(&("endpoint".to_owned(), "metrics".to_owned())));
    assert!(!relabel(&mut target("other"), &rules));
}

#[test]
fn credentials_come_from_secrets_or_the_monitor_is_refused() {
    let monitor = json!({
        "metadata": {"name": "m", "namespace": "n"},
        "spec": {"endpoints": [{
            "port": "web",
            "bearerTokenSecret": {"name": "s", "key": "token"},
            "tlsConfig": {"ca": {"configMap": {"name": "c", "key": "ca.crt"}}, "serverName": "x"},
        }]},
    });
    let known = [("secrets", "n", "s", "token", "t0k"), ("configmaps", "n", "c", "ca.crt", "PEM")];
    let generated = service(monitor.clone(), &Secrets::fixed(&known)).unwrap();
    assert_eq!(generated[0]["authorization"], json!({"type": "Bearer", "credentials": "t0k"}));
    assert_eq!(generated[0]["tls_config"], json!({"ca": "PEM", "server_name": "x"}));
    let error = service(monitor, &Secrets::fixed(&known[..1])).unwrap_err();
    assert!(error.contains("serviceMonitor/n/m") && error.contains("configmaps \"c\""), "{error}");
}

#[test]
fn annotations_move_the_address() {
    let configs = annotations::scrape_configs(&MonitorOptions::default());
    let (pods, services) = (rules(&configs[0]), rules(&configs[1]));
    let run = |rules: &[RelabelConfig], pairs: &[(&str, &str)]| {
        let mut labels: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        relabel(&mut labels, rules).then_some(labels)
    };
    let get = |labels: &[(String, String)], name: &str| {
        labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let pod = [
        ("__address__", "10.0.0.1:80"),
        ("__meta_kubernetes_pod_ip", "10.0.0.1"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_port", "9153"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_path", "/m"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_param_format", "text"),
    ];
    let labels = run(&pods, &pod).unwrap();
    assert_eq!(get(&labels, "__address__").as_deref(), Some("10.0.0.1:9153"));
    assert_eq!(get(&labels, "__metrics_path__").as_deref(), Some("/m"));
    assert_eq!(get(&labels, "__param_format").as_deref(), Some("text"));
    let mut six = pod;
    six[1].1 = "fd00::1";
    assert_eq!(get(&run(&pods, &six).unwrap(), "__address__").as_deref(), Some("[fd00::1]:9153"));
    assert!(run(&pods, &pod[..2]).is_none(), "not annotated");
    let service = [
        ("__address__", "10.244.0.3:53"),
        ("__meta_kubernetes_service_annotation_prometheus_io_scrape", "true"),
        ("__meta_kubernetes_service_annotation_prometheus_io_port", "9153"),
    ];
    assert_eq!(get(&run(&services, &service).unwrap(), "__address__").as_deref(), Some("10.244.0.3:9153"));
}
