//! Sensor chips: temperatures, voltages, currents, fans, power. Names and units as node_exporter has them.
//!
//! Source: kernel `Documentation/hwmon/sysfs-interface.rst`.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// Kind of sensor, factor to the base unit, unit at the end of the name.
const KINDS: [(&str, f64, &str); 6] = [
    ("temp", 0.001, "_celsius"),
    ("in", 0.001, "_volts"),
    ("curr", 0.001, "_amps"),
    ("fan", 1.0, "_rpm"),
    ("power", 1e-6, "_watt"),
    ("energy", 1e-6, "_joule_total"),
];

/// Values that are read at most: a large board's chips have a few hundred files.
const VALUES_MAX: usize = 256;

/// `node_hwmon_*{chip,sensor}`. The chip is named after its device as node_exporter does (`<parent>_<device>`), or after the
/// driver where there is no device.
pub(super) fn hwmon(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("class/hwmon");
    let mut values = 0;
    for directory in names(&root) {
        let path = root.join(&directory);
        let name = read(&path.join("name"));
        let chip = chip_name(&path).unwrap_or_else(|| clean(name.trim()));
        let chip = if chip.is_empty() { directory.clone() } else { chip };
        emit.put("node_hwmon_chip_names", &[("chip", &chip), ("chip_name", &clean(name.trim()))], 1.0);
        for file in names(&path) {
            if values >= VALUES_MAX {
                return;
            }
            if value(&path, &file, &chip, emit).is_some() {
                values += 1;
            }
        }
    }
}

fn value(path: &Path, file: &str, chip: &str, emit: &mut Emitter<'_>) -> Option<()> {
    if let Some(number) = file.strip_prefix("pwm").filter(|number| is_number(number)) {
        let value: f64 = read(&path.join(file)).trim().parse().ok()?;
        emit.put("node_hwmon_pwm", &[("chip", chip), ("sensor", &format!("pwm{number}"))], value);
        return Some(());
    }
    let (sensor, element) = file.split_once('_')?;
    let kind = sensor.trim_end_matches(|c: char| c.is_ascii_digit());
    let (kind, factor, unit) = KINDS.into_iter().find(|(known, ..)| *known == kind && kind.len() < sensor.len())?;
    let labels = [("chip", chip), ("sensor", sensor)];
    if element == "label" {
        let label = read(&path.join(file));
        emit.put("node_hwmon_sensor_label", &[labels[0], labels[1], ("label", label.trim())], 1.0);
        return Some(());
    }
    let value: f64 = read(&path.join(file)).trim().parse().ok()?;
    // Alarms and faults are flags.
    let factor = if element.ends_with("alarm") || element == "fault" { 1.0 } else { factor };
    let name = match element {
        "input" => format!("node_hwmon_{kind}{unit}"),
        "alarm" | "fault" | "beep" => format!("node_hwmon_{kind}_{element}"),
        _ => format!("node_hwmon_{kind}_{element}{unit}"),
    };
    emit.put(&name, &labels, value * factor);
    Some(())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn chip_name(path: &Path) -> Option<String> {
    let device = std::fs::canonicalize(path.join("device")).ok()?;
    let parent = device.parent()?.file_name()?.to_string_lossy().into_owned();
    Some(format!("{}_{}", clean(&parent), clean(&device.file_name()?.to_string_lossy())))
}

/// Lower-case letters, digits and underscores, as in a metric's name.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::super::testing::tree;
    use super::*;

    #[test]
    fn chips_of_a_pi_5() {
        let sys = tree(&[
            ("class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("class/hwmon/hwmon0/temp1_input", "49000\n"),
            ("class/hwmon/hwmon0/temp1_crit", "110000\n"),
            ("class/hwmon/hwmon0/temp2_input", "broken\n"),
            ("class/hwmon/hwmon1/name", "pwmfan\n"),
            ("class/hwmon/hwmon1/fan1_input", "2900\n"),
            ("class/hwmon/hwmon1/pwm1", "75\n"),
            ("class/hwmon/hwmon1/pwm1_enable", "1\n"),
            ("class/hwmon/hwmon2/name", "rpi_volt\n"),
            ("class/hwmon/hwmon2/in0_lcrit_alarm", "1\n"),
            ("class/hwmon/hwmon3/in1_input", "1500\n"),
            ("class/hwmon/hwmon3/in1_label", "core\n"),
            ("class/hwmon/hwmon3/power1_average", "2500000\n"),
            ("class/hwmon/hwmon3/uevent", "\n"),
        ]);
        let lines = emitted(|emit| hwmon(sys.path(), emit));
        for line in [
            r#"node_hwmon_chip_names{chip="cpu_thermal",chip_name="cpu_thermal"} 1"#,
            r#"node_hwmon_temp_celsius{chip="cpu_thermal",sensor="temp1"} 49"#,
            r#"node_hwmon_temp_crit_celsius{chip="cpu_thermal",sensor="temp1"} 110"#,
            r#"node_hwmon_fan_rpm{chip="pwmfan",sensor="fan1"} 2900"#,
            r#"node_hwmon_pwm{chip="pwmfan",sensor="pwm1"} 75"#,
            r#"node_hwmon_in_lcrit_alarm_volts{chip="rpi_volt",sensor="in0"} 1"#,
            r#"node_hwmon_in_volts{chip="hwmon3",sensor="in1"} 1.5"#,
            r#"node_hwmon_sensor_label{chip="hwmon3",label="core",sensor="in1"} 1"#,
            r#"node_hwmon_power_average_watt{chip="hwmon3",sensor="power1"} 2.5"#,
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        }
        assert_eq!(lines.len(), 12);
    }
}
