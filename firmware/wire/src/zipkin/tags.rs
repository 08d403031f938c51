//! Tags: attributes of the span or of its resource, or words of OpenTelemetry's exporters that mean something else.

use super::link;
use crate::spans::Dropped;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{SpanKind, StatusCode};

pub(super) const SERVICE: &str = "service.name";

/// Names that begin so are about the resource; exporters have nowhere else to put them.
const OF_RESOURCE: [&str; 12] = [
    "service.",
    "telemetry.",
    "host.",
    "os.",
    "process.",
    "container.",
    "k8s.",
    "cloud.",
    "deployment.",
    "device.",
    "webengine.",
    "opencensus.",
];

/// What the tags of the span at hand say.
#[derive(Clone, Default, Debug)]
pub(super) struct Tags {
    /// Encoded attributes of the span.
    pub(super) attributes: Vec<u8>,
    /// Encoded attributes of the resource.
    pub(super) resource: Vec<u8>,
    /// Encoded links.
    pub(super) links: Vec<u8>,
    inner: Vec<u8>,
    pub(super) kind: SpanKind,
    /// Name and version.
    pub(super) scope: (String, String),
    pub(super) trace_state: String,
    /// The service as a tag, and the attribute that the endpoint's service is meant to be.
    pub(super) service: String,
    pub(super) service_key: String,
    /// Version 1's `lc`: what ran without a service.
    pub(super) component: String,
    pub(super) dropped: Dropped,
    status: StatusCode,
    failed: bool,
    error: String,
    description: String,
}

impl Tags {
    pub(super) fn clear(&mut self) {
        let Tags { attributes, resource, links, scope, trace_state, .. } = self;
        [attributes, resource, links].into_iter().for_each(Vec::clear);
        [&mut scope.0, &mut scope.1, trace_state].into_iter().for_each(String::clear);
        let Tags { service, service_key, component, error, description, .. } = self;
        [service, service_key, component, error, description].into_iter().for_each(String::clear);
        (self.kind, self.status, self.failed) = (SpanKind::Unspecified, StatusCode::Unset, false);
        self.dropped = Dropped::default();
    }

    pub(super) fn bytes(&self) -> usize {
        let texts = self.scope.0.len() + self.scope.1.len() + self.trace_state.len() + self.error.len();
        self.attributes.len() + self.resource.len() + self.links.len() + texts + self.description.len()
    }

    /// Takes a tag.
    pub(super) fn put(&mut self, key: &str, value: &str) {
        match key {
            "error" => self.put_error(value),
            "otel.status_code" => self.status = status_of(value),
            "otel.status_description" => set(&mut self.description, value),
            "otel.scope.name" | "otel.library.name" => set(&mut self.scope.0, value),
            "otel.scope.version" | "otel.library.version" => set(&mut self.scope.1, value),
            "w3c.tracestate" => set(&mut self.trace_state, value),
            "otel.service_name_source" | "otlp.service.name.source" => set(&mut self.service_key, value),
            "span.kind" if value == "internal" => self.kind = SpanKind::Internal,
            SERVICE => set(&mut self.service, value),
            "lc" => {
                set(&mut self.component, value);
                self.put_value("component", AttributeValue::Str(value));
            }
            _ if key.starts_with("otlp.link.") || key.starts_with("otel.link.") => {
                if !link::put(&mut self.links, &mut self.inner, value) {
                    self.put_value(key, AttributeValue::Str(value));
                }
            }
            _ if key.starts_with("otel.dropped_") && self.dropped.take(key, || value.parse().ok()) => {}
            _ => self.put_value(key, AttributeValue::Str(value)),
        }
    }

    /// Takes a tag that is an attribute whatever its name.
    pub(super) fn put_value(&mut self, key: &str, value: AttributeValue<'_>) {
        let of_resource = OF_RESOURCE.iter().any(|start| key.starts_with(start));
        let out = if of_resource { &mut self.resource } else { &mut self.attributes };
        put_attribute(out, key, value);
    }

    /// In Zipkin a span with this tag has failed, whatever its value; "false" alone is a sender's mistake.
    pub(super) fn put_error(&mut self, value: &str) {
        self.failed = value != "false";
        if !matches!(value, "" | "true") {
            put_attribute(&mut self.attributes, "error", AttributeValue::Str(value));
        }
        set(&mut self.error, if self.failed && value != "true" { value } else { "" });
    }

    /// Outcome and its message.
    pub(super) fn status(&self) -> (StatusCode, &str) {
        let message = if self.description.is_empty() { &self.error } else { &self.description };
        (if self.failed { StatusCode::Error } else { self.status }, message)
    }
}

fn set(out: &mut String, value: &str) {
    out.clear();
    out.push_str(value);
}

fn status_of(word: &str) -> StatusCode {
    let word = word.strip_prefix("STATUS_CODE_").unwrap_or(word);
    match word {
        _ if word.eq_ignore_ascii_case("ok") => StatusCode::Ok,
        _ if word.eq_ignore_ascii_case("error") => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::attributes::AttributesRef;

    #[test]
    fn tags_go_where_they_belong() {
        let mut tags = Tags::default();
        let pairs = [
            ("http.status_code", "200"),
            ("host.name", "pi"),
            ("otel.scope.name", "lib"),
            ("otel.status_code", "STATUS_CODE_OK"),
            ("error", "boom"),
            ("otlp.link.0", "not a link"),
        ];
        pairs.iter().for_each(|(key, value)| tags.put(key, value));
        let keys =
            |bytes: &[u8]| AttributesRef::from_encoded(bytes).iter().map(|(k, _)| k.to_owned()).collect::<Vec<_>>();
        assert_eq!(keys(&tags.attributes), ["http.status_code", "error", "otlp.link.0"]);
        assert_eq!((keys(&tags.resource), tags.scope.0.as_str()), (vec!["host.name".to_owned()], "lib"));
        assert_eq!(tags.status(), (StatusCode::Error, "boom"));
        tags.clear();
        tags.put("otel.status_code", "ok");
        tags.put("error", "false");
        assert_eq!(tags.status(), (StatusCode::Ok, ""));
        assert_eq!(keys(&tags.attributes), ["error"]);
        tags.clear();
        tags.put("error", "");
        assert_eq!((tags.status(), tags.attributes.len()), ((StatusCode::Error, ""), 0));
    }
}
