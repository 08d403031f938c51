//! The board: model, temperature, throttling, clocks, voltages.
//!
//! Model, temperature and flags as `bramble-board` reads them, which drives light and fan by the same. Clocks: kernel
//! `drivers/clk/bcm/clk-raspberrypi.c` (`fw-clk-*`).

use super::super::host::emit::Emitter;
use bramble_board::{Identity, Sensors, Throttled};
use std::path::Path;

/// The flag as it is now; [`Throttled::OCCURRED_BITS`] higher is whether it was ever set.
const FLAGS: [(u32, &str); 4] = [
    (Throttled::UNDER_VOLTAGE, "rpi_under_voltage"),
    (Throttled::FREQUENCY_CAPPED, "rpi_frequency_capped"),
    (Throttled::THROTTLED, "rpi_throttled"),
    (Throttled::SOFT_TEMPERATURE_LIMIT, "rpi_soft_temperature_limit"),
];

/// Clocks and regulators at most.
const PARTS_MAX: usize = 32;

/// Adds what the board says; nothing on other machines.
pub(crate) fn board(proc: &Path, sys: &Path, emit: &mut Emitter<'_>) {
    let Some(identity) = Identity::detect(proc) else { return };
    emit.put("rpi_info", &[("model", &identity.model), ("revision", &identity.revision)], 1.0);
    let readings = Sensors::open(sys).read();
    if let Some(celsius) = readings.celsius {
        emit.put("rpi_soc_temperature_celsius", &[], celsius);
    }
    match readings.throttled {
        Some(flags) if readings.has_all_flags => throttled(flags, emit),
        // The mainline kernel shows one of the flags.
        Some(Throttled(alarm)) => emit.put("rpi_under_voltage", &[], f64::from(alarm)),
        None => {}
    }
    clocks(&sys.join("kernel/debug/clk"), emit);
    regulators(&sys.join("class/regulator"), emit);
}

fn throttled(Throttled(flags): Throttled, emit: &mut Emitter<'_>) {
    emit.put("rpi_throttled_flags", &[], f64::from(flags));
    let occurred = flags >> Throttled::OCCURRED_BITS;
    for (flag, metric) in FLAGS {
        emit.put(metric, &[], f64::from(u8::from(flags & flag != 0)));
        emit.put(&format!("{metric}_occurred"), &[], f64::from(u8::from(occurred & flag != 0)));
    }
}

/// Of the firmware's clocks those that are named there; only root may read them.
fn clocks(root: &Path, emit: &mut Emitter<'_>) {
    let clocks = names(root).into_iter().filter(|name| name.starts_with("fw-clk-"));
    for name in clocks.take(PARTS_MAX) {
        if let (Some(hertz), Some(clock)) = (number(&root.join(&name).join("clk_rate")), name.strip_prefix("fw-clk-")) {
            emit.put("rpi_clock_hertz", &[("clock", clock)], hertz);
        }
    }
}

fn regulators(root: &Path, emit: &mut Emitter<'_>) {
    for directory in names(root).into_iter().take(PARTS_MAX) {
        let path = root.join(directory);
        if let Some(microvolts) = number(&path.join("microvolts")) {
            emit.put("rpi_regulator_volts", &[("regulator", &text(&path.join("name")))], microvolts / 1e6);
        }
    }
}

/// A file's text without what ends it; texts of the device tree end with NUL.
pub(super) fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n', ' ']).to_owned()
}

pub(super) fn number(path: &Path) -> Option<f64> {
    text(path).parse().ok()
}

/// Names in a directory, ascending.
pub(super) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::super::super::host::emit::emitted;
    use super::super::super::host::testing::tree;
    use super::*;

    /// `vcgencmd get_throttled` of a Pi with a weak supply, as in its documentation: under-voltage and throttled now, both
    /// and a capped frequency before.
    const WEAK_SUPPLY: &str = "70005\n";

    #[test]
    fn a_pi_4_with_the_raspberry_pi_kernel() {
        let root = tree(&[
            ("device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            ("cpuinfo", "processor\t: 0\nHardware\t: BCM2835\nRevision\t: c03114\nSerial\t\t: 10000000abcdef01\n"),
            ("class/thermal/thermal_zone0/temp", "61342\n"),
            ("devices/platform/soc/soc:firmware/get_throttled", WEAK_SUPPLY),
            ("kernel/debug/clk/fw-clk-arm/clk_rate", "1500000000\n"),
            ("kernel/debug/clk/other/clk_rate", "1\n"),
            ("class/regulator/regulator.1/name", "vdd-sd-io\n"),
            ("class/regulator/regulator.1/microvolts", "1800000\n"),
        ]);
        assert_eq!(
            emitted(|emit| board(root.path(), root.path(), emit)),
            [
                "rpi_info{model=\"Raspberry Pi 4 Model B Rev 1.4\",revision=\"c03114\"} 1",
                "rpi_soc_temperature_celsius{} 61.342",
                "rpi_throttled_flags{} 458757",
                "rpi_under_voltage{} 1",
                "rpi_under_voltage_occurred{} 1",
                "rpi_frequency_capped{} 0",
                "rpi_frequency_capped_occurred{} 1",
                "rpi_throttled{} 1",
                "rpi_throttled_occurred{} 1",
                "rpi_soft_temperature_limit{} 0",
                "rpi_soft_temperature_limit_occurred{} 0",
                "rpi_clock_hertz{clock=\"arm\"} 1500000000",
                "rpi_regulator_volts{regulator=\"vdd-sd-io\"} 1.8",
            ]
        );
    }

    #[test]
    fn a_pi_with_a_mainline_kernel_and_another_machine() {
        let root = tree(&[
            ("device-tree/model", "Raspberry Pi 3 Model B Plus Rev 1.3\0"),
            ("class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ]);
        let lines = emitted(|emit| board(root.path(), root.path(), emit));
        assert_eq!(lines[1..], ["rpi_under_voltage{} 1"]);
        let other =
            tree(&[("device-tree/model", "Pine64 RockPro64 v2.1\0"), ("class/thermal/thermal_zone0/temp", "1\n")]);
        assert!(emitted(|emit| board(other.path(), other.path(), emit)).is_empty());
    }
}
