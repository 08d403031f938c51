//! A server that is made up: it remembers what it is sent and answers as it is told, in order, and then with yes.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// One answer.
#[derive(Clone)]
pub(super) enum Answer {
    /// A status, headers and a text.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// gRPC's status, its text, and its details as bytes.
    Grpc(u32, &'static str, Vec<u8>),
    /// gRPC's yes, with a message.
    Message(Vec<u8>),
    /// Never.
    Hang,
    /// A yes whose body breaks off.
    Cut,
}

/// A status without more.
pub(super) fn status(code: u16, text: &str) -> Answer {
    Answer::Http(code, Vec::new(), text.into())
}

/// A request that came.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// As it came.
    pub(super) body: Bytes,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body without its compression and, of gRPC, its frame.
    pub(super) fn plain(&self) -> Vec<u8> {
        if self.header("content-type").starts_with("application/grpc") {
            let message = &self.body[5..];
            assert_eq!(u32::from_be_bytes(self.body[1..5].try_into().unwrap()) as usize, message.len());
            return match (self.body[0], self.header("grpc-encoding")) {
                (0, _) => message.to_vec(),
                (1, "zstd") => zstd::stream::decode_all(message).unwrap(),
                (1, "gzip") => gunzip(message),
                other => panic!("{other:?}"),
            };
        }
        match self.header("content-encoding") {
            "gzip" => gunzip(&self.body),
            "zstd" => zstd::stream::decode_all(&self.body[..]).unwrap(),
            "snappy" => snap::raw::Decoder::new().decompress_vec(&self.body).unwrap(),
            // Loki's protobuf is snappy's always.
            "" if self.path.contains("/loki/") => snap::raw::Decoder::new().decompress_vec(&self.body).unwrap(),
            "" => self.body.to_vec(),
            other => panic!("{other}"),
        }
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

#[derive(Default)]
struct World {
    seen: Vec<Seen>,
    answers: VecDeque<Answer>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    world: Arc<Mutex<World>>,
    task: tokio::task::AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start() -> Server {
        let world: Arc<Mutex<World>> = Arc::default();
        let shared = world.clone();
        let router = Router::new().fallback(move |request: Request| answer(shared.clone(), request));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Server { address, world, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it answers next.
    pub(super) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.world.lock().answers.extend(answers);
    }

    /// What it was to answer is forgotten: yes from now on.
    pub(super) fn relents(&self) {
        self.world.lock().answers.clear();
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.world.lock().seen.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.world.lock().seen.len()
    }
}

async fn answer(world: Arc<Mutex<World>>, request: Request) -> Response {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let seen = Seen { at, path: parts.uri.path().to_owned(), headers: parts.headers, body };
    let is_grpc = seen.header("content-type").starts_with("application/grpc");
    let answer = {
        let mut world = world.lock();
        world.seen.push(seen);
        world.answers.pop_front()
    };
    match answer {
        None if is_grpc => message(&[]),
        None => StatusCode::OK.into_response(),
        Some(Answer::Http(code, headers, body)) => {
            let mut response = (StatusCode::from_u16(code).unwrap(), body).into_response();
            for (name, value) in headers {
                let value = HeaderValue::try_from(value).unwrap();
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        }
        Some(Answer::Grpc(code, text, details)) => {
            let mut response = ([("content-type", "application/grpc"), ("grpc-message", text)], "").into_response();
            let headers = response.headers_mut();
            headers.insert("grpc-status", HeaderValue::from(code));
            headers.insert("grpc-status-details-bin", HeaderValue::try_from(base64(&details)).unwrap());
            response
        }
        Some(Answer::Message(bytes)) => message(&bytes),
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Cut) => Body::new(Broken { begun: false }).into_response(),
    }
}

fn message(bytes: &[u8]) -> Response {
    let mut body = vec![0];
    body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    body.extend_from_slice(bytes);
    ([("content-type", "application/grpc"), ("grpc-status", "0")], body).into_response()
}

/// A body that breaks off.
struct Broken {
    begun: bool,
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(match std::mem::replace(&mut self.begun, true) {
            false => Ok(Frame::data(Bytes::from_static(b"ye"))),
            true => Err(std::io::Error::other("cut")),
        }))
    }
}

/// Standard alphabet, no padding, as gRPC has it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            out.push(char::from(DIGITS[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}
