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

pub(super) fn state(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("class/net");
    for device in names(&root).iter().take(DEVICES_MAX) {
        let state = read(&root.join(device).join("operstate"));
        if !state.is_empty() {
            emit.put("node_network_up", &[("device", device)], f64::from(u8::from(state.trim() == "up")));
        }
        // Megabits per second; negative or unreadable where there is no link.
        let speed = read(&root.join(device).join("speed")).trim().parse::<f64>();
        if let Ok(speed) = speed.map(|megabits| megabits * 125_000.0)
            && speed >= 0.0
        {
            emit.put("node_network_speed_bytes", &[("device", device)], speed);
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
}
