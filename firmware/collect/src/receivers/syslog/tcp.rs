//! Syslog by TCP.

use super::SyslogOptions;
use super::framing::{Framing, Step, room};
use super::intake::{Intake, LINGER};
use crate::receivers::ReceiverState;
use crate::receivers::admission::NOT_ADMITTED;
use crate::receivers::counters::Protocol;
use prometheus::IntGauge;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

const PROTOCOL: Protocol = Protocol::SyslogTcp;

/// What a connection's buffer begins with, and what is read into it at least, in bytes.
const BUFFER_BYTES: usize = 8 << 10;
const READ_BYTES_MIN: usize = 1 << 10;

/// A peer that is silent is asked after so long, so often.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_COUNT: u32 = 6;

/// How long connections may take to end when we stop.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(5);

/// Accepts and reads until `stop` is done; what was read until then is handed over.
pub async fn syslog_tcp(
    state: ReceiverState,
    options: SyslogOptions,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let open = state.0.counters.connections(PROTOCOL);
    let intake = Arc::new(Intake::new(state, PROTOCOL, options));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut tick = interval(LINGER);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = tick.tick() => intake.tick(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(_) if connections.len() >= intake.options().connections_max => {
                    intake.rejected("too_many_connections", 1);
                }
                Ok((_, from)) if !intake.state().0.admission.admits(from.ip()) => intake.rejected(NOT_ADMITTED, 1),
                Ok((stream, from)) => {
                    let counted = Counted::new(&open);
                    let connection = Connection::new(Arc::clone(&intake), from.ip().to_canonical());
                    let stopped = stopped.clone();
                    connections.spawn(async move {
                        connection.read(stream, stopped).await;
                        drop(counted);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, or the peer is gone already: not a reason to stop accepting.
                    tracing::warn!(%error, "accepting a syslog connection failed");
                    tokio::time::sleep(LINGER).await;
                }
            },
        }
    }
    let _ = stopping.send(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(CONNECTIONS_END_MAX, all_ended).await;
    intake.finish().await;
}

/// One in the gauge of open connections.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Why a connection is read no more.
enum End {
    Closed,
    Stopped,
    Idle,
}

struct Connection {
    intake: Arc<Intake>,
    peer: String,
    framing: Framing,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(intake: Arc<Intake>, peer: IpAddr) -> Self {
        Connection { intake, peer: peer.to_string(), framing: Framing::default(), buffer: Vec::new() }
    }

    async fn read(mut self, mut stream: TcpStream, mut stopped: watch::Receiver<bool>) {
        let _ = keep_alive(&stream);
        let end = loop {
            self.make_room();
            // Within a message a sender does not pause for long.
            let options = self.intake.options();
            let idle_max = if self.buffer.is_empty() { options.idle_max } else { options.frame_idle_max };
            let read = tokio::select! {
                biased;
                read = timeout(idle_max, stream.read_buf(&mut self.buffer)) => read,
                _ = stopped.wait_for(|stopped| *stopped) => break End::Stopped,
            };
            match read {
                Ok(Ok(count)) if count > 0 => {
                    self.intake.received(count);
                    self.take_frames().await;
                }
                Ok(_) => break End::Closed,
                Err(_) => break End::Idle,
            }
        };
        if matches!(end, End::Idle) {
            self.intake.rejected("idle_connection", 1);
        }
        self.take_last().await;
    }

    /// What is read at once fits behind what is there; no more than the longest message.
    fn make_room(&mut self) {
        let used = self.buffer.len();
        let enough = room(self.intake.options().message_bytes_max).max(BUFFER_BYTES);
        if self.buffer.capacity() - used < READ_BYTES_MIN {
            let wanted = (2 * used).clamp(BUFFER_BYTES, enough + READ_BYTES_MIN);
            self.buffer.reserve_exact(wanted.saturating_sub(used).max(READ_BYTES_MIN));
        } else if used == 0 && self.buffer.capacity() > BUFFER_BYTES {
            // A long message is rare; its room is not kept for each connection.
            self.buffer = Vec::with_capacity(BUFFER_BYTES);
        }
    }

    async fn take_frames(&mut self) {
        let bytes_max = self.intake.options().message_bytes_max;
        let mut at = 0;
        loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            match self.framing.next(rest, bytes_max) {
                Step::More => break,
                Step::Skip(used) => at += used,
                Step::Frame { start, end, used, cut } => {
                    if cut {
                        self.intake.irregular("truncated");
                    }
                    self.intake.push(rest.get(start..end).unwrap_or_default(), &self.peer).await;
                    at += used;
                }
            }
        }
        self.buffer.drain(..at);
    }

    async fn take_last(&mut self) {
        let bytes_max = self.intake.options().message_bytes_max;
        let Some((message, is_part)) = self.framing.last(&self.buffer, bytes_max) else { return };
        if is_part {
            self.intake.irregular("incomplete");
        }
        self.intake.push(message, &self.peer).await;
    }
}

fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    sockopt::set_socket_keepalive(stream, true)
}
