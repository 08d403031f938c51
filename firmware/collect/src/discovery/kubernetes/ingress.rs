//! Ingresses.

use super::meta::{object_group, put};
use super::objects::Ingress;
use super::world::World;
use crate::discovery::group::{TargetGroup, add};

pub(super) fn group(ingress: &Ingress, world: &World) -> TargetGroup {
    let mut group = object_group("ingress", "ingress", &ingress.metadata, world);
    put(&mut group.labels, "ingress_class_name", ingress.spec.ingress_class_name.as_deref().unwrap_or_default());
    let tls_hosts: Vec<&str> =
        ingress.spec.tls.iter().flatten().flat_map(|tls| tls.hosts.iter().flatten()).map(String::as_str).collect();
    for rule in ingress.spec.rules.iter().flatten() {
        let is_tls = tls_hosts.iter().any(|pattern| matches_host(pattern, &rule.host));
        let scheme = if is_tls { "https" } else { "http" };
        let named = rule.http.iter().flat_map(|http| &http.paths).map(|path| path.path.as_str());
        let mut paths: Vec<&str> = named.map(|path| if path.is_empty() { "/" } else { path }).collect();
        if paths.is_empty() {
            paths.push("/");
        }
        for path in paths {
            let mut target = Vec::new();
            add(&mut target, "__address__", rule.host.as_str());
            put(&mut target, "ingress_scheme", scheme);
            put(&mut target, "ingress_host", rule.host.as_str());
            put(&mut target, "ingress_path", path);
            group.targets.push(target);
        }
    }
    group
}

/// Whether a certificate for `pattern` is for `host`: the same name, or a star for exactly its first part.
fn matches_host(pattern: &str, host: &str) -> bool {
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((_, parent))) => parent == domain,
        _ => pattern == host,
    }
}
