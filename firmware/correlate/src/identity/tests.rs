//! The table of the parent's head, and ids that must never change.

use super::*;
use bramble_signal::Labels;
use bramble_signal::attributes::{AttributeValue, put_attribute};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

#[test]
fn stream_labels_tell_who_it_is() {
    let of = labels(&[
        ("service", "beorn"),
        ("env", "prod"),
        ("host", "rpi-001"),
        ("job", "shop/x"),
        ("service_name", "beorn"),
    ]);
    let expected = Origin { service: "beorn", env: "prod", node: "rpi-001", ..Origin::default() };
    assert_eq!(Origin::of_labels(of.as_ref()), expected);
    let of = labels(&[("unit", "nginx.service"), ("hostname", "Pi.lan"), ("service_name", "unknown_service")]);
    let expected = Origin { service: "nginx", node: "Pi.lan", unit: "nginx.service", ..Origin::default() };
    assert_eq!(Origin::of_labels(of.as_ref()), expected);
    assert_eq!(Origin::of_labels(labels(&[("x", "y")]).as_ref()).service, "unknown_service");
}

#[test]
fn series_labels_tell_who_it_is() {
    let of = labels(&[("__name__", "up"), ("job", "shop/beorn"), ("instance", "10.0.0.7:9100")]);
    assert_eq!(Origin::of_labels(of.as_ref()), Origin { service: "beorn", node: "10.0.0.7", ..Origin::default() });
    let of = labels(&[("job", "kubelet"), ("instance", "10.42.0.7:8080"), ("pod", "beorn-7f"), ("namespace", "shop")]);
    let expected = Origin { service: "kubelet", namespace: "shop", pod: "beorn-7f", ..Origin::default() };
    assert_eq!(Origin::of_labels(of.as_ref()), expected);
    for (instance, node) in
        [("[fe80::1]:80", "fe80::1"), ("fe80::1", "fe80::1"), ("localhost:80", ""), ("rpi:x", "rpi:x")]
    {
        assert_eq!(Origin::of_labels(labels(&[("instance", instance)]).as_ref()).node, node);
    }
}

#[test]
fn resources_tell_who_it_is() {
    let mut bytes = Vec::new();
    for (key, value) in [
        ("host.name", "beorn-7f"),
        ("k8s.pod.name", "beorn-7f"),
        ("k8s.namespace.name", "shop"),
        ("k8s.container.name", "/app"),
        ("deployment.environment", "old"),
        ("deployment.environment.name", "prod"),
        ("service.name", "beorn"),
    ] {
        put_attribute(&mut bytes, key, AttributeValue::Str(value));
    }
    put_attribute(&mut bytes, "k8s.node.name", AttributeValue::Int(5));
    let expected = Origin {
        service: "beorn",
        env: "prod",
        namespace: "shop",
        pod: "beorn-7f",
        container: "app",
        ..Origin::default()
    };
    assert_eq!(Origin::of_resource(AttributesRef::from_encoded(&bytes)), expected, "a pod's host name is no machine");
    put_attribute(&mut bytes, "k8s.node.name", AttributeValue::Str("rpi-2"));
    assert_eq!(Origin::of_resource(AttributesRef::from_encoded(&bytes)).node, "rpi-2");
}

#[test]
fn pod_log_paths_tell_who_it_is() {
    let is = |path: &str| pod_log(path).map(|log| [log.namespace, log.pod, log.container].map(str::to_owned));
    let expected = Some(["shop", "beorn-7f", "app"].map(str::to_owned));
    assert_eq!(is("/var/log/pods/shop_beorn-7f_8c0f8f0e-1111/app/0.log"), expected);
    assert_eq!(is("/host/var/log/pods/shop_beorn-7f_8c0f8f0e-1111/app/0.log.20261121.gz"), expected);
    assert_eq!(is("/var/log/containers/beorn-7f_shop_app-0123456789abcdef.log"), expected);
    assert_eq!(is("/var/log/containers/beorn-7f_shop_my-app-0123.log").unwrap()[2], "my-app");
    for path in [
        "",
        "/var/log/syslog",
        "/var/log/pods/",
        "/var/log/pods/shop",
        "/var/log/pods/_x_/a/0.log",
        "/var/log/containers/a_b.log",
        "/var/log/containers/a_b_c.log",
        "/var/log/containers/a_b_c-xyz.log",
    ] {
        assert_eq!(is(path), None, "{path}");
    }
    let of = labels(&[("filename", "/var/log/pods/shop_beorn-7f_8c0f/app/0.log"), ("container", "given")]);
    let expected =
        Origin { service: "given", namespace: "shop", pod: "beorn-7f", container: "given", ..Origin::default() };
    assert_eq!(Origin::of_labels(of.as_ref()), expected, "labels tell before paths");
}

#[test]
fn all_names_of_the_table_are_known() {
    // Each with its spelling as a label; what is not in the table tells nothing.
    let table = "service.name service app application app_name app.kubernetes.io/name k8s.deployment.name \
        k8s.statefulset.name k8s.daemonset.name component workload k8s.job.name job deployment.environment.name \
        deployment.environment env environment service.environment k8s.node.name kubernetes_node_name node_name node \
        kubernetes_node host.name host hostname _HOSTNAME nodename machine instance k8s.namespace.name \
        kubernetes_namespace_name kubernetes_namespace namespace k8s.pod.name kubernetes_pod_name pod_name pod \
        k8s.container.name kubernetes_container_name container.name container systemd.unit _SYSTEMD_UNIT \
        __journal__systemd_unit unit log.file.path filename __path__ path file";
    let mut last = None;
    for name in table.split_whitespace() {
        let found = field_of(name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(field_of(name.replace(['.', '/'], "_").as_bytes()), Some(found), "{name}");
        if let Some((part, rank)) = last.replace(found) {
            assert!(part != found.0 || rank < found.1, "{name} is not behind the one before");
        }
    }
    for name in
        ["", "x", "service.version", "host.id", "k8s.pod.uid", "container.id", "level", "services", "_container_name"]
    {
        assert_eq!(field_of(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn entities_have_ids_that_stay() {
    let origin = Origin {
        service: "beorn",
        env: "prod",
        node: "Rpi-1.lan",
        namespace: "shop",
        pod: "beorn-7f",
        container: "app",
        unit: "k3s",
    };
    let keys: Vec<_> = EntityKind::ALL.into_iter().map(|kind| origin.entity_key(kind).unwrap()).collect();
    assert_eq!(keys, ["rpi-1", "shop/beorn-7f", "shop/beorn-7f/app", "beorn", "rpi-1/k3s.service"]);
    let ids: Vec<_> = origin.entities().map(|(kind, id)| format!("{} {id}", kind.as_str())).collect();
    let expected = [
        "node e03b9b148c486af5",
        "pod abc3c1f1447207a8",
        "container 3edee8152bbfc0a3",
        "service 7d927f1abdac7be6",
        "unit dabe453cf69448ee",
    ];
    assert_eq!(ids, expected);
    let bare = Origin { service: "unknown_service", container: "db", node: "10.0.0.7", ..Origin::default() };
    assert_eq!(bare.entity_key(EntityKind::Container).as_deref(), Some("10.0.0.7/db"));
    let kinds: Vec<_> = bare.entities().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [EntityKind::Node, EntityKind::Container]);
    assert_eq!(Origin::default().entities().count(), 0);
}
