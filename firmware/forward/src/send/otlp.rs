//! OpenTelemetry, over gRPC or HTTP.

use super::grpc::{self, GrpcClient, GrpcOptions};
use super::http_post::{Post, gzip, zstd};
use super::{Attempt, Outcome, Transport};
use crate::config::{Compression, DestinationConfig, Protocol};
use crate::item::{Item, decode_batch};
use bramble_signal::Signal;
use bramble_storage::Batch;
use bramble_wire::otlp::{encode_logs_protobuf, encode_metrics_protobuf, encode_traces_protobuf};
use bramble_wire::protobuf::Reader;
use http::Uri;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

enum Way {
    Grpc(GrpcClient),
    Http(Post, [Uri; Signal::ALL.len()], Compression),
}

/// An OpenTelemetry destination.
pub(super) struct Otlp(Way);

impl Otlp {
    pub(super) fn new(config: &DestinationConfig) -> Result<Self, String> {
        match config.protocol {
            Protocol::Grpc => {
                let compression = Some(config.compression.unwrap_or(Compression::Zstd));
                let (headers, tls) = (metadata(config)?, tls(config)?);
                let options = GrpcOptions { timeout: config.timeout.0, compression, headers, tls };
                Ok(Otlp(Way::Grpc(GrpcClient::new(&config.endpoint, options)?)))
            }
            Protocol::Http => {
                let compression = config.compression.unwrap_or(Compression::Gzip);
                let mut post = Post::new(config)?;
                post.header("content-type", "application/x-protobuf")?;
                let uri = |signal: Signal| {
                    let base = config.endpoint.trim_end_matches('/');
                    let named = Signal::ALL.iter().any(|signal| base.ends_with(&format!("/v1/{signal}")));
                    let text = if named { base.to_owned() } else { format!("{base}/v1/{signal}") };
                    text.parse::<Uri>().map_err(|error| error.to_string())
                };
                let uris = [uri(Signal::Metrics)?, uri(Signal::Logs)?, uri(Signal::Traces)?];
                Ok(Otlp(Way::Http(post, uris, compression)))
            }
        }
    }

    async fn export(&self, item: &Item) -> Outcome {
        let message = match encode(item) {
            Ok(message) => message,
            Err(error) => return Outcome::undecodable(&error),
        };
        match &self.0 {
            Way::Grpc(client) => {
                let path = match item.signal {
                    Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                    Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                    Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                };
                match client.call(path, |out| out.extend_from_slice(&message)).await {
                    Ok(answer) => partial_success(&answer),
                    Err(status) => grpc::outcome(&status),
                }
            }
            Way::Http(post, uris, compression) => {
                let (body, encoding) = match compression {
                    Compression::None => (message, None),
                    Compression::Gzip => (gzip(&message), Some(("content-encoding", "gzip"))),
                    Compression::Zstd => (zstd(&message), Some(("content-encoding", "zstd"))),
                };
                match post.send(&uris[item.signal as usize], body, encoding.as_slice()).await {
                    Ok(answer) => partial_success(answer.body()),
                    Err(outcome) => outcome,
                }
            }
        }
    }
}

impl Transport for Otlp {
    fn send<'a>(&'a self, item: &'a Item, _late: bool) -> Attempt<'a> {
        Box::pin(self.export(item))
    }
}

/// An export request. Spans are kept as one.
pub(super) fn encode(item: &Item) -> Result<Vec<u8>, bramble_wire::DecodeError> {
    let mut out = Vec::with_capacity(item.payload.len() * 2);
    match decode_batch(item.signal, &item.payload)? {
        Batch::Metrics(batch) => encode_metrics_protobuf(&batch, &mut out),
        Batch::Logs(batch) => encode_logs_protobuf(&batch, &mut out),
        Batch::Spans(batch) => encode_traces_protobuf(&batch, &mut out),
    }
    Ok(out)
}

/// Reads `partial_success` of an export response: field 1 with the count of rejected items (1) and a text (2).
fn partial_success(answer: &[u8]) -> Outcome {
    let (mut rejected, mut why) = (0, String::new());
    let mut reader = Reader::new(answer);
    while let Ok(Some(field)) = reader.next() {
        if field.number != 1 {
            continue;
        }
        let Ok(mut inner) = field.message() else { continue };
        while let Ok(Some(field)) = inner.next() {
            match field.number {
                1 => rejected = field.varint().unwrap_or(0),
                2 => why = field.text().unwrap_or_default().to_owned(),
                _ => {}
            }
        }
    }
    Outcome::Taken { rejected, why }
}

/// Headers and credentials that do not change.
fn metadata(config: &DestinationConfig) -> Result<MetadataMap, String> {
    let mut map = MetadataMap::new();
    let mut insert = |name: &str, value: &str| -> Result<(), String> {
        let key = MetadataKey::<Ascii>::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|e| e.to_string())?;
        map.insert(key, value.parse::<MetadataValue<Ascii>>().map_err(|error| format!("{name}: {error}"))?);
        Ok(())
    };
    for (name, value) in &config.headers {
        insert(name, value)?;
    }
    if let Some(authorization) = crate::credentials::authorization(&config.http)? {
        insert("authorization", &authorization)?;
    }
    Ok(map)
}

fn tls(config: &DestinationConfig) -> Result<Option<ClientTlsConfig>, String> {
    if !config.endpoint.starts_with("https://") {
        return Ok(None);
    }
    let given = crate::credentials::tls(&config.http)?;
    let mut tls = match given.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((cert, key)) = given.identity {
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    if !given.server_name.is_empty() {
        tls = tls.domain_name(given.server_name);
    }
    Ok(Some(tls))
}
