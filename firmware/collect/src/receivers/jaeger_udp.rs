//! Jaeger's agent: packets of spans by UDP, Thrift compact (6831) or binary (6832), told apart by their first byte.
//!
//! Nobody hears an answer, so what is lost is counted: `bramble_receive_rejected_total{protocol="jaeger_udp"}` with the
//! reason, for packets that are no spans, single spans that are refused, whole batches for which the write path has no
//! room, packets for which the budget `receive` has none, and (`socket_full`) packets that the kernel dropped because we
//! did not come to read them in time.
//!
//! Packets are decoded as they are read, into one batch that is written when it is large or [`LINGER`] old: the socket's
//! own buffer is the queue. A batch is paid for before its first packet is decoded.
//!
//! Source: jaeger-idl `thrift/agent.thrift`.

use super::ReceiverState;
use super::counters::Protocol;
use super::submit::wait_for_room;
use bramble_runtime::Reservation;
use bramble_signal::{Signal, SpanBatch};
use bramble_storage::{Done, Urgency};
use bramble_wire::{DecodeErrorKind, Decoded, jaeger};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

const PROTOCOL: Protocol = Protocol::JaegerUdp;

/// Largest datagram that there is.
const PACKET_BYTES_MAX: usize = 64 << 10;

/// What the kernel may keep for us, in bytes: at 20 k spans/s of 300 bytes, a third of a second. Without the capability
/// to go beyond it, `net.core.rmem_max` (208 KiB by default) is what we get.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;

/// A batch is not older than this when it is handed over.
const LINGER: Duration = Duration::from_millis(100);

/// What is paid for a batch, in bytes, and when it is large enough: the rest is room for one packet more.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_FULL_BYTES: usize = BATCH_BYTES / 2;

/// Packets that are still read when we stop: a full buffer of small ones.
const LAST_PACKETS_MAX: usize = 4096;

/// How often the kernel is asked what it has dropped.
const DROPS_EVERY: Duration = Duration::from_secs(10);

/// Receives until `stop` is done; what came until then is handed over.
pub async fn jaeger_udp(state: ReceiverState, socket: UdpSocket, stop: impl Future<Output = ()>) {
    let fd = socket.as_fd();
    // Without the privilege to exceed the system's limit, as far as it goes.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(fd, SOCKET_BUFFER_BYTES).is_err() {
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(fd, SOCKET_BUFFER_BYTES);
    }
    let mut drops = Drops::new(&socket);
    let mut agent = Agent::new(state);
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let mut tick = interval(DROPS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = tick.tick() => drops.count(&agent.state),
            () = due(agent.due) => agent.hand_over().await,
            received = socket.recv_from(&mut packet) => match received {
                Ok((length, _)) => agent.take(packet.get(..length).unwrap_or_default()).await,
                // An answer of ours cannot have bounced, there is none: a passing fault of the interface.
                Err(error) => {
                    tracing::warn!(%error, "receiving Jaeger's packets failed");
                    tokio::time::sleep(LINGER).await;
                }
            },
        }
    }
    for _ in 0..LAST_PACKETS_MAX {
        let Ok((length, _)) = socket.try_recv_from(&mut packet) else { break };
        agent.take(packet.get(..length).unwrap_or_default()).await;
    }
    agent.hand_over().await;
    drops.count(&agent.state);
}

