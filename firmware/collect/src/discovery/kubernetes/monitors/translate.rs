//! From an object to scrape configurations.

use super::objects::{Endpoint, PodMonitor, ServiceMonitor, Spec, Tls};
use super::rules::{Rules, written};
use super::secrets::Secrets;
use crate::discovery::kubernetes::objects::Metadata;
use serde_json::{Map, Value, json};

/// Where the cluster is: fields of its `kubernetes_sd_configs`.
pub(super) type Place = Map<String, Value>;

/// One configuration per endpoint.
pub(super) fn service_monitor(
    monitor: &ServiceMonitor,
    place: &Place,
    secrets: &Secrets,
) -> Result<Vec<Value>, String> {
    let (metadata, spec) = (&monitor.metadata, &monitor.spec);
    let each = |(index, endpoint): (usize, &Endpoint)| {
        let mut rules = Rules::new();
        rules.select("service", &spec.selector)?;
        let port = service_port(&mut rules, endpoint);
        rules.name_behind_address();
        rules.copy("namespace", "namespace");
        rules.copy("service_name", "service");
        rules.copy("pod_name", "pod");
        rules.copy("pod_container_name", "container");
        rules.drop_finished(endpoint);
        rules.carry("service", spec.target_labels.as_ref());
        rules.carry("pod", spec.pod_target_labels.as_ref());
        rules.0.push(json!({
            "source_labels": ["__meta_kubernetes_service_name"],
            "target_label": "job",
            "replacement": "${1}",
        }));
        finish(rules, "service", spec, endpoint, port).and_then(|rules| {
            config("serviceMonitor", "endpoints", index, metadata, spec, endpoint, rules, place, secrets)
        })
    };
    let named = |error| format!("serviceMonitor/{}/{}: {error}", metadata.namespace, metadata.name);
    spec.endpoints.iter().flatten().enumerate().map(each).collect::<Result<_, String>>().map_err(named)
}

/// One configuration per endpoint.
pub(super) fn pod_monitor(monitor: &PodMonitor, place: &Place, secrets: &Secrets) -> Result<Vec<Value>, String> {
    let (metadata, spec) = (&monitor.metadata, &monitor.spec);
    let each = |(index, endpoint): (usize, &Endpoint)| {
        let mut rules = Rules::new();
        rules.drop_finished(endpoint);
        rules.select("pod", &spec.selector)?;
        let port = pod_port(&mut rules, endpoint);
        rules.copy("namespace", "namespace");
        rules.copy("pod_container_name", "container");
        rules.copy("pod_name", "pod");
        rules.carry("pod", spec.pod_target_labels.as_ref());
        rules.set("job", &format!("{}/{}", metadata.namespace, metadata.name));
        finish(rules, "pod", spec, endpoint, port)
            .and_then(|rules| config("podMonitor", "pod", index, metadata, spec, endpoint, rules, place, secrets))
    };
    let named = |error| format!("podMonitor/{}/{}: {error}", metadata.namespace, metadata.name);
    spec.pod_metrics_endpoints.iter().flatten().enumerate().map(each).collect::<Result<_, String>>().map_err(named)
}

/// Keeps the port that is meant; its name or number.
fn service_port(rules: &mut Rules, endpoint: &Endpoint) -> Option<String> {
    if let Some(port) = endpoint.port.as_ref().filter(|port| !port.is_empty()) {
        rules.keep("endpoint_port_name", port);
        return Some(port.clone());
    }
    target_port(rules, endpoint)
}

fn pod_port(rules: &mut Rules, endpoint: &Endpoint) -> Option<String> {
    if let Some(port) = endpoint.port.as_ref().filter(|port| !port.is_empty()) {
        rules.keep("pod_container_port_name", port);
        return Some(port.clone());
    }
    if let Some(number) = endpoint.port_number.filter(|number| *number != 0) {
        rules.keep("pod_container_port_number", &number.to_string());
        return Some(number.to_string());
    }
    target_port(rules, endpoint)
}

