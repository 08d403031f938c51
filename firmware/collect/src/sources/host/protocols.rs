//! Counters of network protocols and sockets: netstat, snmp, sockstat, softnet, conntrack, ARP.

use super::emit::Emitter;
use super::read;
use std::collections::BTreeMap;
use std::path::Path;

/// Devices of the ARP table at most.
const ARP_DEVICES_MAX: usize = 64;

/// `/proc/net/netstat` and `/proc/net/snmp`: lines in pairs, names and values. Of some 300 those that node_exporter takes.
pub(super) fn netstat(text: &str, emit: &mut Emitter<'_>) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((protocol, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':')) else {
            return;
        };
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            put(protocol, name, value, emit);
        }
    }
}

/// `/proc/net/snmp6`: `Ip6InReceives 5`.
pub(super) fn snmp6(text: &str, emit: &mut Emitter<'_>) {
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        if let (Some(name), Some(value)) = (fields.next(), fields.next())
            && let Some(at) = name.find('6')
            && let Some((protocol, name)) = name.split_at_checked(at + 1)
        {
            put(protocol, name, value, emit);
        }
    }
}

fn put(protocol: &str, name: &str, value: &str, emit: &mut Emitter<'_>) {
    if is_wanted(protocol, name)
        && let Ok(value) = value.parse()
    {
        emit.put(&format!("node_netstat_{protocol}_{name}"), &[], value);
    }
}

/// node_exporter's default selection.
fn is_wanted(protocol: &str, name: &str) -> bool {
    if matches!(name, "InErrors" | "InErrs") {
        return true;
    }
    match protocol {
        "Ip" => name == "Forwarding",
        "Ip6" | "IpExt" => matches!(name, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(name, "InMsgs" | "OutMsgs"),
        "Tcp" => matches!(
            name,
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab" | "MaxConn"
        ),
        "TcpExt" => {
            name.starts_with("Listen")
                || name.starts_with("Syncookies")
                || matches!(name, "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop")
        }
        "Udp" | "Udp6" => {
            matches!(name, "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors")
        }
        _ => false,
    }
}

/// `/proc/net/sockstat` and `sockstat6`: `TCP: inuse 4 orphan 0 tw 1 alloc 5 mem 2`; memory is in pages.
pub(super) fn sockstat(text: &str, emit: &mut Emitter<'_>) {
    let page_bytes = rustix::param::page_size() as f64;
    for line in text.lines() {
        let Some((protocol, rest)) = line.split_once(':') else { continue };
        let mut fields = rest.split_ascii_whitespace();
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            let Ok(value) = value.parse::<f64>() else { continue };
            match (protocol, name) {
                ("sockets", "used") => emit.put("node_sockstat_sockets_used", &[], value),
                (_, "mem") => {
                    emit.put(&format!("node_sockstat_{protocol}_mem"), &[], value);
                    emit.put(&format!("node_sockstat_{protocol}_mem_bytes"), &[], value * page_bytes);
                }
                _ => emit.put(&format!("node_sockstat_{protocol}_{name}"), &[], value),
            }
        }
    }
}

/// `/proc/net/softnet_stat`: a line per CPU of hexadecimal columns.
pub(super) fn softnet(text: &str, emit: &mut Emitter<'_>) {
    const COLUMNS: [(usize, &str); 5] = [
        (0, "node_softnet_processed_total"),
        (1, "node_softnet_dropped_total"),
        (2, "node_softnet_times_squeezed_total"),
        (9, "node_softnet_received_rps_total"),
        (10, "node_softnet_flow_limit_count_total"),
    ];
    for (line, number) in text.lines().zip(0u32..) {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let hex = |at: usize| columns.get(at).and_then(|text| u32::from_str_radix(text, 16).ok());
        // Newer kernels name the CPU, since those that are off have no line.
        let cpu = hex(12).unwrap_or(number).to_string();
        for (column, metric) in COLUMNS {
            if let Some(value) = hex(column) {
                emit.put(metric, &[("cpu", &cpu)], f64::from(value));
            }
        }
    }
}

/// `node_nf_conntrack_entries` and `_limit`, where connections are tracked.
pub(super) fn conntrack(proc: &Path, emit: &mut Emitter<'_>) {
    for (file, metric) in
        [("nf_conntrack_count", "node_nf_conntrack_entries"), ("nf_conntrack_max", "node_nf_conntrack_entries_limit")]
    {
        if let Ok(value) = read(&proc.join("sys/net/netfilter").join(file)).trim().parse() {
            emit.put(metric, &[], value);
        }
    }
}

/// `/proc/net/arp`: entries per device.
pub(super) fn arp(text: &str, emit: &mut Emitter<'_>) {
    let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
    for device in text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(5)) {
        *entries.entry(device).or_default() += 1;
    }
    for (device, count) in entries.into_iter().take(ARP_DEVICES_MAX) {
        emit.put("node_arp_entries", &[("device", device)], f64::from(count));
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn tables_in_pairs_of_lines() {
        let text = "TcpExt: SyncookiesSent ListenDrops TCPTimeouts Other\nTcpExt: 1 2 3 4\nIpExt: InOctets InNoRoutes\nIpExt: 5 6\nTcp: MaxConn CurrEstab InErrs\nTcp: -1 7 8\nodd";
        assert_eq!(
            emitted(|emit| netstat(text, emit)),
            [
                "node_netstat_TcpExt_SyncookiesSent{} 1",
                "node_netstat_TcpExt_ListenDrops{} 2",
                "node_netstat_TcpExt_TCPTimeouts{} 3",
                "node_netstat_IpExt_InOctets{} 5",
                "node_netstat_Tcp_MaxConn{} -1",
                "node_netstat_Tcp_CurrEstab{} 7",
                "node_netstat_Tcp_InErrs{} 8",
            ]
        );
        let text = "Ip6InReceives 1\nIp6InOctets 2\nIcmp6InMsgs 3\nUdp6NoPorts 4\nbroken\n";
        assert_eq!(
            emitted(|emit| snmp6(text, emit)),
            ["node_netstat_Ip6_InOctets{} 2", "node_netstat_Icmp6_InMsgs{} 3", "node_netstat_Udp6_NoPorts{} 4"]
        );
    }

    #[test]
    fn sockets_and_cpus() {
        let lines = emitted(|emit| sockstat("sockets: used 32\nTCP: inuse 1 mem 2\nFRAG: memory 0\n", emit));
        let bytes = format!("node_sockstat_TCP_mem_bytes{{}} {}", 2 * rustix::param::page_size());
        assert_eq!(lines[..2], ["node_sockstat_sockets_used{} 32", "node_sockstat_TCP_inuse{} 1"]);
        assert!(lines.contains(&bytes) && lines.contains(&"node_sockstat_FRAG_memory{} 0".to_owned()));
        let text = "0000000a 00000001 00000004 0 0 0 0 0 0 00000000 00000000 00000000 00000003\n0000000b 0 0\n";
        let lines = emitted(|emit| softnet(text, emit));
        assert_eq!(lines[0], "node_softnet_processed_total{cpu=\"3\"} 10");
        assert_eq!(lines[5], "node_softnet_processed_total{cpu=\"1\"} 11");
        let text = "IP address HW type Flags HW address Mask Device\n10.0.0.1 0x1 0x2 aa:bb * eth0\n10.0.0.2 0x1 0x2 aa:bb * eth0\n";
        assert_eq!(emitted(|emit| arp(text, emit)), ["node_arp_entries{device=\"eth0\"} 2"]);
    }
}
