//! docs/k3s: manifests that parse, refer to each other rightly, and name ports that Bramble has.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn manifests() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/k3s");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        let text = std::fs::read_to_string(file).unwrap();
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(documents);
    }
    all
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|one| one["kind"] == kind).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Ports of the doors, from the one table of settings.
fn doors() -> BTreeSet<u64> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/bramble/src/config/mod.rs");
    let text = std::fs::read_to_string(file).unwrap();
    let ports = text.split("Door::port(").skip(1).map(|rest| rest.split(')').next().unwrap().parse().unwrap());
    let ports: BTreeSet<u64> = ports.collect();
    assert!(ports.len() > 15, "the doors are read: {ports:?}");
    ports
}

#[test]
fn all_kinds_are_there_and_namespaced() {
    let all = manifests();
    for kind in ["Namespace", "ServiceAccount", "ClusterRole", "DaemonSet", "Deployment", "Service", "EndpointSlice"] {
        assert!(!of_kind(&all, kind).is_empty(), "a {kind}");
    }
    for one in &all {
        let cluster_wide = ["Namespace", "ClusterRole", "ClusterRoleBinding"].contains(&one["kind"].as_str().unwrap());
        let namespace = one["metadata"]["namespace"].as_str();
        assert_eq!(namespace, (!cluster_wide).then_some("observability"), "{}", name(one));
        assert!(one["apiVersion"].is_string(), "{}", name(one));
    }
}

#[test]
fn names_lead_to_doors() {
    let all = manifests();
    let doors = doors();
    let slices: BTreeMap<&str, &Value> = of_kind(&all, "EndpointSlice")
        .into_iter()
        .map(|slice| (slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap(), slice))
        .collect();
    let services = of_kind(&all, "Service");
    assert_eq!(services.len(), slices.len());
    for service in &services {
        assert!(service["spec"].get("selector").is_none(), "a selector would replace the slice");
        let ports = service["spec"]["ports"].as_array().unwrap();
        let of_slice = slices[name(service)]["ports"].as_array().unwrap();
        assert_eq!(ports.len(), of_slice.len());
        for (port, behind) in ports.iter().zip(of_slice) {
            assert_eq!((&port["name"], &port["protocol"]), (&behind["name"], &behind["protocol"]));
            assert_eq!(port["targetPort"], behind["port"]);
            let number = behind["port"].as_u64().unwrap();
            assert!(doors.contains(&number), "{}: {number} is no door", name(service));
        }
    }
    let has = |wanted: &str, number: u64| {
        let service = services.iter().find(|service| name(service) == wanted).unwrap();
        service["spec"]["ports"].as_array().unwrap().iter().any(|port| port["port"] == number)
    };
    for (wanted, number) in [
        ("otel-collector", 4317),
        ("otel-collector", 4318),
        ("alloy", 4318),
        ("alloy", 12345),
        ("loki", 3100),
        ("prometheus", 9090),
        ("tempo", 3200),
        ("jaeger-collector", 14268),
    ] {
        assert!(has(wanted, number), "{wanted}:{number}");
    }
}

#[test]
fn workloads_refer_to_what_is_there() {
    let all = manifests();
    let there: BTreeSet<(&str, &str)> = all.iter().map(|one| (one["kind"].as_str().unwrap(), name(one))).collect();
    for workload in of_kind(&all, "DaemonSet").into_iter().chain(of_kind(&all, "Deployment")) {
        let pod = &workload["spec"]["template"]["spec"];
        assert!(there.contains(&("ServiceAccount", pod["serviceAccountName"].as_str().unwrap())));
        assert_eq!(workload["spec"]["selector"]["matchLabels"], workload["spec"]["template"]["metadata"]["labels"]);
        let volumes = pod["volumes"].as_array().unwrap();
        for mount in pod["containers"][0]["volumeMounts"].as_array().unwrap() {
            assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
        }
        for volume in volumes {
            let map = volume["configMap"]["name"].as_str().map(|name| ("ConfigMap", name));
            let secret = volume["secret"]["secretName"].as_str().map(|name| ("Secret", name));
            for reference in map.into_iter().chain(secret) {
                assert!(there.contains(&reference), "{reference:?}");
            }
        }
    }
    for map in of_kind(&all, "ConfigMap") {
        let settings = map["data"]["bramble.toml"].as_str().unwrap();
        settings.parse::<toml_edit::DocumentMut>().unwrap_or_else(|error| panic!("{}: {error}", name(map)));
    }
}