fn target_port(rules: &mut Rules, endpoint: &Endpoint) -> Option<String> {
    match endpoint.target_port.as_ref()? {
        Value::String(name) if !name.is_empty() => {
            rules.keep("pod_container_port_name", name);
            Some(name.clone())
        }
        Value::Number(number) if number.as_u64() != Some(0) => {
            rules.keep("pod_container_port_number", &number.to_string());
            Some(number.to_string())
        }
        _ => None,
    }
}

fn finish(
    mut rules: Rules,
    kind: &str,
    spec: &Spec,
    endpoint: &Endpoint,
    port: Option<String>,
) -> Result<Vec<Value>, String> {
    if !spec.job_label.is_empty() {
        let label = crate::discovery::group::sanitize(&spec.job_label);
        rules.copy_present(&format!("{kind}_label_{label}"), "job");
    }
    if let Some(port) = port {
        rules.set("endpoint", &port);
    }
    rules.0.extend(endpoint.relabelings.iter().flatten().map(written));
    Ok(rules.0)
}

#[expect(clippy::too_many_arguments, reason = "all parts of one configuration meet here, once")]
fn config(
    kind: &str,
    role: &str,
    index: usize,
    metadata: &Metadata,
    spec: &Spec,
    endpoint: &Endpoint,
    rules: Vec<Value>,
    place: &Place,
    secrets: &Secrets,
) -> Result<Value, String> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Value| _ = config.insert(name.to_owned(), value);
    put("job_name", Value::from(format!("{kind}/{}/{}/{index}", metadata.namespace, metadata.name)));
    put("honor_labels", Value::from(endpoint.honor_labels));
    let mut discovery = place.clone();
    discovery.insert("role".to_owned(), Value::from(role));
    if !spec.namespace_selector.any {
        let named = spec.namespace_selector.match_names.clone().filter(|names| !names.is_empty());
        let names = named.unwrap_or_else(|| vec![metadata.namespace.clone()]);
        discovery.insert("namespaces".to_owned(), json!({ "names": names }));
    }
    if spec.attach_metadata.node == Some(true) {
        discovery.insert("attach_metadata".to_owned(), json!({"node": true}));
    }
    put("kubernetes_sd_configs", Value::from(vec![Value::Object(discovery)]));
    for (name, text) in [
        ("scrape_interval", &endpoint.interval),
        ("scrape_timeout", &endpoint.scrape_timeout),
        ("metrics_path", &endpoint.path),
        ("scheme", &endpoint.scheme),
    ] {
        if !text.is_empty() {
            put(name, Value::from(if name == "scheme" { text.to_lowercase() } else { text.clone() }));
        }
    }
    put_options(&mut put, spec, endpoint);
    if !rules.is_empty() {
        put("relabel_configs", Value::from(rules));
    }
    if let Some(rules) = &endpoint.metric_relabelings {
        put("metric_relabel_configs", rules.iter().map(written).collect());
    }
    put_credentials(&mut put, &metadata.namespace, endpoint, secrets)?;
    Ok(Value::Object(config))
}

