//! `/proc/diskstats`.

use super::emit::Emitter;

/// Sectors in this file are always of 512 bytes, whatever the device has (kernel `Documentation/admin-guide/iostats`).
const SECTOR_BYTES: f64 = 512.0;
const SECONDS: f64 = 0.001;

/// Metric and factor of each column after the device's name. Older kernels have fewer.
const COLUMNS: [(&str, f64); 17] = [
    ("node_disk_reads_completed_total", 1.0),
    ("node_disk_reads_merged_total", 1.0),
    ("node_disk_read_bytes_total", SECTOR_BYTES),
    ("node_disk_read_time_seconds_total", SECONDS),
    ("node_disk_writes_completed_total", 1.0),
    ("node_disk_writes_merged_total", 1.0),
    ("node_disk_written_bytes_total", SECTOR_BYTES),
    ("node_disk_write_time_seconds_total", SECONDS),
    ("node_disk_io_now", 1.0),
    ("node_disk_io_time_seconds_total", SECONDS),
    ("node_disk_io_time_weighted_seconds_total", SECONDS),
    ("node_disk_discards_completed_total", 1.0),
    ("node_disk_discards_merged_total", 1.0),
    ("node_disk_discarded_sectors_total", 1.0),
    ("node_disk_discard_time_seconds_total", SECONDS),
    ("node_disk_flush_requests_total", 1.0),
    ("node_disk_flush_requests_time_seconds_total", SECONDS),
];

pub(super) fn diskstats(text: &str, emit: &mut Emitter<'_>) {
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let Some(device) = fields.next().filter(|device| !is_skipped(device)) else { continue };
        for (field, (metric, factor)) in fields.zip(COLUMNS) {
            if let Ok(value) = field.parse::<f64>() {
                emit.put(metric, &[("device", device)], value * factor);
            }
        }
    }
}

/// RAM disks, loops, floppies and partitions of classic disks, as node_exporter's default has it; SD cards keep
/// theirs.
pub(super) fn is_skipped(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let disk = |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1);
    let partition_of_nvme = device.starts_with("nvme") && stem.ends_with('p');
    ["ram", "zram", "loop", "fd"].contains(&stem)
        || ["hd", "sd", "vd", "xvd"].iter().any(|p| disk(p))
        || partition_of_nvme
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn columns_become_base_units() {
        let text = " 179 0 mmcblk0 10 1 8 2000 20 2 16 3000 0 4000 5000\n 7 0 loop0 1 1 1\nbroken\n";
        let lines = emitted(|emit| diskstats(text, emit));
        assert_eq!(lines.len(), 11);
        assert!(lines.contains(&"node_disk_read_bytes_total{device=\"mmcblk0\"} 4096".to_owned()));
        assert!(lines.contains(&"node_disk_write_time_seconds_total{device=\"mmcblk0\"} 3".to_owned()));
    }

    #[test]
    fn whole_disks_only() {
        let skipped = ["sda1", "ram0", "zram0", "loop12", "nvme0n1p2", "xvda1"];
        let kept = ["sda", "nvme0n1", "mmcblk0", "mmcblk0p1", "dm-0", "md127"];
        assert!(skipped.iter().all(|d| is_skipped(d)) && !kept.iter().any(|d| is_skipped(d)));
    }
}
