//! Whose lines these are, as far as the path tells, under the names that the correlator and the usual dashboards know.

use super::config::FileFormat;
use super::framing::Channel;
use bramble_signal::Labels;
use bramble_signal::labels::LabelsBuilder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest description of a container that is read.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;

/// What labels of a file are made of.
pub(super) struct Origin<'a> {
    /// The path under which the file was first seen.
    pub(super) path: &'a Path,
    /// Where it is when links are followed.
    pub(super) real: &'a Path,
    pub(super) format: FileFormat,
    pub(super) host: &'a str,
    pub(super) configured: &'a BTreeMap<String, String>,
    pub(super) with_filename: bool,
    /// Whether the path tells of pods and containers.
    pub(super) with_path: bool,
}

/// The label sets of a file's lines, by channel.
pub(super) fn labels_of(origin: &Origin<'_>) -> [Labels; 3] {
    let mut labels = LabelsBuilder::new();
    let is_pod = origin.with_path
        && (pod(&origin.real.to_string_lossy(), &mut labels) || pod(&origin.path.to_string_lossy(), &mut labels));
    let is_container = origin.with_path && !is_pod && container(origin.real, &mut labels);
    let is_framed = origin.with_path && origin.format == FileFormat::Cri;
    if origin.with_filename && !is_pod && !is_container && !is_framed {
        labels.set("filename", &origin.path.to_string_lossy());
    }
    labels.set("host", origin.host);
    for (name, value) in origin.configured {
        labels.set(name, value);
    }
    Channel::ALL.map(|channel| match channel {
        Channel::None => labels.build(),
        _ if !origin.with_path => labels.build(),
        channel => labels.clone().set("stream", channel.as_str()).build(),
    })
}

/// `…/pods/<namespace>_<pod>_<uid>/<container>/<n>.log` and `…/containers/<pod>_<namespace>_<container>-<id>.log`, as kubelets
/// name them. Names of namespaces and pods have no underscore.
fn pod(path: &str, labels: &mut LabelsBuilder) -> bool {
    let found = if let Some((_, rest)) = path.split_once("/pods/") {
        in_pods(rest)
    } else if let Some((_, file)) = path.rsplit_once("/containers/") {
        in_containers(file)
    } else {
        None
    };
    let Some((namespace, pod, container)) = found else { return false };
    labels.set("namespace", namespace).set("pod", pod).set("container", container);
    // `app` is what people's own rules and ours call what several pods do together.
    labels.set("app", workload(pod));
    true
}

fn in_pods(rest: &str) -> Option<(&str, &str, &str)> {
    let mut folders = rest.split('/');
    let mut names = folders.next()?.splitn(3, '_');
    let (namespace, pod, _uid) = (names.next()?, names.next()?, names.next()?);
    let container = folders.next()?;
    folders.next()?;
    (!namespace.is_empty() && !pod.is_empty()).then_some((namespace, pod, container))
}

fn in_containers(file: &str) -> Option<(&str, &str, &str)> {
    let mut names = file.strip_suffix(".log")?.splitn(3, '_');
    let (pod, namespace, rest) = (names.next()?, names.next()?, names.next()?);
    let (container, id) = rest.rsplit_once('-')?;
    let is_id = id.len() >= 12 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id && !pod.is_empty()).then_some((namespace, pod, container))
}

/// The name of a pod's workload: without the five characters that a ReplicaSet or DaemonSet adds and the hash of a
/// Deployment's template before them, without the number of a StatefulSet. Their alphabet has no vowels and none of `0 1 3`
/// (Kubernetes' `rand.SafeEncodeString`), which few words of a name are made of.
fn workload(pod: &str) -> &str {
    let is_made_up = |part: &str| part.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    if !last.is_empty() && last.len() <= 3 && last.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if last.len() != 5 || !is_made_up(last) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((name, hash)) if (8..=10).contains(&hash.len()) && is_made_up(hash) => name,
        _ => rest,
    }
}

