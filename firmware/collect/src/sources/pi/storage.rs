//! How cards and disks wear.
//!
//! * `bramble_storage_card_info{device,type,name,manfid,oemid,date}`: 1, for SD cards and eMMC. Serial numbers are left out.
//! * `bramble_storage_written_bytes_total{device}`: since the start of the machine.
//! * `bramble_storage_written_bytes_per_day{device}`: the mean since then, once that is an hour ago.
//! * `bramble_storage_life_time_used_ratio{device,type}`: eMMC's own estimate for its two kinds of memory (`a` SLC, `b` MLC), in
//!   steps of 0.1, the upper end of the step; 1.1 is beyond.
//! * `bramble_storage_pre_eol{device}`: eMMC's reserve of blocks: 1 normal, 2 80 % used, 3 90 % used.
//! * `bramble_storage_wear_forecast_days{device}`: how long the rest of what the device may be written (a setting) lasts at this
//!   rate. For eMMC the rest is what its estimate leaves; an SD card does not tell what it was written before (the health
//!   register of SD 6.0 and later has no place in Linux' sysfs), so that for it this is the life of a new card.
//!
//! Sources: kernel `Documentation/driver-api/mmc/mmc-dev-attrs.rst`; JEDEC JESD84-B51 §7.4 (`DEVICE_LIFE_TIME_EST`, `PRE_EOL_INFO`);
//! kernel `Documentation/block/stat.rst`.

use super::super::host::emit::Emitter;
use super::board::{names, number, text};
use std::path::Path;

const SECTOR_BYTES: f64 = 512.0;
const DAY_SECONDS: f64 = 86_400.0;
/// A shorter time says nothing about a day: the start of a machine writes much.
const UPTIME_SECONDS_MIN: f64 = 3600.0;
/// The column of `/sys/block/<device>/stat` with sectors written.
const WRITTEN_COLUMN: usize = 6;
const DISKS_MAX: usize = 32;

/// Adds what is known of each disk that is a device (not of RAM disks, loops and partitions).
pub(crate) fn storage(sys: &Path, uptime_seconds: Option<f64>, endurance_bytes: Option<u64>, emit: &mut Emitter<'_>) {
    let root = sys.join("block");
    let is_boot_area = |name: &String| name.contains("boot") || name.contains("rpmb");
    let disks = names(&root).into_iter().filter(|name| !is_boot_area(name) && root.join(name).join("device").is_dir());
    for name in disks.take(DISKS_MAX) {
        let path = root.join(&name);
        let used = wear(&path, &name, emit);
        let sectors =
            text(&path.join("stat")).split_ascii_whitespace().nth(WRITTEN_COLUMN).and_then(|s| s.parse::<f64>().ok());
        let Some(written_bytes) = sectors.map(|sectors| sectors * SECTOR_BYTES) else { continue };
        let labels = [("device", name.as_str())];
        emit.put("bramble_storage_written_bytes_total", &labels, written_bytes);
        let Some(uptime) = uptime_seconds.filter(|uptime| *uptime >= UPTIME_SECONDS_MIN) else { continue };
        let per_day = written_bytes * (DAY_SECONDS / uptime);
        emit.put("bramble_storage_written_bytes_per_day", &labels, per_day);
        if let Some(endurance) = endurance_bytes.filter(|_| per_day > 0.0) {
            let rest = endurance as f64 * (1.0 - used.unwrap_or(0.0)).max(0.0);
            emit.put("bramble_storage_wear_forecast_days", &labels, rest / per_day);
        }
    }
}