fn put_options(put: &mut impl FnMut(&str, Value), spec: &Spec, endpoint: &Endpoint) {
    let flags = [
        ("honor_timestamps", endpoint.honor_timestamps),
        ("track_timestamps_staleness", endpoint.track_timestamps_staleness),
        ("follow_redirects", endpoint.follow_redirects),
        ("enable_http2", endpoint.enable_http2),
        ("always_scrape_classic_histograms", spec.scrape_classic_histograms),
    ];
    for (name, flag) in flags {
        if let Some(flag) = flag {
            put(name, Value::from(flag));
        }
    }
    let limits = [
        ("sample_limit", spec.sample_limit),
        ("target_limit", spec.target_limit),
        ("label_limit", spec.label_limit),
        ("label_name_length_limit", spec.label_name_length_limit),
        ("label_value_length_limit", spec.label_value_length_limit),
        ("keep_dropped_targets", spec.keep_dropped_targets),
        ("native_histogram_bucket_limit", spec.native_histogram_bucket_limit),
    ];
    for (name, limit) in limits {
        if let Some(limit) = limit.filter(|limit| *limit != 0) {
            put(name, Value::from(limit));
        }
    }
    if let Some(limit) = &spec.body_size_limit {
        put("body_size_limit", Value::from(limit.as_str()));
    }
    if let Some(protocols) = &spec.scrape_protocols {
        put("scrape_protocols", Value::from(protocols.clone()));
    }
    if let Some(protocol) = &spec.fallback_scrape_protocol {
        put("fallback_scrape_protocol", Value::from(protocol.as_str()));
    }
    if let Some(params) = &endpoint.params {
        put("params", json!(params));
    }
    if let Some(url) = endpoint.proxy_url.as_ref().filter(|url| !url.is_empty()) {
        put("proxy_url", Value::from(url.as_str()));
    }
}

fn put_credentials(
    put: &mut impl FnMut(&str, Value),
    namespace: &str,
    endpoint: &Endpoint,
    secrets: &Secrets,
) -> Result<(), String> {
    let bearer = endpoint.bearer_token_secret.as_ref().filter(|one| !one.name.is_empty());
    if let Some(basic) = &endpoint.basic_auth {
        let username = secrets.secret(namespace, &basic.username)?;
        let password = secrets.secret(namespace, &basic.password)?;
        put("basic_auth", json!({"username": username, "password": password}));
    } else if let Some(oauth2) = &endpoint.oauth2 {
        let client_id = secrets.either(namespace, &oauth2.client_id)?.unwrap_or_default();
        put(
            "oauth2",
            json!({
                "client_id": client_id,
                "client_secret": secrets.secret(namespace, &oauth2.client_secret)?,
                "token_url": oauth2.token_url,
                "scopes": oauth2.scopes.clone().unwrap_or_default(),
                "endpoint_params": oauth2.endpoint_params.clone().unwrap_or_default(),
            }),
        );
    } else if let Some(authorization) = &endpoint.authorization {
        let kind = if authorization.kind.is_empty() { "Bearer" } else { &authorization.kind };
        if let Some(reference) = &authorization.credentials {
            let credentials = secrets.secret(namespace, reference)?;
            put("authorization", json!({"type": kind, "credentials": credentials}));
        }
    } else if let Some(reference) = bearer {
        let credentials = secrets.secret(namespace, reference)?;
        put("authorization", json!({"type": "Bearer", "credentials": credentials}));
    } else if !endpoint.bearer_token_file.is_empty() {
        put("authorization", json!({"type": "Bearer", "credentials_file": endpoint.bearer_token_file}));
    }
    if let Some(tls) = &endpoint.tls_config {
        put("tls_config", tls_config(tls, namespace, secrets)?);
    }
    Ok(())
}

fn tls_config(tls: &Tls, namespace: &str, secrets: &Secrets) -> Result<Value, String> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            config.insert(name.to_owned(), Value::from(value));
        }
    };
    put("ca", secrets.either(namespace, &tls.ca)?);
    put("cert", secrets.either(namespace, &tls.cert)?);
    put("key", tls.key_secret.as_ref().map(|one| secrets.secret(namespace, one)).transpose()?);
    put("ca_file", Some(tls.ca_file.clone()));
    put("cert_file", Some(tls.cert_file.clone()));
    put("key_file", Some(tls.key_file.clone()));
    put("server_name", Some(tls.server_name.clone()));
    put("min_version", tls.min_version.clone());
    put("max_version", tls.max_version.clone());
    if let Some(skip) = tls.insecure_skip_verify {
        config.insert("insecure_skip_verify".to_owned(), Value::from(skip));
    }
    Ok(Value::Object(config))
}
