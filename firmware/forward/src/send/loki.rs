//! Loki's push, as protobuf with structured metadata.

use super::http_post::{Post, snappy};
use super::{Attempt, Outcome, Transport};
use crate::config::DestinationConfig;
use crate::item::{Item, decode_batch};
use bramble_signal::{LabelsRef, LogBatch, floating_label};
use bramble_storage::Batch;
use bramble_wire::protobuf::Writer;
use http::Uri;

/// A Loki.
pub(super) struct Loki {
    post: Post,
    uri: Uri,
}

impl Loki {
    pub(super) fn new(config: &DestinationConfig) -> Result<Self, String> {
        let mut post = Post::new(config)?;
        post.header("content-type", "application/x-protobuf")?;
        if !config.tenant.is_empty() {
            post.header("x-scope-orgid", &config.tenant)?;
        }
        let base: Uri = config.endpoint.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let uri = match base.path() {
            "" | "/" => format!("{}/loki/api/v1/push", config.endpoint.trim_end_matches('/')).parse(),
            _ => Ok(base),
        };
        Ok(Loki { post, uri: uri.map_err(|error: http::uri::InvalidUri| error.to_string())? })
    }

    async fn push(&self, item: &Item) -> Outcome {
        let batch = match decode_batch(item.signal, &item.payload) {
            Ok(Batch::Logs(batch)) => batch,
            Ok(_) => return Outcome::Refused("Loki takes logs alone".into()),
            Err(error) => return Outcome::undecodable(&error),
        };
        let mut body = Vec::with_capacity(item.payload.len() + 64);
        encode(&batch, &mut body);
        let body = match snappy(&body) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        match self.post.send(&self.uri, body, &[]).await {
            Ok(_) => Outcome::taken(),
            Err(outcome) => outcome,
        }
    }
}

impl Transport for Loki {
    fn send<'a>(&'a self, item: &'a Item, _late: bool) -> Attempt<'a> {
        Box::pin(self.push(item))
    }
}

/// `logproto.PushRequest`: streams (1) of labels as text (1) and entries (2) of a timestamp (1), a line (2) and structured
/// metadata (3). What travels as metadata under a mark goes out as plain metadata: a Loki would make a stream of each value.
fn encode(batch: &LogBatch, out: &mut Vec<u8>) {
    let w = &mut Writer::new(out);
    for stream in batch.streams().filter(|stream| !stream.is_empty()) {
        w.message(1, |w| {
            w.bytes(1, label_text(stream.labels()));
            for entry in stream.entries() {
                w.message(2, |w| {
                    w.message(1, |w| {
                        w.varint(1, entry.timestamp_ns.div_euclid(1_000_000_000).cast_unsigned());
                        w.varint(2, entry.timestamp_ns.rem_euclid(1_000_000_000).cast_unsigned());
                    });
                    w.bytes(2, entry.line);
                    for (name, value) in entry.metadata.iter() {
                        w.message(3, |w| {
                            w.bytes(1, floating_label(name).unwrap_or(name));
                            w.bytes(2, value);
                        });
                    }
                });
            }
        });
    }
}

/// `{name="value", …}` with Go's escapes.
fn label_text(labels: LabelsRef<'_>) -> String {
    let mut out = String::from("{");
    for (name, value) in labels.iter() {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::{Format, Limits};

    #[test]
    fn a_push_reads_back() {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", "a\"b\\\n\t\u{1}ö"), ("env", "x")]).unwrap();
        batch.push_entry(1_700_000_000_123_456_789, b"a line", &mut [("\u{1}trace_id", "ab"), ("k", "v")]).unwrap();
        let mut body = Vec::new();
        encode(&batch, &mut body);
        let decoded = bramble_wire::loki::Decoder::new(Limits::default()).decode(Format::Protobuf, &body).unwrap();
        let stream = decoded.batch.stream(0);
        assert_eq!(stream.labels(), batch.stream(0).labels());
        let entry = decoded.batch.entry(0);
        assert_eq!((entry.timestamp_ns, entry.line), (1_700_000_000_123_456_789, &b"a line"[..]));
        assert_eq!((entry.metadata.get("trace_id"), entry.metadata.get("k")), (Some("ab"), Some("v")));
    }
}
