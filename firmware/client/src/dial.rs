//! Connections: TCP, a proxy's tunnel or a Unix socket, with TLS on top where the scheme asks for it.

use crate::error::{ClientError, io_text};
use crate::proxy::{Proxies, Proxy, endpoint};
use crate::tls::Tls;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// How long one of several addresses of a host is tried before the next.
const ADDRESS_WAIT: Duration = Duration::from_secs(3);
/// Longest head of a proxy's answer to `CONNECT`.
const PROXY_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where connections go.
pub(crate) enum Route {
    Network { proxies: Box<Proxies>, tls: Box<Tls> },
    Unix(PathBuf),
}

/// Opens connections for hyper.
#[derive(Clone)]
pub(crate) struct Dialer(pub(crate) Arc<Route>);

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ClientError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let route = Arc::clone(&self.0);
        Box::pin(async move { route.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Route {
    async fn connect(&self, uri: &Uri) -> Result<Stream, ClientError> {
        let (proxies, tls) = match self {
            Route::Unix(path) => {
                let failed = |error: io::Error| {
                    ClientError::Connect(format!("dial unix {}: connect: {}", path.display(), io_text(&error)))
                };
                return UnixStream::connect(path).await.map(Stream::Unix).map_err(failed);
            }
            Route::Network { proxies, tls } => (proxies, tls),
        };
        let (host, port, wants_tls) = endpoint(uri)?;
        let stream = match proxies.of(wants_tls, &host, port) {
            None => dial(&host, port).await?,
            Some(proxy) => {
                let stream = dial(&proxy.host, proxy.port)
                    .await
                    .map_err(|error| ClientError::Connect(format!("proxyconnect tcp: {error}")))?;
                if !wants_tls {
                    return Ok(Stream::Proxied(stream));
                }
                tunnel(stream, proxy, proxies, &host, port).await?
            }
        };
        if !wants_tls {
            return Ok(Stream::Tcp(stream));
        }
        Ok(Stream::Tls(Box::new(tls.handshake(stream, &host).await?)))
    }
}

/// Connects to the first address that answers.
async fn dial(host: &str, port: u16) -> Result<TcpStream, ClientError> {
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let text = error.to_string();
            let text = match text.strip_prefix("failed to lookup address information: ") {
                Some("Name or service not known" | "No address associated with hostname") => "no such host",
                Some("Temporary failure in name resolution") => "server misbehaving",
                Some(other) => other,
                None => &text,
            };
            return Err(ClientError::Connect(format!("dial tcp: lookup {host}: {text}")));
        }
    };
    let mut last = ClientError::Connect(format!("dial tcp: lookup {host}: no such host"));
    let count = addresses.len();
    for (index, address) in addresses.into_iter().enumerate() {
        let attempt = TcpStream::connect(address);
        // The last one may take all the time that the request has.
        let outcome = if index + 1 < count {
            tokio::time::timeout(ADDRESS_WAIT, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            attempt.await
        };
        match outcome {
            Ok(stream) => {
                _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => {
                last = ClientError::Connect(format!("dial tcp {address}: connect: {}", io_text(&error)));
            }
        }
    }
    Err(last)
}

/// Asks a proxy for a way to the host (RFC 9110 §9.3.6).
async fn tunnel(
    mut stream: TcpStream,
    proxy: &Proxy,
    proxies: &Proxies,
    host: &str,
    port: u16,
) -> Result<TcpStream, ClientError> {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    let authorization = proxy.authorization.iter().map(|value| (http::header::PROXY_AUTHORIZATION, value.clone()));
    for (name, value) in proxies.connect_headers.iter().cloned().chain(authorization) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let broken = |error: io::Error| ClientError::Connect(format!("proxyconnect tcp: {}", io_text(&error)));
    stream.write_all(&head).await.map_err(broken)?;
    // Byte by byte: what follows the head belongs to the tunnel, and a head is a few hundred bytes, once.
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_HEAD_BYTES_MAX {
            return Err(ClientError::Connect("proxyconnect tcp: answer too long".to_owned()));
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.split(' ').nth(1).unwrap_or_default();
    if line.starts_with("HTTP/1.") && status.starts_with('2') {
        return Ok(stream);
    }
    let reason = line.split_once(' ').map_or("malformed answer", |(_, reason)| reason);
    Err(ClientError::Connect(format!("proxyconnect tcp: {reason}")))
}

/// An open connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// To a proxy that forwards requests one by one.
    Proxied(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Stream::Proxied(_) => Connected::new().proxy(true),
            Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) | Stream::Proxied($stream) => $call,
            Stream::Tls($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
