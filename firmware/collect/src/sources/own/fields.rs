//! Fields of `tracing` events and spans.

use bramble_signal::attributes::{AttributeValue, put_attribute};
use std::fmt::{self, Write};
use tracing::field::{Field, Visit};

/// Most bytes kept of an event's line or of a span's attributes.
pub(super) const BYTES_MAX: usize = 4096;

/// Writes fields as logfmt: the message first as `msg`, the others in order.
#[derive(Default)]
pub(super) struct Logfmt {
    message: String,
    rest: String,
}

impl Logfmt {
    /// ` msg="…" key=value …`, cut to [`BYTES_MAX`].
    pub(super) fn append_to(&self, line: &mut String) {
        if !self.message.is_empty() {
            line.push_str(" msg=");
            put_value(line, &self.message);
        }
        line.push_str(&self.rest);
        let end = line.floor_char_boundary(BYTES_MAX);
        line.truncate(end);
    }

    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else if self.rest.len() < BYTES_MAX {
            self.rest.push(' ');
            self.rest.push_str(field.name());
            self.rest.push('=');
            put_value(&mut self.rest, value);
        }
    }
}

impl Visit for Logfmt {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &shortened(value));
    }
}

/// Quoted when it has to be.
fn put_value(out: &mut String, value: &str) {
    let plain =
        !value.is_empty() && value.bytes().all(|b| b > b' ' && b != b'"' && b != b'=' && b != b'\\' && b != 0x7f);
    if plain {
        out.push_str(value);
        return;
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Text that stops at [`BYTES_MAX`]: something may print a whole buffer.
fn shortened(value: &dyn fmt::Debug) -> String {
    struct Limited(String);

    impl Write for Limited {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = BYTES_MAX.saturating_sub(self.0.len());
            self.0.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or(""));
            if text.len() > room { Err(fmt::Error) } else { Ok(()) }
        }
    }

    let mut limited = Limited(String::new());
    let _ = write!(limited, "{value:?}");
    limited.0
}

/// Appends fields as OTLP attributes. `otel.kind` and `otel.status_code` go their own ways, as in the
/// `tracing-opentelemetry` convention.
pub(super) struct Attributes<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) kind: &'a mut bramble_signal::SpanKind,
    pub(super) failed: &'a mut bool,
}

impl Attributes<'_> {
    fn put(&mut self, field: &Field, value: AttributeValue<'_>) {
        if self.out.len() < BYTES_MAX {
            put_attribute(self.out, field.name(), value);
        }
    }

    fn put_text(&mut self, field: &Field, value: &str) {
        use bramble_signal::SpanKind;
        match field.name() {
            "otel.kind" => {
                let kinds =
                    [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer];
                let found = kinds.into_iter().find(|kind| value.eq_ignore_ascii_case(kind.as_str()));
                *self.kind = found.unwrap_or(SpanKind::Unspecified);
            }
            "otel.status_code" => *self.failed = value.eq_ignore_ascii_case("error"),
            name => {
                *self.failed |= name == "error";
                let end = value.floor_char_boundary(BYTES_MAX);
                self.put(field, AttributeValue::Str(value.get(..end).unwrap_or("")));
            }
        }
    }
}

impl Visit for Attributes<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, AttributeValue::Double(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, AttributeValue::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, AttributeValue::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, AttributeValue::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &shortened(value));
    }
}
