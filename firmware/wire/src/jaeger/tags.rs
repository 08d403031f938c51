//! Tags that mean something to OpenTelemetry.

use crate::spans::Dropped;
use bramble_signal::attributes::AttributeValue;
use bramble_signal::{SpanKind, StatusCode};

/// What a span's tags say beside being attributes. Of several tags of one name the last counts.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Known<'a> {
    kind: SpanKind,
    error: bool,
    status: Option<&'a str>,
    description: Option<&'a str>,
    http_status: Option<i64>,
    http_message: &'a str,
    trace_state: &'a str,
    scope: (&'a str, &'a str),
    library: (&'a str, &'a str),
    dropped: Dropped,
}

impl<'a> Known<'a> {
    /// Takes note of a tag; `true` when it is not to be an attribute besides.
    pub(super) fn take(&mut self, key: &str, value: AttributeValue<'a>) -> bool {
        use AttributeValue::{Bool, Int, Str};
        // By far the most tags are none of these.
        if !matches!(key.as_bytes().first(), Some(b's' | b'e' | b'o' | b'h' | b'w')) {
            return false;
        }
        match (key, value) {
            ("span.kind", Str(word)) => self.kind = kind_of(word),
            // The tag of a span that did not fail stays, it is somebody's.
            ("error", Bool(true)) => self.error = true,
            ("error", Str("true")) => {
                self.error = true;
                return false;
            }
            ("otel.status_code", Str(word)) => self.status = Some(word),
            ("otel.status_description", Str(text)) => self.description = Some(text),
            ("w3c.tracestate", Str(text)) => self.trace_state = text,
            ("otel.scope.name", Str(text)) => self.scope.0 = text,
            ("otel.scope.version", Str(text)) => self.scope.1 = text,
            ("otel.library.name", Str(text)) => self.library.0 = text,
            ("otel.library.version", Str(text)) => self.library.1 = text,
            ("http.status_code", Int(code)) => {
                self.http_status = Some(code);
                return false;
            }
            ("http.status_code", Str(code)) => {
                self.http_status = code.parse().ok();
                return false;
            }
            ("http.status_message", Str(text)) => {
                self.http_message = text;
                return false;
            }
            (key, Int(count)) => return self.dropped.take(key, || u32::try_from(count).ok()),
            _ => return false,
        }
        true
    }

    pub(super) fn kind(&self) -> SpanKind {
        self.kind
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.dropped
    }

    pub(super) fn trace_state(&self) -> &'a str {
        self.trace_state
    }

    /// Name and version; the old names count where the new are not there.
    pub(super) fn scope(&self) -> (&'a str, &'a str) {
        if self.scope.0.is_empty() { self.library } else { self.scope }
    }

    /// Outcome, its message, and the description when it is neither: that a span failed is said most strongly by
    /// `error`, then by OpenTelemetry's own tags, then by the status of HTTP, of which 4xx is no failure of a server's.
    pub(super) fn status(&self) -> (StatusCode, &'a str, Option<&'a str>) {
        if self.error {
            return (StatusCode::Error, self.description.unwrap_or(self.http_message), None);
        }
        if let Some(word) = self.status {
            let status = match word {
                _ if word.eq_ignore_ascii_case("ok") => StatusCode::Ok,
                _ if word.eq_ignore_ascii_case("error") => StatusCode::Error,
                _ => StatusCode::Unset,
            };
            return (status, self.description.unwrap_or_default(), None);
        }
        let failed = match self.http_status {
            Some(400..500) => self.kind != SpanKind::Server,
            Some(100..400) | None => false,
            Some(_) => true,
        };
        let status = if failed { StatusCode::Error } else { StatusCode::Unset };
        (status, if failed { self.http_message } else { "" }, self.description)
    }
}

fn kind_of(word: &str) -> SpanKind {
    match word {
        "client" => SpanKind::Client,
        "server" => SpanKind::Server,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        "internal" => SpanKind::Internal,
        _ => SpanKind::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttributeValue::{Bool, Int, Str};

    fn of(tags: &[(&str, AttributeValue<'static>)]) -> (Known<'static>, usize) {
        let mut known = Known::default();
        let taken = tags.iter().filter(|(key, value)| known.take(key, *value)).count();
        (known, taken)
    }

    #[test]
    fn the_strongest_word_on_failure_wins() {
        let status = |tags: &[(&str, AttributeValue<'static>)]| of(tags).0.status();
        assert_eq!(status(&[]), (StatusCode::Unset, "", None));
        let both = [("otel.status_code", Str("OK")), ("error", Bool(true)), ("otel.status_description", Str("no"))];
        assert_eq!(status(&both), (StatusCode::Error, "no", None));
        assert_eq!(status(&[("otel.status_code", Str("ok")), ("error", Bool(false))]), (StatusCode::Ok, "", None));
        let http = |code, kind| status(&[("http.status_code", Int(code)), ("span.kind", Str(kind))]).0;
        assert_eq!([http(404, "server"), http(404, "client")], [StatusCode::Unset, StatusCode::Error]);
        assert_eq!([http(503, "server"), http(200, "client")], [StatusCode::Error, StatusCode::Unset]);
        let text = [("http.status_code", Str("500")), ("http.status_message", Str("boom"))];
        assert_eq!(status(&text), (StatusCode::Error, "boom", None));
        assert_eq!(status(&[("otel.status_description", Str("kept"))]), (StatusCode::Unset, "", Some("kept")));
    }

    #[test]
    fn what_is_told_elsewhere_is_no_attribute() {
        let tags = [
            ("span.kind", Str("consumer")),
            ("w3c.tracestate", Str("a=b")),
            ("otel.library.name", Str("old")),
            ("otel.scope.name", Str("lib")),
            ("otel.scope.version", Str("2")),
            ("http.status_code", Int(200)),
            ("error", Str("true")),
            ("sampler.type", Str("const")),
            ("otel.dropped_events_count", Int(3)),
        ];
        let (known, taken) = of(&tags);
        assert_eq!(
            (taken, known.kind(), known.trace_state(), known.scope()),
            (6, SpanKind::Consumer, "a=b", ("lib", "2"))
        );
        assert_eq!((known.status().0, known.dropped().events), (StatusCode::Error, 3));
        assert_eq!(of(&[("otel.library.name", Str("old"))]).0.scope(), ("old", ""));
    }
}