async fn due(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// The batch at hand.
struct Agent {
    state: ReceiverState,
    decoder: jaeger::Decoder,
    decoded: Decoded<SpanBatch>,
    /// For the batch, from its first packet on.
    held: Option<Reservation>,
    /// When it is handed over at the latest.
    due: Option<Instant>,
    batch_bytes: usize,
}

impl Agent {
    fn new(state: ReceiverState) -> Self {
        let batch_bytes = BATCH_BYTES.min(state.0.request_bytes_max() / 4);
        let mut decoder = jaeger::Decoder::new(state.0.limits.items);
        decoder.set_batch_bytes_max(batch_bytes);
        Agent { state, decoder, decoded: Decoded::default(), held: None, due: None, batch_bytes }
    }

    fn reject(&self, reason: &str) {
        self.state.0.counters.rejected(PROTOCOL, reason, 1);
    }

    async fn take(&mut self, packet: &[u8]) {
        self.state.0.counters.packet(PROTOCOL);
        self.state.0.counters.received(PROTOCOL, packet.len() as u64);
        if self.decode(packet) == Some(DecodeErrorKind::TooLarge) {
            // Too large together with what is there already, or by itself.
            self.hand_over().await;
            if let Some(kind) = self.decode(packet) {
                self.reject(kind.as_str());
            }
        }
        if self.decoded.batch.memory_bytes() >= BATCH_FULL_BYTES.min(self.batch_bytes / 2) {
            self.hand_over().await;
        }
    }

    /// Appends a packet; gives the kind of damage when it was not counted yet.
    fn decode(&mut self, packet: &[u8]) -> Option<DecodeErrorKind> {
        if self.held.is_none() {
            match self.state.0.receive.reserve(self.batch_bytes) {
                Ok(held) => self.held = Some(held),
                Err(_) => {
                    self.reject("over_budget");
                    return None;
                }
            }
        }
        let now_ns = self.state.0.clock.wall_ns();
        match self.decoder.packet(packet, now_ns, &mut self.decoded) {
            Ok(()) => {}
            Err(error) if error.kind() == DecodeErrorKind::TooLarge => return Some(error.kind()),
            Err(error) => {
                self.reject(error.kind().as_str());
                tracing::debug!(%error, "a packet for Jaeger's agent is refused");
            }
        }
        if self.due.is_none() {
            self.due = Some(Instant::now() + LINGER);
        }
        None
    }

    /// Hands the batch to the write path and begins another.
    async fn hand_over(&mut self) {
        self.due = None;
        let decoded = std::mem::take(&mut self.decoded);
        for (reason, count) in decoded.rejected.by_reason() {
            self.state.0.counters.rejected(PROTOCOL, reason.as_str(), count);
        }
        let Some(mut held) = self.held.take() else { return };
        if decoded.batch.is_empty() {
            return;
        }
        let memory_bytes = decoded.batch.memory_bytes();
        held.force_resize(memory_bytes);
        wait_for_room(&self.state, Signal::Traces, memory_bytes).await;
        let (counters, spans) = (self.state.0.counters.clone(), decoded.batch.spans.len() as u64);
        let done: Done = Box::new(move |outcome| {
            if let Err(error) = outcome {
                counters.rejected(PROTOCOL, error.reason(), spans);
            }
        });
        self.state.0.writer.write_spans(decoded.batch, held, Urgency::Background, done);
    }
}

/// What the kernel dropped: the last column of the socket's line in `/proc/net/udp`.
struct Drops {
    inode: Option<u64>,
    counted: u64,
}

impl Drops {
    fn new(socket: &UdpSocket) -> Self {
        Drops { inode: rustix::fs::fstat(socket).ok().map(|stat| stat.st_ino), counted: 0 }
    }

    fn count(&mut self, state: &ReceiverState) {
        let Some(inode) = self.inode else { return };
        let tables =
            ["/proc/net/udp", "/proc/net/udp6"].into_iter().filter_map(|path| std::fs::read_to_string(path).ok());
        let dropped = tables.filter_map(|table| dropped_of(&table, inode)).next().unwrap_or(0);
        state.0.counters.rejected(PROTOCOL, "socket_full", dropped.saturating_sub(self.counted));
        self.counted = self.counted.max(dropped);
    }
}

/// Of a line `sl local remote st queues tr:when retrnsmt uid timeout inode ref pointer drops`.
fn dropped_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        (columns.nth(9)?.parse() == Ok(inode)).then(|| columns.nth(2)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_the_sockets_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20 12: 0100007F:1AAF 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 77 2 0000000000000000 0\n\
            \x20 13: 0100007F:1AB0 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 78 2 0000000000000000 41\n";
        assert_eq!((dropped_of(table, 77), dropped_of(table, 78), dropped_of(table, 79)), (Some(0), Some(41), None));
    }
}
