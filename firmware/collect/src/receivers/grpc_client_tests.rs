//! tonic's own client against our framing, over HTTP/2 on a socket.

use super::otlp_grpc;
use super::testing::Bench;
use bramble_storage::WriteError;
use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Messages as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
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
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

async fn call(client: &mut Grpc<Channel>, path: &'static str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    client.unary(Request::new(message), path, Raw).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn tonics_client_understands_every_answer() {
    let bench = Bench::small();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = otlp_grpc(bench.state.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut plain = Grpc::new(channel.clone());
    let good = super::tests::traces(&[1, 2]);

    assert_eq!(call(&mut plain, TRACES, good.clone()).await.unwrap(), b"");
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = Grpc::new(channel.clone()).send_compressed(encoding).accept_compressed(encoding);
        assert_eq!(call(&mut client, TRACES, good.clone()).await.unwrap(), b"");
        let refused = call(&mut client, TRACES, vec![0; 20 << 20]).await.unwrap_err();
        assert_eq!((refused.code(), refused.details()), (Code::ResourceExhausted, &b""[..]), "a bomb");
    }
    assert_eq!(bench.writer.spans.lock().len(), 3);
    let refused = call(&mut plain, TRACES, good[..good.len() - 1].to_vec()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = call(&mut plain, TRACES, vec![0; 3 << 20]).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let unknown = "/opentelemetry.proto.collector.trace.v1.TraceService/Import";
    assert_eq!(call(&mut plain, unknown, vec![]).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(call(&mut plain, "/grpc.health.v1.Health/Check", vec![]).await.unwrap(), [8, 1]);
    *bench.writer.fail.lock() = Some(WriteError::Journal("full".into()));
    let refused = call(&mut plain, TRACES, good.clone()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "journal: full"));
    let details = String::from_utf8_lossy(refused.details());
    assert!(details.contains("google.rpc.RetryInfo"), "{details}");
    *bench.writer.fail.lock() = None;
    assert_eq!(call(&mut plain, TRACES, good).await.unwrap(), b"", "the connection is still good");
    assert_eq!(bench.budget.used_bytes(), 0);
    server.abort();
}
