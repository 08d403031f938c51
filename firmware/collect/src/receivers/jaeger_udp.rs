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
use super::admission::NOT_ADMITTED;
use super::counters::Protocol;
use super::datagrams::{DROPS_EVERY, Drops, PACKET_BYTES_MAX, enlarge_buffer};
use super::submit::wait_for_room;
use bramble_runtime::Reservation;
use bramble_signal::{Signal, SpanBatch};
use bramble_storage::{Done, Urgency};
use bramble_wire::{DecodeErrorKind, Decoded, jaeger};
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

const PROTOCOL: Protocol = Protocol::JaegerUdp;

/// A batch is not older than this when it is handed over.
const LINGER: Duration = Duration::from_millis(100);

/// What is paid for a batch, in bytes, and when it is large enough: the rest is room for one packet more.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_FULL_BYTES: usize = BATCH_BYTES / 2;

/// Packets that are still read when we stop: a full buffer of small ones.
const LAST_PACKETS_MAX: usize = 4096;

/// Receives until `stop` is done; what came until then is handed over.
pub async fn jaeger_udp(state: ReceiverState, socket: UdpSocket, stop: impl Future<Output = ()>) {
    enlarge_buffer(&socket);
    let mut drops = Drops::new(PROTOCOL, &socket);
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
                Ok((length, from)) => agent.take(packet.get(..length).unwrap_or_default(), from.ip()).await,
                // An answer of ours cannot have bounced, there is none: a passing fault of the interface.
                Err(error) => {
                    tracing::warn!(%error, "receiving Jaeger's packets failed");
                    tokio::time::sleep(LINGER).await;
                }
            },
        }
    }
    for _ in 0..LAST_PACKETS_MAX {
        let Ok((length, from)) = socket.try_recv_from(&mut packet) else { break };
        agent.take(packet.get(..length).unwrap_or_default(), from.ip()).await;
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

    async fn take(&mut self, packet: &[u8], from: IpAddr) {
        self.state.0.counters.packet(PROTOCOL);
        if !self.state.0.admission.admits(from) {
            self.reject(NOT_ADMITTED);
            return;
        }
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
