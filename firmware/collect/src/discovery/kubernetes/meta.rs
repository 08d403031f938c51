//! Labels that every kind of object has.

use super::objects::{Map, Metadata};
use super::world::World;
use crate::discovery::group::{TargetGroup, add, sanitize};

pub(super) const META: &str = "__meta_kubernetes_";

pub(super) type Labels = Vec<(String, String)>;

/// Adds `__meta_kubernetes_<name>`.
pub(super) fn put(labels: &mut Labels, name: &str, value: impl Into<String>) {
    add(labels, &format!("{META}{name}"), value);
}

/// `…_label_<name>`, `…_labelpresent_<name>`, `…_annotation_<name>`, `…_annotationpresent_<name>`.
pub(super) fn put_maps(labels: &mut Labels, kind: &str, metadata: &Metadata) {
    put_map(labels, &format!("{kind}_label"), metadata.labels.as_ref());
    put_map(labels, &format!("{kind}_annotation"), metadata.annotations.as_ref());
}

pub(super) fn put_map(labels: &mut Labels, kind: &str, map: Option<&Map>) {
    for (name, value) in map.into_iter().flatten() {
        let name = sanitize(name);
        put(labels, &format!("{kind}_{name}"), value.as_str());
        put(labels, &format!("{kind}present_{name}"), "true");
    }
}

/// A group for an object: its source, its namespace with what is known of that, its name and maps.
pub(super) fn object_group(source: &str, kind: &str, metadata: &Metadata, world: &World) -> TargetGroup {
    let source = format!("{source}/{}/{}", metadata.namespace, metadata.name);
    let mut labels = Vec::new();
    put(&mut labels, "namespace", metadata.namespace.as_str());
    if let Some(namespace) = world.namespaces.get("", &metadata.namespace).filter(|_| world.attach.namespace) {
        put_maps(&mut labels, "namespace", &namespace.metadata);
    }
    put(&mut labels, &format!("{kind}_name"), metadata.name.as_str());
    put_maps(&mut labels, kind, metadata);
    TargetGroup { source, labels, targets: Vec::new() }
}
