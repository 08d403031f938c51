//! What sockets of datagrams share: a large buffer, and the account of what the kernel dropped.

use super::ReceiverState;
use super::counters::Protocol;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Largest datagram that there is.
pub(crate) const PACKET_BYTES_MAX: usize = 64 << 10;

/// What the kernel may keep for us, in bytes: at 20 k datagrams/s of 300 bytes, a third of a second. Without the capability
/// to go beyond it, `net.core.rmem_max` (208 KiB by default) is what we get.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;

/// How often the kernel is asked what it has dropped.
pub(crate) const DROPS_EVERY: Duration = Duration::from_secs(10);

/// Makes the socket's buffer as large as it may be.
pub(crate) fn enlarge_buffer(socket: &UdpSocket) {
    let fd = socket.as_fd();
    // Without the privilege to exceed the system's limit, as far as it goes.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(fd, SOCKET_BUFFER_BYTES).is_err() {
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(fd, SOCKET_BUFFER_BYTES);
    }
}

/// What the kernel dropped: the last column of the socket's line in `/proc/net/udp`.
pub(crate) struct Drops {
    protocol: Protocol,
    inode: Option<u64>,
    counted: u64,
}

impl Drops {
    pub(crate) fn new(protocol: Protocol, socket: &UdpSocket) -> Self {
        Drops { protocol, inode: rustix::fs::fstat(socket).ok().map(|stat| stat.st_ino), counted: 0 }
    }

    /// Counts what was dropped since the last time, as rejected with the reason `socket_full`.
    pub(crate) fn count(&mut self, state: &ReceiverState) {
        let Some(inode) = self.inode else { return };
        let tables =
            ["/proc/net/udp", "/proc/net/udp6"].into_iter().filter_map(|path| std::fs::read_to_string(path).ok());
        let dropped = tables.filter_map(|table| dropped_of(&table, inode)).next().unwrap_or(0);
        state.0.counters.rejected(self.protocol, "socket_full", dropped.saturating_sub(self.counted));
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
