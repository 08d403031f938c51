//! Ports: binding, accepting, serving.

use axum::Router;
use bramble_collect::receivers::{ReceiverState, SyslogOptions, jaeger_udp, syslog_tcp, syslog_udp};
use bramble_serve::Peer;
use bramble_serve::auth::Auth;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// Connections over all doors; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;

/// How long a client may take for its request's head, and an idle connection may stay.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// HTTP/2 windows, per stream and per connection: bounded so that all connections together stay small; request bodies
/// are accounted where they are read.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const STREAMS_MAX: u32 = 64;

/// What is behind a port.
pub(crate) enum Served {
    /// Connections.
    Http(Router),
    /// Packets for Jaeger's agent.
    Packets(ReceiverState),
    /// Syslog, by packets and by connections.
    Syslog(ReceiverState, SyslogOptions),
}

/// A port and what is served on it.
pub(crate) struct Door {
    /// The setting's name.
    pub(crate) name: &'static str,
    /// Address and port; `None` when off.
    pub(crate) address: Option<String>,
    /// What is served.
    pub(crate) served: Served,
    /// Whether the process is useless without it.
    pub(crate) required: bool,
}

/// A door that was bound, or not.
pub(crate) struct Bound {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    /// "open", "off", or why it is closed.
    pub(crate) state: String,
    listener: Option<Listener>,
}

enum Listener {
    Http(&'static str, TcpListener, Router),
    Packets(UdpSocket, ReceiverState),
    Syslog(TcpListener, UdpSocket, ReceiverState, SyslogOptions),
}

impl Listener {
    async fn bind(name: &'static str, address: &str, served: Served) -> std::io::Result<Listener> {
        Ok(match served {
            Served::Http(router) => Listener::Http(name, TcpListener::bind(address).await?, router),
            Served::Packets(state) => Listener::Packets(UdpSocket::bind(address).await?, state),
            Served::Syslog(state, options) => {
                let listener = TcpListener::bind(address).await?;
                Listener::Syslog(listener, UdpSocket::bind(address).await?, state, options)
            }
        })
    }
}

/// Binds all doors. A compatibility port that is taken is skipped, with the reason.
///
/// # Errors
/// When a required door cannot be bound.
pub(crate) async fn bind_all(doors: Vec<Door>) -> anyhow::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for Door { name, address, served, required } in doors {
        let Some(address) = address else {
            bound.push(Bound { name, address: String::new(), state: "off".to_owned(), listener: None });
            continue;
        };
        match Listener::bind(name, &address, served).await {
            Ok(listener) => bound.push(Bound { name, address, state: "open".to_owned(), listener: Some(listener) }),
            Err(error) if required => {
                anyhow::bail!(
                    "cannot listen on {address} (doors.{name}): {error}\nhint: another program has the port; set doors.{name} to another or stop it"
                )
            }
            Err(error) => {
                tracing::warn!(door = name, %address, %error, "port is taken; this door stays closed");
                bound.push(Bound { name, address, state: error.to_string(), listener: None });
            }
        }
    }
    Ok(bound)
}

/// Serves every bound door, with the guard in front of it, until `stop` says so, then gives running requests `grace`.
pub(crate) async fn serve_all(bound: Vec<Bound>, auth: Arc<Auth>, stop: watch::Receiver<bool>, grace: Duration) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut acceptors = tokio::task::JoinSet::new();
    let mut agents = tokio::task::JoinSet::new();
    for door in bound {
        match door.listener {
            None => {}
            Some(Listener::Http(name, listener, router)) => {
                let router = auth.guard(router, name);
                acceptors.spawn(accept(listener, router, slots.clone(), stop.clone()));
            }
            Some(Listener::Packets(socket, state)) => {
                agents.spawn(jaeger_udp(state, socket, stopped(stop.clone())));
            }
            Some(Listener::Syslog(listener, socket, state, options)) => {
                agents.spawn(syslog_udp(state.clone(), options.clone(), socket, stopped(stop.clone())));
                agents.spawn(syslog_tcp(state, options, listener, stopped(stop.clone())));
            }
        }
    }
    let mut stopped = stop;
    let _ = stopped.wait_for(|s| *s).await;
    acceptors.abort_all();
    // What came by packets is handed over before the last commit.
    let _ = tokio::time::timeout(grace, agents.join_all()).await;
    // Running connections hold slots; when all are free, everything was answered.
    let _ = tokio::time::timeout(grace, slots.acquire_many(CONNECTIONS_MAX as u32)).await;
}

/// Ends when it is time to stop.
async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stopping| *stopping).await);
}

async fn accept(listener: TcpListener, router: Router, slots: Arc<Semaphore>, stop: watch::Receiver<bool>) {
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer is gone already: not a reason to stop accepting.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            let _slot = slot;
            connection(stream, Peer(peer.ip()), router, stop).await;
        });
    }
}

async fn connection(stream: tokio::net::TcpStream, peer: Peer, router: Router, mut stop: watch::Receiver<bool>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(Some(Duration::from_secs(60)));
    let service = TowerToHyperService::new(router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    }));
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        outcome = serving.as_mut() => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "connection ended");
            }
            return;
        }
        _ = stop.wait_for(|s| *s) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
