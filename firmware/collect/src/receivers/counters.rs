//! What receivers tell about themselves.

use bramble_signal::Signal;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Which way in; the label `protocol`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Protocol {
    OtlpHttp,
    OtlpGrpc,
    RemoteWrite,
    Import,
    LokiPush,
    JsonLines,
    Correlation,
    JaegerUdp,
    JaegerHttp,
    JaegerGrpc,
    Zipkin,
    SyslogUdp,
    SyslogTcp,
    Node,
}

impl Protocol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Protocol::OtlpHttp => "otlp_http",
            Protocol::OtlpGrpc => "otlp_grpc",
            Protocol::RemoteWrite => "remote_write",
            Protocol::Import => "import",
            Protocol::LokiPush => "loki_push",
            Protocol::JsonLines => "json_lines",
            Protocol::Correlation => "correlation",
            Protocol::JaegerUdp => "jaeger_udp",
            Protocol::JaegerHttp => "jaeger_http",
            Protocol::JaegerGrpc => "jaeger_grpc",
            Protocol::Zipkin => "zipkin",
            Protocol::SyslogUdp => "syslog_udp",
            Protocol::SyslogTcp => "syslog_tcp",
            Protocol::Node => "node",
        }
    }

    /// A span of one request, for own traces.
    pub(crate) fn span(self, signal: Signal) -> tracing::Span {
        tracing::info_span!("receive", otel.kind = "server", protocol = self.as_str(), signal = signal.as_str())
    }
}

/// Counters of all receivers. Clones share them.
///
/// * `bramble_receive_requests_total{protocol,code}`: answers, by HTTP status or gRPC code number;
/// * `bramble_receive_packets_total{protocol}`: datagrams, which have no answer;
/// * `bramble_receive_rejected_total{protocol,reason}`: whole requests refused, and items refused for good by
///   decoding (the write path counts those that it refuses itself);
/// * `bramble_receive_irregular_total{protocol,reason}`: items that break their protocol's rules, and are stored all the same;
/// * `bramble_receive_connections{protocol}`: connections of protocols that are no requests;
/// * `bramble_receive_bytes_total{protocol}`: bytes of bodies as they arrived;
/// * `bramble_receive_delta_streams`: streams of delta temporality whose sums are kept, and
///   `bramble_receive_delta_forgotten_total`: those forgotten for want of memory.
#[derive(Clone, Debug)]
pub struct ReceiveCounters {
    requests: IntCounterVec,
    rejected: IntCounterVec,
    bytes: IntCounterVec,
    packets: IntCounterVec,
    irregular: IntCounterVec,
    connections: IntGaugeVec,
    delta_streams: IntGauge,
    delta_forgotten: IntCounter,
}

impl ReceiveCounters {
    /// Creates the counters in `registry`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let delta_streams =
            IntGauge::new("bramble_receive_delta_streams", "Streams of delta temporality whose sums are kept.")?;
        registry.register(Box::new(delta_streams.clone()))?;
        let delta_forgotten = IntCounter::new(
            "bramble_receive_delta_forgotten_total",
            "Streams of delta temporality that were forgotten for want of memory.",
        )?;
        registry.register(Box::new(delta_forgotten.clone()))?;
        let connections = Opts::new("bramble_receive_connections", "Open connections of protocols without requests.");
        let connections = IntGaugeVec::new(connections, &["protocol"])?;
        registry.register(Box::new(connections.clone()))?;
        Ok(ReceiveCounters {
            connections,
            irregular: make(
                "bramble_receive_irregular_total",
                "Items that break their protocol's rules and are stored all the same.",
                &["protocol", "reason"],
            )?,
            delta_streams,
            delta_forgotten,
            requests: make(
                "bramble_receive_requests_total",
                "Requests answered by receivers, by protocol and status code.",
                &["protocol", "code"],
            )?,
            rejected: make(
                "bramble_receive_rejected_total",
                "Requests and items refused by receivers, by protocol and reason.",
                &["protocol", "reason"],
            )?,
            packets: make("bramble_receive_packets_total", "Datagrams received.", &["protocol"])?,
            bytes: make("bramble_receive_bytes_total", "Bytes of request bodies as received.", &["protocol"])?,
        })
    }

    pub(crate) fn answered(&self, protocol: Protocol, code: u16) {
        self.requests.with_label_values(&[protocol.as_str(), &code.to_string()]).inc();
    }

    pub(crate) fn packet(&self, protocol: Protocol) {
        self.packets.with_label_values(&[protocol.as_str()]).inc();
    }

    pub(crate) fn rejected(&self, protocol: Protocol, reason: &str, count: u64) {
        self.rejected.with_label_values(&[protocol.as_str(), reason]).inc_by(count);
    }

    pub(crate) fn irregular(&self, protocol: Protocol, reason: &str) {
        self.irregular.with_label_values(&[protocol.as_str(), reason]).inc();
    }

    /// The gauge of open connections.
    pub(crate) fn connections(&self, protocol: Protocol) -> IntGauge {
        self.connections.with_label_values(&[protocol.as_str()])
    }

    /// Called by one thread at a time; `forgotten` since the start.
    pub(crate) fn delta_streams(&self, count: usize, forgotten: u64) {
        self.delta_streams.set(count as i64);
        self.delta_forgotten.inc_by(forgotten.saturating_sub(self.delta_forgotten.get()));
    }

    pub(crate) fn received(&self, protocol: Protocol, bytes: u64) {
        self.bytes.with_label_values(&[protocol.as_str()]).inc_by(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_plain_numbers() {
        let registry = Registry::new();
        let counters = ReceiveCounters::register(&registry).unwrap();
        for code in [0, 3, 14, 204, 503] {
            counters.answered(Protocol::OtlpGrpc, code);
        }
        let families = registry.gather();
        let requests = families.iter().find(|f| f.name() == "bramble_receive_requests_total").unwrap();
        let codes: Vec<&str> = requests.get_metric().iter().map(|m| m.get_label()[0].value()).collect();
        assert_eq!(codes, ["0", "14", "204", "3", "503"]);
        assert!(ReceiveCounters::register(&registry).is_err());
    }
}
