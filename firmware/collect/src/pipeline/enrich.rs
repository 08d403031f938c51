//! What is found out of the place we run at, for attributes of resources that do not say it themselves.

use super::config::Detector;
use std::path::Path;

/// The name under which the kernel keeps the host's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Attributes by name, found once at start. What cannot be found is left out.
pub(super) fn detect(detectors: &[Detector], environment: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        let value = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if let Some(value) = value
            && !found.iter().any(|(other, _)| other == name)
        {
            found.push((name.to_owned(), value));
        }
    };
    for detector in detectors {
        match detector {
            Detector::Host => add("host.name", host_name(Path::new(HOST_NAME))),
            Detector::Kubernetes => {
                add("k8s.cluster.name", environment("K8S_CLUSTER_NAME"));
                add("k8s.node.name", environment("K8S_NODE_NAME").or_else(|| environment("NODE_NAME")));
            }
            Detector::Env => {
                let listed = environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
                for (name, value) in listed.split(',').filter_map(|pair| pair.split_once('=')) {
                    add(name.trim(), Some(unescape(value)));
                }
            }
        }
    }
    found
}

fn host_name(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Percent-encoding undone, as the specification of `OTEL_RESOURCE_ATTRIBUTES` asks; `+` stands for itself.
fn unescape(value: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or(&[]);
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_out() {
        let environment = |name: &str| match name {
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("deployment.environment=prod, team=a%2Cb%zz,broken,k8s.node.name=no".to_owned())
            }
            "K8S_NODE_NAME" => Some("pi-1\n".to_owned()),
            "K8S_CLUSTER_NAME" => Some(String::new()),
            _ => None,
        };
        let found = detect(&[Detector::Kubernetes, Detector::Env], environment);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("k8s.node.name", "pi-1"), ("deployment.environment", "prod"), ("team", "a,b%zz")]);
        assert!(host_name(Path::new("/nowhere")).is_none());
    }
}
