//! Syslog: RFC 5424 and RFC 3164 by UDP (RFC 5426) and TCP (RFC 6587), on one port.
//!
//! No sender hears an answer, so nothing is refused that can be kept: what is no syslog is stored as the line that it is,
//! as facility `user`, as rsyslogd does, and counted in `bramble_receive_irregular_total{protocol,reason}`:
//! `not_syslog`, `no_header` (a bare priority), `truncated` (over [`SyslogOptions::message_bytes_max`]), `incomplete` (the
//! connection ended in the middle), `clock` (a time so far off that the time of arrival is taken instead, and the sender's is
//! kept as metadata `sent_at`).
//!
//! * Stream labels: `job="syslog"`, `host` (the header's, else the peer's address), `service` (APP-NAME or TAG), `facility`,
//!   `level`. Metadata: `procid`, `msgid`, `severity` (the standard's word) and each value of structured data as
//!   `<id>_<name>`. The line is the message without its header.
//! * By TCP each frame says how it is framed: `<length> <` is octet counting, anything else ends at a line feed or NUL.
//!   A connection is read only while its lines can be handed over, so that a store that has no room slows the sender down
//!   instead of losing lines: at most [`intake::SLOTS`] batches wait, each handed over again until it is taken.
//! * By UDP the socket's buffer is the queue; what the kernel dropped is `socket_full` among the rejected.
//!
//! Lines are written in the background (durable within 30 s): neither protocol lets a sender wait.

mod entry;
mod framing;
mod intake;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod zone;

pub use tcp::syslog_tcp;
pub use udp::syslog_udp;
pub use zone::{SyslogZone, UnknownZone};

use crate::pipeline::logs::LogPipeline;
use crate::relabel::{LabelPairs, RelabelConfig};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// What can be chosen of syslog.
#[derive(Clone)]
pub struct SyslogOptions {
    /// The zone of times that name none (RFC 3164). Default: this machine's.
    pub zone: SyslogZone,
    /// Most TCP connections at a time; more are closed at once and counted as rejected, `too_many_connections`. Default 256.
    pub connections_max: usize,
    /// Longest message, in bytes; the rest is cut off. Default 64 KiB.
    pub message_bytes_max: usize,
    /// How long a TCP connection may be silent. Default 12 h: senders learn only by their next message, which is lost then,
    /// that they were disconnected. Peers that vanished are found by keep-alive probes within three minutes.
    pub idle_max: Duration,
    /// How long a sender may pause within a message; the part is stored then. Default 60 s.
    pub frame_idle_max: Duration,
    /// Labels of all lines. Default none.
    pub labels: LabelPairs,
    /// Instead of labels and metadata of our own, what these rules make of `__syslog_connection_ip_address`,
    /// `__syslog_connection_hostname` (the address: no name server is asked), `__syslog_message_{severity,facility,hostname,
    /// app_name,proc_id,msg_id}` and of structured data, as Promtail does. Default none.
    pub relabel: Option<Vec<RelabelConfig>>,
    /// Whether rules see `__syslog_message_sd_<id>_<name>`. Default no.
    pub label_structured_data: bool,
    /// Whether the sender's time is the line's, unless it is far off. Default yes.
    pub use_incoming_timestamp: bool,
    /// Whether the line is the whole message with its header. Default no.
    pub whole_message: bool,
    /// Stages that lines go through. Default none.
    pub pipeline: Option<Arc<Mutex<LogPipeline>>>,
}

impl Default for SyslogOptions {
    fn default() -> Self {
        SyslogOptions {
            zone: SyslogZone::default(),
            connections_max: 256,
            message_bytes_max: 64 << 10,
            idle_max: Duration::from_secs(12 * 3600),
            frame_idle_max: Duration::from_secs(60),
            labels: LabelPairs::new(),
            relabel: None,
            label_structured_data: false,
            use_incoming_timestamp: true,
            whole_message: false,
            pipeline: None,
        }
    }
}
