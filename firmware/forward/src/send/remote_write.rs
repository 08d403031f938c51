//! Prometheus remote write 1.0 and 2.0.

use super::http_post::{Post, is_status, snappy};
use super::{Attempt, Outcome, Transport};
use crate::config::{DestinationConfig, RemoteWriteVersion};
use crate::item::{Item, decode_batch};
use bramble_storage::Batch;
use bramble_wire::remote_write::{Message, encode};
use http::{HeaderMap, StatusCode, Uri};
use std::sync::atomic::{AtomicBool, Ordering};

/// A remote write destination.
pub(super) struct RemoteWrite {
    post: Post,
    uri: Uri,
    name: String,
    /// Whether 1.0 is spoken: as configured, or because 2.0 was not understood.
    is_v1: AtomicBool,
}

impl RemoteWrite {
    pub(super) fn new(config: &DestinationConfig) -> Result<Self, String> {
        let mut post = Post::new(config)?;
        post.header("content-encoding", "snappy")?;
        let uri = config.endpoint.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let is_v1 = AtomicBool::new(config.version == RemoteWriteVersion::V1);
        Ok(RemoteWrite { post, uri, name: config.name.clone(), is_v1 })
    }

    async fn write(&self, item: &Item) -> Outcome {
        let batch = match decode_batch(item.signal, &item.payload) {
            Ok(Batch::Metrics(batch)) => batch,
            Ok(_) => return Outcome::Refused("remote write takes metrics alone".into()),
            Err(error) => return Outcome::undecodable(&error),
        };
        let is_v1 = self.is_v1.load(Ordering::Relaxed);
        let message = if is_v1 { Message::V1 } else { Message::V2 };
        let mut body = Vec::with_capacity(item.payload.len() + item.payload.len() / 4);
        encode(message, &batch, &mut body);
        let body = match snappy(&body) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let headers = match message {
            Message::V1 => [("content-type", "application/x-protobuf"), ("x-prometheus-remote-write-version", "0.1.0")],
            Message::V2 => [
                ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
                ("x-prometheus-remote-write-version", "2.0.0"),
            ],
        };
        match self.post.send(&self.uri, body, &headers).await {
            Ok(answer) => match is_v1 {
                true => Outcome::taken(),
                false => Outcome::Taken { rejected: not_written(answer.headers(), item.items), why: String::new() },
            },
            Err(Outcome::Refused(why)) if !is_v1 && is_status(&why, StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
                tracing::info!(destination = self.name, "does not speak remote write 2.0; 1.0 from now on");
                self.is_v1.store(true, Ordering::Relaxed);
                Outcome::Later { after: None, why }
            }
            Err(outcome) => outcome,
        }
    }
}

impl Transport for RemoteWrite {
    fn send<'a>(&'a self, item: &'a Item, _late: bool) -> Attempt<'a> {
        Box::pin(self.write(item))
    }
}

/// What the receiver says that it did not write: the specification has it count samples, histograms and exemplars. A
/// receiver that says nothing wrote everything.
fn not_written(headers: &HeaderMap, items: u64) -> u64 {
    let count = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let samples = count("x-prometheus-remote-write-samples-written");
    let histograms = count("x-prometheus-remote-write-histograms-written");
    match (samples, histograms) {
        (None, None) => 0,
        (samples, histograms) => items.saturating_sub(samples.unwrap_or(0) + histograms.unwrap_or(0)),
    }
}
