//! `prometheus.io/scrape`, `…/port`, `…/path`, `…/scheme` and `…/param_<name>` on pods and services.
//!
//! Two jobs under the names that people's dashboards know: `kubernetes-pods` and `kubernetes-service-endpoints`. Targets
//! get the labels `namespace`, `pod`, `node` and, for services, `service`. A pod with several ports and a port annotation
//! is one target: all its ports end in the same address and labels.

use super::{MonitorOptions, place};
use serde_json::{Value, json};

/// Both jobs.
pub(super) fn scrape_configs(options: &MonitorOptions) -> Vec<Value> {
    let discovery = |role: &str| {
        let mut discovery = place(options);
        discovery.insert("role".to_owned(), Value::from(role));
        Value::Object(discovery)
    };
    let copy = |meta: &str, target: &str| json!({"source_labels": [format!("__meta_kubernetes_{meta}")], "target_label": target});
    let mut pods = annotated("pod");
    pods.extend([
        // An IPv6 address needs brackets before its port.
        json!({
            "source_labels": [
                "__meta_kubernetes_pod_annotation_prometheus_io_port", "__meta_kubernetes_pod_ip",
            ],
            "regex": r"(\d+);([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)",
            "replacement": "[$2]:$1",
            "target_label": "__address__",
        }),
        json!({
            "source_labels": [
                "__meta_kubernetes_pod_annotation_prometheus_io_port", "__meta_kubernetes_pod_ip",
            ],
            "regex": r"(\d+);([0-9.]+)",
            "replacement": "$2:$1",
            "target_label": "__address__",
        }),
        copy("namespace", "namespace"),
        copy("pod_name", "pod"),
        copy("pod_node_name", "node"),
    ]);
    let mut services = annotated("service");
    services.extend([
        json!({
            "source_labels": ["__address__", "__meta_kubernetes_service_annotation_prometheus_io_port"],
            "regex": r"(.+?)(?::\d+)?;(\d+)",
            "replacement": "$1:$2",
            "target_label": "__address__",
        }),
        copy("namespace", "namespace"),
        copy("service_name", "service"),
        copy("pod_name", "pod"),
        copy("pod_node_name", "node"),
    ]);
    vec![
        json!({
            "job_name": "kubernetes-pods",
            "kubernetes_sd_configs": [discovery("pod")],
            "relabel_configs": pods,
        }),
        json!({
            "job_name": "kubernetes-service-endpoints",
            "kubernetes_sd_configs": [discovery("endpointslice")],
            "relabel_configs": services,
        }),
    ]
}

fn annotated(kind: &str) -> Vec<Value> {
    let annotation = |name: &str| format!("__meta_kubernetes_{kind}_annotation_prometheus_io_{name}");
    vec![
        json!({"source_labels": [annotation("scrape")], "action": "keep", "regex": "true"}),
        json!({
            "source_labels": ["__meta_kubernetes_pod_phase"],
            "action": "drop",
            "regex": "Pending|Succeeded|Failed",
        }),
        json!({
            "source_labels": [annotation("scheme")],
            "action": "replace",
            "regex": "(https?)",
            "target_label": "__scheme__",
        }),
        json!({
            "source_labels": [annotation("path")],
            "action": "replace",
            "regex": "(.+)",
            "target_label": "__metrics_path__",
        }),
        json!({"action": "labelmap", "regex": annotation("param_(.+)"), "replacement": "__param_$1"}),
    ]
}
