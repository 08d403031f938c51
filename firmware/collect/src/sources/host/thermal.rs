//! Temperatures: sensor chips and the kernel's thermal zones.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// `node_hwmon_temp_celsius{chip,sensor}`. The chip is named after its device as node_exporter does
/// (`<parent>_<device>`), or after the driver where there is no device.
pub(super) fn hwmon(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("class/hwmon");
    for directory in names(&root) {
        let path = root.join(&directory);
        let name = read(&path.join("name"));
        let chip = chip_name(&path).unwrap_or_else(|| clean(name.trim()));
        let chip = if chip.is_empty() { directory.clone() } else { chip };
        emit.put("node_hwmon_chip_names", &[("chip", &chip), ("chip_name", &clean(name.trim()))], 1.0);
        for file in names(&path) {
            let Some(sensor) = file.strip_suffix("_input").filter(|sensor| sensor.starts_with("temp")) else {
                continue;
            };
            if let Ok(millidegrees) = read(&path.join(&file)).trim().parse::<f64>() {
                let labels = [("chip", chip.as_str()), ("sensor", sensor)];
                emit.put("node_hwmon_temp_celsius", &labels, millidegrees / 1000.0);
            }
        }
    }
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

/// `node_thermal_zone_temp{zone,type}`.
pub(super) fn zones(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("class/thermal");
    for directory in names(&root) {
        let Some(zone) = directory.strip_prefix("thermal_zone") else { continue };
        let kind = read(&root.join(&directory).join("type"));
        if let Ok(millidegrees) = read(&root.join(&directory).join("temp")).trim().parse::<f64>() {
            emit.put("node_thermal_zone_temp", &[("zone", zone), ("type", kind.trim())], millidegrees / 1000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn a_pi_has_one_of_each() {
        let sys = tempfile::tempdir().unwrap();
        let zone = sys.path().join("class/thermal/thermal_zone0");
        let chip = sys.path().join("class/hwmon/hwmon0");
        for directory in [&zone, &chip] {
            std::fs::create_dir_all(directory).unwrap();
        }
        std::fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
        std::fs::write(zone.join("temp"), "48500\n").unwrap();
        std::fs::write(chip.join("name"), "cpu_thermal\n").unwrap();
        std::fs::write(chip.join("temp1_input"), "49000\n").unwrap();
        std::fs::write(chip.join("temp2_input"), "broken\n").unwrap();
        assert_eq!(
            emitted(|emit| zones(sys.path(), emit)),
            ["node_thermal_zone_temp{type=\"cpu-thermal\",zone=\"0\"} 48.5"]
        );
        let lines = emitted(|emit| hwmon(sys.path(), emit));
        assert_eq!(lines[1], "node_hwmon_temp_celsius{chip=\"cpu_thermal\",sensor=\"temp1\"} 49");
        assert_eq!(lines.len(), 2);
    }
}
