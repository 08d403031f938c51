//! Lines of events.

use super::object::{Container, Event, PodState, Terminated};
use bramble_signal::Labels;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A container's end that says nothing: it did what it had to do.
const COMPLETED: &str = "Completed";

/// A line with what goes along.
pub(super) struct Line {
    /// Names it among what was delivered; with `version` it is told once.
    pub(super) key: String,
    pub(super) version: String,
    pub(super) timestamp_ns: i64,
    pub(super) labels: Labels,
    pub(super) metadata: Labels,
    pub(super) text: String,
    pub(super) is_warning: bool,
}

/// What is in an event. `None` for one without any time.
pub(super) fn of_event(event: &Event) -> Option<Line> {
    let series = event.series.as_ref();
    let times = [
        series.and_then(|series| series.last_observed_time.as_ref()),
        event.last_timestamp.as_ref(),
        event.event_time.as_ref(),
        event.first_timestamp.as_ref(),
        event.metadata.creation_timestamp.as_ref(),
    ];
    let timestamp_ns = times.into_iter().flatten().find_map(|text| parse(text))?;
    let count = series.map(|series| series.count).or(event.count).unwrap_or(1);
    let object = &event.involved_object;
    let component = first_of(&event.source.component, &event.reporting_component);
    let host = first_of(&event.source.host, &event.reporting_instance);
    let mut text = Logfmt::default();
    text.put("name", &object.name);
    text.put("kind", &object.kind);
    text.put("objectAPIversion", &object.api_version);
    text.put("fieldPath", &object.field_path);
    text.put("reason", &event.reason);
    text.put("type", &event.kind);
    text.put("count", &count.to_string());
    text.put("sourcecomponent", component);
    text.put("sourcehost", host);
    text.put("msg", &event.message);
    let namespace = first_of(&object.namespace, &event.metadata.namespace);
    let node = if object.kind == "Node" { object.name.as_str() } else { event.source.host.as_str() };
    let pod = if object.kind == "Pod" { object.name.as_str() } else { "" };
    let is_warning = event.kind == "Warning";
    Some(Line {
        key: event.key(),
        version: count.to_string(),
        timestamp_ns,
        labels: stream(namespace, &object.kind, &event.reason, &event.kind),
        metadata: metadata(&[
            ("name", &object.name),
            ("level", if is_warning { "warn" } else { "info" }),
            ("count", &count.to_string()),
            ("pod", pod),
            ("node", node),
        ]),
        text: text.0,
        is_warning,
    })
}

/// A line for each container of a pod that ended other than well; none of a pod where all is well.
pub(super) fn of_pod(pod: &PodState) -> Vec<Line> {
    let status = &pod.status;
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let ended = containers.flat_map(|container| {
        let both = [&container.state, &container.last_state];
        both.into_iter().filter_map(move |state| state.terminated.as_ref().map(|ended| (container, ended)))
    });
    ended.filter(|(_, ended)| ended.reason != COMPLETED).filter_map(|(one, ended)| of_end(pod, one, ended)).collect()
}

fn of_end(pod: &PodState, container: &Container, ended: &Terminated) -> Option<Line> {
    let timestamp_ns = ended.finished_at.as_ref().and_then(|text| parse(text))?;
    let reason = if ended.reason.is_empty() { "Terminated" } else { &ended.reason };
    let mut message = format!("container {} ended with exit code {}", container.name, ended.exit_code);
    if !ended.message.is_empty() {
        message.push_str(": ");
        message.push_str(ended.message.trim());
    }
    let mut text = Logfmt::default();
    text.put("name", &pod.metadata.name);
    text.put("kind", "Pod");
    text.put("fieldPath", &format!("spec.containers{{{}}}", container.name));
    text.put("reason", reason);
    text.put("type", "Warning");
    text.put("count", &container.restart_count.to_string());
    text.put("sourcehost", &pod.spec.node_name);
    text.put("msg", &message);
    Some(Line {
        key: format!("c/{}/{}", pod.metadata.uid, ended.container_id),
        version: ended.finished_at.clone().unwrap_or_default(),
        timestamp_ns,
        labels: stream(&pod.metadata.namespace, "Pod", reason, "Warning"),
        metadata: metadata(&[
            ("name", &pod.metadata.name),
            ("level", "warn"),
            ("count", &container.restart_count.to_string()),
            ("pod", &pod.metadata.name),
            ("container", &container.name),
            ("node", &pod.spec.node_name),
        ]),
        text: text.0,
        is_warning: true,
    })
}

fn stream(namespace: &str, kind: &str, reason: &str, event_type: &str) -> Labels {
    metadata(&[
        ("job", "kubernetes-events"),
        ("service", "kubernetes-events"),
        ("namespace", namespace),
        ("kind", kind),
        ("reason", reason),
        ("type", event_type),
    ])
}

fn metadata(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()).copied())
}

fn first_of<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.is_empty() { second } else { first }
}

/// Nanoseconds since the epoch.
fn parse(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

/// Keys and values on one line.
#[derive(Default)]
struct Logfmt(String);

impl Logfmt {
    fn put(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(key);
        self.0.push('=');
        let plain = value.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
        if plain {
            self.0.push_str(value);
            return;
        }
        self.0.push('"');
        for character in value.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }
}