/// What Docker keeps beside a container's log.
#[derive(Deserialize)]
struct Description {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Config", default)]
    config: DescribedConfig,
}

#[derive(Deserialize, Default)]
struct DescribedConfig {
    #[serde(rename = "Image", default)]
    image: String,
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

/// `…/containers/<64 hex digits>/<the same>-json.log`.
fn container(path: &Path, labels: &mut LabelsBuilder) -> bool {
    let Some(directory) = path.parent() else { return false };
    let Some(id) = directory.file_name().and_then(|name| name.to_str()) else { return false };
    if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    labels.set("container_id", id.get(..12).unwrap_or(id));
    let file = directory.join("config.v2.json");
    let is_small = std::fs::metadata(&file).is_ok_and(|metadata| metadata.len() <= DESCRIPTION_BYTES_MAX);
    let text = if is_small { std::fs::read(&file).unwrap_or_default() } else { Vec::new() };
    let Ok(description) = serde_json::from_slice::<Description>(&text) else { return true };
    labels.remove("container_id").set("container", description.name.trim_start_matches('/'));
    labels.set("image", &description.config.image);
    let told = description.config.labels.unwrap_or_default();
    for (label, key) in [
        ("compose_project", "com.docker.compose.project"),
        ("compose_service", "com.docker.compose.service"),
        ("service", "com.docker.compose.service"),
        ("swarm_service", "com.docker.swarm.service.name"),
    ] {
        labels.set(label, told.get(key).map_or("", String::as_str));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, configured: &[(&str, &str)]) -> String {
        let configured = configured.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let path = Path::new(path);
        let origin = Origin {
            path,
            real: path,
            format: FileFormat::Auto,
            host: "pi",
            configured: &configured,
            with_filename: true,
            with_path: true,
        };
        labels_of(&origin)[1].to_string()
    }

    #[test]
    fn paths_tell() {
        assert_eq!(
            shown("/var/log/pods/shop_cart-7d9c8f6b5-x2v4z_0a-1/web/0.log", &[]),
            r#"{app="cart", container="web", host="pi", namespace="shop", pod="cart-7d9c8f6b5-x2v4z", stream="stdout"}"#
        );
        let id = "a".repeat(64);
        assert_eq!(
            shown(&format!("/var/log/containers/db-0_shop_postgres-{id}.log"), &[("env", "dev"), ("app", "store")]),
            r#"{app="store", container="postgres", env="dev", host="pi", namespace="shop", pod="db-0", stream="stdout"}"#
        );
        assert_eq!(shown("/var/log/syslog", &[]), r#"{filename="/var/log/syslog", host="pi", stream="stdout"}"#);
    }

    #[test]
    fn pods_have_workloads() {
        for (pod, name) in [
            ("coredns-6799fbcd5-4xzqk", "coredns"),
            ("svclb-traefik-b2c4d-x9zzz", "svclb-traefik-b2c4d"),
            ("node-exporter-mn2kz", "node-exporter"),
            ("db-0", "db"),
            ("single", "single"),
            ("my-service", "my-service"),
        ] {
            assert_eq!(workload(pod), name);
        }
    }

    #[test]
    fn docker_tells_beside_the_log() {
        let root = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        let directory = root.path().join("containers").join(&id);
        std::fs::create_dir_all(&directory).unwrap();
        let log = directory.join(format!("{id}-json.log"));
        assert_eq!(shown(log.to_str().unwrap(), &[]), r#"{container_id="0123456789ab", host="pi", stream="stdout"}"#);
        let text =
            r#"{"Name":"/shop-web-1","Config":{"Image":"nginx:1","Labels":{"com.docker.compose.service":"web"}}}"#;
        std::fs::write(directory.join("config.v2.json"), text).unwrap();
        let labels = r#"{compose_service="web", container="shop-web-1", host="pi", image="nginx:1", service="web", stream="stdout"}"#;
        assert_eq!(shown(log.to_str().unwrap(), &[]), labels);
    }
}
