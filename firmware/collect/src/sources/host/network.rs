//! `/proc/net/dev`, and which interfaces are up.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// Columns after the colon: eight received, eight sent.
const COLUMNS: [&str; 16] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// Bounds what a machine with a pair of interfaces per container yields.
const DEVICES_MAX: usize = 64;

pub(super) fn dev(text: &str, emit: &mut Emitter<'_>) {
    let devices = text.lines().filter_map(|line| line.split_once(':'));
    for (device, rest) in devices.take(DEVICES_MAX) {
        for (field, metric) in rest.split_ascii_whitespace().zip(COLUMNS) {
            if let Ok(value) = field.parse::<f64>() {
                emit.put(metric, &[("device", device.trim())], value);
            }
        }
    }
}

/// File of an interface and its metric.
const NUMBERS: [(&str, &str); 9] = [
    ("carrier", "node_network_carrier"),
    ("carrier_changes", "node_network_carrier_changes_total"),
    ("carrier_up_count", "node_network_carrier_up_changes_total"),
    ("carrier_down_count", "node_network_carrier_down_changes_total"),
    ("dormant", "node_network_dormant"),
    ("ifindex", "node_network_iface_id"),
    ("mtu", "node_network_mtu_bytes"),
    ("tx_queue_len", "node_network_transmit_queue_length"),
    ("type", "node_network_protocol_type"),
];

pub(super) fn state(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("class/net");
    for device in names(&root).iter().take(DEVICES_MAX) {
        // Interfaces are links to their devices; `bonding_masters` is a file.
        let path = root.join(device);
        let text = |file: &str| read(&path.join(file)).trim().to_owned();
        let state = text("operstate");
        if state.is_empty() {
            continue;
        }
        emit.put("node_network_up", &[("device", device)], f64::from(u8::from(state == "up")));
        // Some cannot be read while the interface is down.
        for (file, metric) in NUMBERS {
            if let Ok(value) = text(file).parse() {
                emit.put(metric, &[("device", device)], value);
            }
        }
        let flags = text("flags");
        let flags = flags.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if let Some(flags) = flags {
            emit.put("node_network_flags", &[("device", device)], f64::from(flags));
        }
        let is_admin_up = flags.is_some_and(|flags| flags & 1 != 0);
        let (address, broadcast, duplex) = (text("address"), text("broadcast"), text("duplex"));
        let labels = [
            ("device", device.as_str()),
            ("address", &address),
            ("adminstate", if is_admin_up { "up" } else { "down" }),
            ("broadcast", &broadcast),
            ("duplex", &duplex),
            ("operstate", &state),
        ];
        emit.put("node_network_info", &labels, 1.0);
        // Megabits per second; negative or unreadable where there is no link.
        if let Ok(megabits) = text("speed").parse::<f64>()
            && megabits >= 0.0
        {
            emit.put("node_network_speed_bytes", &[("device", device)], megabits * 125_000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn devices_are_read_by_column() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nwlan0:99 x\n";
        let lines = emitted(|emit| dev(text, emit));
        assert_eq!(lines.len(), 17);
        assert!(lines.contains(&"node_network_transmit_bytes_total{device=\"eth0\"} 9".to_owned()));
        assert!(lines.contains(&"node_network_receive_bytes_total{device=\"wlan0\"} 99".to_owned()));
    }

    #[test]
    fn interfaces_say_what_they_are() {
        let sys = super::super::testing::tree(&[
            ("class/net/eth0/operstate", "up\n"),
            ("class/net/eth0/carrier", "1\n"),
            ("class/net/eth0/speed", "1000\n"),
            ("class/net/eth0/flags", "0x1003\n"),
            ("class/net/eth0/address", "dc:a6:32:00:00:01\n"),
            ("class/net/eth0/duplex", "full\n"),
            ("class/net/wlan0/operstate", "down\n"),
            ("class/net/wlan0/speed", "-1\n"),
            ("class/net/bonding_masters", "\n"),
        ]);
        let lines = emitted(|emit| state(sys.path(), emit));
        for line in [
            r#"node_network_up{device="eth0"} 1"#,
            r#"node_network_speed_bytes{device="eth0"} 125000000"#,
            r#"node_network_flags{device="eth0"} 4099"#,
            r#"node_network_up{device="wlan0"} 0"#,
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        }
        assert!(lines.iter().any(|line| line.starts_with("node_network_info{") && line.contains("adminstate=\"up\"")));
        assert_eq!(lines.len(), 7);
    }
}