/// What the card says of itself; returns the used part of its life, if it does say.
fn wear(path: &Path, name: &str, emit: &mut Emitter<'_>) -> Option<f64> {
    let of_card = |file: &str| text(&path.join("device").join(file));
    let kind = of_card("type");
    if matches!(kind.as_str(), "SD" | "MMC") {
        let (card, manfid, oemid, date) = (of_card("name"), of_card("manfid"), of_card("oemid"), of_card("date"));
        let labels = [
            ("device", name),
            ("type", &kind),
            ("name", &card),
            ("manfid", &manfid),
            ("oemid", &oemid),
            ("date", &date),
        ];
        emit.put("bramble_storage_card_info", &labels, 1.0);
    }
    if let Some(reserve) = hex(&of_card("pre_eol_info")).filter(|reserve| *reserve > 0) {
        emit.put("bramble_storage_pre_eol", &[("device", name)], f64::from(reserve));
    }
    let estimates = of_card("life_time");
    let mut used: Option<f64> = None;
    for (estimate, memory) in estimates.split_ascii_whitespace().zip(["a", "b"]) {
        // 0 is not defined.
        let Some(tenths) = hex(estimate).filter(|tenths| *tenths > 0) else { continue };
        let ratio = f64::from(tenths) / 10.0;
        emit.put("bramble_storage_life_time_used_ratio", &[("device", name), ("type", memory)], ratio);
        used = Some(used.map_or(ratio, |worst| worst.max(ratio)));
    }
    // A disk without these files is no card.
    number(&path.join("size")).and(used)
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::host::emit::emitted;
    use super::super::super::host::testing::tree;
    use super::*;

    /// 1,953,125 sectors: 1 GB written.
    const STAT: &str = "  100 0 800 10 200 0 1953125 20 0 30 30 0 0 0 0 0 0\n";

    #[test]
    fn an_sd_card_and_an_emmc() {
        let sys = tree(&[
            ("block/mmcblk0/size", "62333952\n"),
            ("block/mmcblk0/stat", STAT),
            ("block/mmcblk0/device/type", "SD\n"),
            ("block/mmcblk0/device/name", "SC32G\n"),
            ("block/mmcblk0/device/manfid", "0x000003\n"),
            ("block/mmcblk0/device/oemid", "0x5344\n"),
            ("block/mmcblk0/device/date", "03/2021\n"),
            ("block/mmcblk0/device/serial", "0x12345678\n"),
            ("block/mmcblk1/size", "15269888\n"),
            ("block/mmcblk1/stat", STAT),
            ("block/mmcblk1/device/type", "MMC\n"),
            ("block/mmcblk1/device/life_time", "0x02 0x05\n"),
            ("block/mmcblk1/device/pre_eol_info", "0x01\n"),
            ("block/mmcblk1boot0/device/type", "MMC\n"),
            ("block/loop0/stat", STAT),
        ]);
        let half_a_day = Some(43_200.0);
        let lines = emitted(|emit| storage(sys.path(), half_a_day, Some(30_000_000_000_000), emit));
        for line in [
            r#"bramble_storage_card_info{date="03/2021",device="mmcblk0",manfid="0x000003",name="SC32G",oemid="0x5344",type="SD"} 1"#,
            r#"bramble_storage_written_bytes_total{device="mmcblk0"} 1000000000"#,
            r#"bramble_storage_written_bytes_per_day{device="mmcblk0"} 2000000000"#,
            r#"bramble_storage_wear_forecast_days{device="mmcblk0"} 15000"#,
            r#"bramble_storage_life_time_used_ratio{device="mmcblk1",type="a"} 0.2"#,
            r#"bramble_storage_life_time_used_ratio{device="mmcblk1",type="b"} 0.5"#,
            r#"bramble_storage_pre_eol{device="mmcblk1"} 1"#,
            r#"bramble_storage_wear_forecast_days{device="mmcblk1"} 7500"#,
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        }
        assert_eq!(lines.len(), 4 + 7);
        // Just started, and no endurance known.
        let lines = emitted(|emit| storage(sys.path(), Some(60.0), None, emit));
        assert!(!lines.iter().any(|line| line.contains("per_day") || line.contains("forecast")));
        assert!(emitted(|emit| storage(Path::new("/nowhere"), None, None, emit)).is_empty());
    }
}
