//! Syslog by UDP: a message per datagram.

use super::SyslogOptions;
use super::intake::{Intake, LINGER};
use crate::receivers::ReceiverState;
use crate::receivers::admission::NOT_ADMITTED;
use crate::receivers::counters::Protocol;
use crate::receivers::datagrams::{DROPS_EVERY, Drops, PACKET_BYTES_MAX, enlarge_buffer};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const PROTOCOL: Protocol = Protocol::SyslogUdp;

/// Datagrams that are still read when we stop: a full buffer of small ones.
const LAST_PACKETS_MAX: usize = 4096;
/// What the kernel has is there at once; the runtime must only have asked it.
const LAST_WAIT: Duration = Duration::from_millis(20);

/// Receives until `stop` is done; what came until then is handed over.
pub async fn syslog_udp(
    state: ReceiverState,
    options: SyslogOptions,
    socket: UdpSocket,
    stop: impl Future<Output = ()>,
) {
    enlarge_buffer(&socket);
    let mut drops = Drops::new(PROTOCOL, &socket);
    let mut door = Door { intake: Intake::new(state, PROTOCOL, options), peer: None };
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let (mut tick, mut count_at) = (interval(LINGER), Instant::now());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = tick.tick() => {
                door.intake.tick();
                if count_at.elapsed() >= DROPS_EVERY {
                    drops.count(door.intake.state());
                    count_at = Instant::now();
                }
            }
            received = socket.recv_from(&mut packet) => match received {
                Ok((length, from)) => door.take(packet.get(..length).unwrap_or_default(), from).await,
                // An answer of ours cannot have bounced, there is none: a passing fault of the interface.
                Err(error) => {
                    tracing::warn!(%error, "receiving syslog datagrams failed");
                    tokio::time::sleep(LINGER).await;
                }
            },
        }
    }
    for _ in 0..LAST_PACKETS_MAX {
        let Ok(Ok((length, from))) = timeout(LAST_WAIT, socket.recv_from(&mut packet)).await else { break };
        door.take(packet.get(..length).unwrap_or_default(), from).await;
    }
    door.intake.finish().await;
    drops.count(door.intake.state());
}

struct Door {
    intake: Intake,
    /// The last sender and its address as text: most come in runs.
    peer: Option<(std::net::IpAddr, String)>,
}

impl Door {
    async fn take(&mut self, packet: &[u8], from: SocketAddr) {
        self.intake.state().0.counters.packet(PROTOCOL);
        self.intake.received(packet.len());
        let ip = from.ip().to_canonical();
        if !self.intake.state().0.admission.admits(ip) {
            self.intake.rejected(NOT_ADMITTED, 1);
            return;
        }
        let (_, peer) = match self.peer.take() {
            Some(known) if known.0 == ip => self.peer.insert(known),
            _ => self.peer.insert((ip, ip.to_string())),
        };
        let message = match packet.get(..self.intake.options().message_bytes_max) {
            Some(start) if start.len() < packet.len() => {
                self.intake.irregular("truncated");
                start
            }
            _ => packet,
        };
        self.intake.push(message, peer).await;
    }
}
