//! Events become lines, each once.

use super::known::Known;
use super::line::{of_event, of_pod};
use super::object::{Event, PodState};
use serde_json::json;
use std::collections::BTreeMap;

fn scheduling(count: u64) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": "web-1.17a", "namespace": "shop", "uid": "u1"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1", "apiVersion": "v1"},
        "reason": "FailedScheduling",
        "message": "0/3 nodes are available: 3 Insufficient memory. \"taint\"",
        "type": "Warning",
        "count": count,
        "source": {"component": "default-scheduler"},
        "firstTimestamp": "2026-11-21T10:00:00Z",
        "lastTimestamp": "2026-11-21T10:05:00Z",
        "eventTime": null,
    }))
    .unwrap()
}

#[test]
fn an_event_is_a_line_with_labels_and_metadata() {
    let line = of_event(&scheduling(3)).unwrap();
    assert_eq!(
        line.text,
        "name=web-1 kind=Pod objectAPIversion=v1 reason=FailedScheduling type=Warning count=3 \
         sourcecomponent=default-scheduler msg=\"0/3 nodes are available: 3 Insufficient memory. \\\"taint\\\"\""
    );
    assert_eq!(line.timestamp_ns, 1_795_255_500_000_000_000);
    let labels: Vec<_> = line.labels.iter().collect();
    assert_eq!(
        labels,
        [
            ("job", "kubernetes-events"),
            ("kind", "Pod"),
            ("namespace", "shop"),
            ("reason", "FailedScheduling"),
            ("service", "kubernetes-events"),
            ("type", "Warning"),
        ]
    );
    assert_eq!((line.metadata.get("level"), line.metadata.get("pod")), (Some("warn"), Some("web-1")));
}

#[test]
fn newer_forms_of_events_have_their_times_elsewhere() {
    let event: Event = serde_json::from_value(json!({
        "metadata": {"uid": "u2"},
        "eventTime": "2026-11-21T10:00:00.123456Z",
        "series": {"count": 7, "lastObservedTime": "2026-11-21T10:00:30.5Z"},
        "reportingComponent": "kubelet",
        "reportingInstance": "pi-1",
    }))
    .unwrap();
    let line = of_event(&event).unwrap();
    assert_eq!((line.timestamp_ns % 60_000_000_000, line.version.as_str()), (30_500_000_000, "7"));
    assert!(of_event(&Event::default()).is_none(), "no time at all");
}

#[test]
fn a_container_killed_for_memory_is_told() {
    let pod: PodState = serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "p"},
        "spec": {"nodeName": "pi-1"},
        "status": {"containerStatuses": [
            {"name": "app", "restartCount": 4, "state": {"running": {}}, "lastState": {"terminated": {
                "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-21T10:00:00Z", "containerID": "containerd://x",
            }}},
            {"name": "job", "state": {"terminated": {
                "exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-21T10:00:00Z", "containerID": "containerd://y",
            }}},
        ]},
    }))
    .unwrap();
    let lines = of_pod(&pod);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].labels.get("reason"), Some("OOMKilled"));
    assert_eq!(lines[0].metadata.get("container"), Some("app"));
    assert!(lines[0].text.contains("exit code 137"), "{}", lines[0].text);
}

#[test]
fn a_list_that_is_read_again_tells_only_what_is_new() {
    let mut positions = Vec::new();
    let mut known = Known::default();
    let line = of_event(&scheduling(3)).unwrap();
    assert!(known.is_new(&line.key, &line.version, &mut positions));
    assert!(!known.is_new(&line.key, &line.version, &mut positions));
    let again = of_event(&scheduling(4)).unwrap();
    assert!(known.is_new(&again.key, &again.version, &mut positions), "it happened again");
    // A new process goes on from what was delivered.
    let delivered: BTreeMap<String, String> = positions.drain(..).collect();
    let mut after = Known::new(delivered);
    assert!(!after.is_new(&again.key, &again.version, &mut positions));
    after.retain("e/", std::iter::empty(), &mut positions);
    assert_eq!(positions, [("e/u1".to_owned(), String::new())], "the cluster forgot it");
    assert_eq!(after.len(), 0);
}
