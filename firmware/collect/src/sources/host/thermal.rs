//! The kernel's thermal zones and what cools them.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// `node_thermal_zone_temp{zone,type}` and `node_cooling_device_{cur,max}_state{name,type}`.
pub(super) fn zones(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("class/thermal");
    for directory in names(&root) {
        let number = |file: &str| read(&root.join(&directory).join(file)).trim().parse::<f64>().ok();
        let kind = || read(&root.join(&directory).join("type"));
        if let Some(zone) = directory.strip_prefix("thermal_zone")
            && let Some(millidegrees) = number("temp")
        {
            emit.put("node_thermal_zone_temp", &[("zone", zone), ("type", kind().trim())], millidegrees / 1000.0);
        }
        if let Some(device) = directory.strip_prefix("cooling_device") {
            let kind = kind();
            let labels = [("name", device), ("type", kind.trim())];
            for (file, metric) in
                [("cur_state", "node_cooling_device_cur_state"), ("max_state", "node_cooling_device_max_state")]
            {
                if let Some(state) = number(file) {
                    emit.put(metric, &labels, state);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::super::testing::tree;
    use super::*;

    #[test]
    fn a_pi_has_one_of_each() {
        let sys = tree(&[
            ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("class/thermal/thermal_zone0/temp", "48500\n"),
            ("class/thermal/cooling_device0/type", "pwm-fan\n"),
            ("class/thermal/cooling_device0/cur_state", "2\n"),
            ("class/thermal/cooling_device0/max_state", "4\n"),
        ]);
        assert_eq!(
            emitted(|emit| zones(sys.path(), emit)),
            [
                "node_cooling_device_cur_state{name=\"0\",type=\"pwm-fan\"} 2",
                "node_cooling_device_max_state{name=\"0\",type=\"pwm-fan\"} 4",
                "node_thermal_zone_temp{type=\"cpu-thermal\",zone=\"0\"} 48.5",
            ]
        );
    }
}
