//! Unary gRPC calls whose messages are bytes already.

use super::Outcome;
use super::squeezed::{Framed, Squeezer};
use crate::config::Compression;
use bramble_wire::protobuf::Reader;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use std::time::Duration;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Messages as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// How to connect.
#[derive(Clone, Default)]
pub(crate) struct GrpcOptions {
    pub(crate) timeout: Duration,
    pub(crate) compression: Option<Compression>,
    pub(crate) headers: MetadataMap,
    pub(crate) tls: Option<ClientTlsConfig>,
}

/// A connection that is made when it is needed, and again when it broke.
pub(crate) struct GrpcClient {
    channel: Channel,
    options: GrpcOptions,
    squeezer: Squeezer,
}

impl GrpcClient {
    /// # Errors
    /// A text: no URL, or TLS settings that cannot work.
    pub(crate) fn new(endpoint: &str, options: GrpcOptions) -> Result<GrpcClient, String> {
        let mut connect = Endpoint::from_shared(endpoint.to_owned())
            .map_err(|error| format!("{endpoint:?} is no URL: {error}"))?
            .connect_timeout(options.timeout.min(Duration::from_secs(5)))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .tcp_nodelay(true);
        if endpoint.starts_with("https://") {
            let tls = options.tls.clone().unwrap_or_else(|| ClientTlsConfig::new().with_native_roots());
            connect = connect.tls_config(tls).map_err(|error| describe(&error))?;
        }
        Ok(GrpcClient { channel: connect.connect_lazy(), options, squeezer: Squeezer::default() })
    }

    /// Calls a method with a message that `write` appends.
    pub(crate) async fn call(&self, path: &'static str, write: impl FnOnce(&mut Vec<u8>)) -> Result<Bytes, Status> {
        if self.options.compression == Some(Compression::Zstd) {
            let body = self.squeezer.squeeze(write);
            let client =
                Grpc::new(Framed::new(self.channel.clone(), body)).accept_compressed(CompressionEncoding::Zstd);
            // The message is in the body already.
            return self.unary(client, path, Bytes::new()).await;
        }
        let mut message = Vec::new();
        write(&mut message);
        let mut client = Grpc::new(self.channel.clone());
        if self.options.compression == Some(Compression::Gzip) {
            client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        self.unary(client, path, message.into()).await
    }

    async fn unary<C>(&self, client: Grpc<C>, path: &'static str, message: Bytes) -> Result<Bytes, Status>
    where
        C: GrpcService<Body>,
        C::ResponseBody: http_body::Body + Send + 'static,
        <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
    {
        let mut client = client.max_decoding_message_size(ANSWER_BYTES_MAX);
        let work = async {
            let ready = client.ready().await.map_err(Into::into);
            ready.map_err(|error: tonic::codegen::StdError| Status::unavailable(describe(&*error)))?;
            let mut request = Request::new(message);
            request.metadata_mut().clone_from(&self.options.headers);
            request.set_timeout(self.options.timeout);
            client.unary(request, PathAndQuery::from_static(path), Raw).await
        };
        match tokio::time::timeout(self.options.timeout, work).await {
            // What a server said has no cause here; what has one is the connection's, whatever code it was given.
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| {
                let text = std::error::Error::source(&status).map(describe);
                text.map_or(status, Status::unavailable)
            }),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {:?}", self.options.timeout))),
        }
    }
}

/// An error with its causes, each once.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// What an error means (OTLP specification, "Failures": which codes are retryable; two more are here, since proxies make
/// them up when a server is away).
pub(crate) fn outcome(status: &Status) -> Outcome {
    let hint = retry_info(status.details());
    let why = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unavailable if hint.is_none() => Outcome::Away(why),
        Code::DeadlineExceeded => Outcome::Away(why),
        Code::Unavailable | Code::Cancelled | Code::Aborted | Code::OutOfRange | Code::DataLoss => {
            Outcome::Later { after: hint, why }
        }
        Code::ResourceExhausted if hint.is_some() => Outcome::Later { after: hint, why },
        Code::ResourceExhausted => Outcome::TooLarge(why),
        // Somebody can mend these; until then it waits.
        // A server that stumbled: its hub is ours to mend, and others mostly recover.
        Code::Internal | Code::Unknown => Outcome::Later { after: None, why },
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::NotFound => {
            Outcome::Later { after: None, why }
        }
        Code::Ok => Outcome::taken(),
        _ => Outcome::Refused(why),
    }
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_info(details: &[u8]) -> Option<Duration> {
    let field = |bytes: &[u8], number: u32| -> Vec<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Ok(Some(field)) = reader.next() {
            if field.number == number
                && let Ok(bytes) = field.bytes()
            {
                found.push(bytes.to_vec());
            }
        }
        found
    };
    for any in field(details, 3) {
        let is_retry = field(&any, 1).first().is_some_and(|url| url.ends_with(b"google.rpc.RetryInfo"));
        if !is_retry {
            continue;
        }
        let delay = field(field(&any, 2).first()?, 1).into_iter().next()?;
        let mut reader = Reader::new(&delay);
        let (mut seconds, mut nanos) = (0, 0);
        while let Ok(Some(field)) = reader.next() {
            match field.number {
                1 => seconds = field.varint().ok()?,
                2 => nanos = field.varint().ok()?,
                _ => {}
            }
        }
        return Some(Duration::new(seconds.min(86_400), nanos.min(999_999_999) as u32));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::protobuf::Writer;

    #[test]
    fn hints_and_codes_are_understood() {
        let mut details = Vec::new();
        Writer::new(&mut details).message(3, |any| {
            any.bytes(1, "type.googleapis.com/google.rpc.RetryInfo");
            any.message(2, |info| {
                info.message(1, |delay| {
                    delay.varint(1, 7);
                    delay.varint(2, 500_000_000);
                });
            });
        });
        let hinted = Status::with_details(Code::ResourceExhausted, "busy", details.into());
        let after = Some(Duration::from_millis(7500));
        assert_eq!(outcome(&hinted), Outcome::Later { after, why: "ResourceExhausted: busy".into() });
        assert!(matches!(outcome(&Status::resource_exhausted("too big")), Outcome::TooLarge(_)));
        assert!(matches!(outcome(&Status::invalid_argument("no")), Outcome::Refused(_)));
        assert!(matches!(outcome(&Status::unavailable("no")), Outcome::Away(_)));
        assert!(matches!(outcome(&Status::unauthenticated("who")), Outcome::Later { .. }));
    }
}
