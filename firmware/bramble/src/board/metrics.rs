//! The board on `/metrics`.

use bramble_board::{Handle, Identity, LedState, Wish};
use prometheus::core::{Collector, Desc};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, proto};

/// Reads the board's telemetry when `/metrics` is asked for; what it does not know is left out.
pub(super) struct BoardMetrics {
    handle: Handle,
    info: IntGauge,
    celsius: Gauge,
    flags: IntGauge,
    fan_duty: Gauge,
    led_state: IntGaugeVec,
    button: IntCounterVec,
    errors: IntCounter,
}

impl BoardMetrics {
    /// Metrics of the board behind `handle`.
    ///
    /// # Errors
    /// When a name is not well formed; none is.
    pub(super) fn new(handle: Handle, identity: &Identity) -> Result<Self, prometheus::Error> {
        let info = Opts::new("bramble_board_info", "Which board this is.")
            .const_label("model", &identity.model)
            .const_label("revision", &identity.revision)
            .const_label("family", identity.family.as_str());
        let info = IntGauge::with_opts(info)?;
        info.set(1);
        let led_state = Opts::new("bramble_board_led_state", "What the status LED says: 1 for that, 0 for the others.");
        let button = Opts::new("bramble_board_button_total", "What was asked for with the button.");
        Ok(BoardMetrics {
            handle,
            info,
            celsius: Gauge::new("bramble_board_temperature_celsius", "Temperature of the system on chip.")?,
            flags: IntGauge::new(
                "bramble_board_throttled_flags",
                "Throttling flags of the firmware; bit 0 is under-voltage now.",
            )?,
            fan_duty: Gauge::new("bramble_board_fan_duty_ratio", "Duty of the fan at a GPIO, 0 to 1.")?,
            led_state: IntGaugeVec::new(led_state, &["state"])?,
            button: IntCounterVec::new(button, &["action"])?,
            errors: IntCounter::new(
                "bramble_board_errors_total",
                "Reads and writes of LED, button and fan that failed.",
            )?,
        })
    }
}

impl Collector for BoardMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let parts: [&dyn Collector; 7] =
            [&self.info, &self.celsius, &self.flags, &self.fan_duty, &self.led_state, &self.button, &self.errors];
        parts.into_iter().flat_map(|part| part.desc()).collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let telemetry = self.handle.telemetry();
        let said = telemetry.state.map(LedState::index);
        for (i, name) in LedState::NAMES.iter().enumerate() {
            self.led_state.with_label_values(&[name]).set(i64::from(said == Some(i)));
        }
        for (wish, count) in Wish::ALL.iter().zip(telemetry.wishes) {
            let shown = self.button.with_label_values(&[wish.as_str()]);
            shown.inc_by(count.saturating_sub(shown.get()));
        }
        self.errors.inc_by(telemetry.errors.saturating_sub(self.errors.get()));
        let mut families: Vec<_> =
            [self.info.collect(), self.led_state.collect(), self.button.collect(), self.errors.collect()]
                .into_iter()
                .flatten()
                .collect();
        if let Some(celsius) = telemetry.readings.celsius {
            self.celsius.set(celsius);
            families.extend(self.celsius.collect());
        }
        if let Some(flags) = telemetry.readings.throttled {
            self.flags.set(i64::from(flags.0));
            families.extend(self.flags.collect());
        }
        if let Some(percent) = telemetry.fan_percent {
            self.fan_duty.set(f64::from(percent) / 100.0);
            families.extend(self.fan_duty.collect());
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_board::Family;
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn what_is_not_known_is_left_out() {
        let identity = Identity {
            model: "Raspberry Pi 4 Model B Rev 1.4".into(),
            revision: "c03114".into(),
            family: Family::Pi4,
            memory_mib: Some(4096),
        };
        let registry = Registry::new();
        registry.register(Box::new(BoardMetrics::new(Handle::default(), &identity).unwrap())).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains(
            "bramble_board_info{family=\"pi4\",model=\"Raspberry Pi 4 Model B Rev 1.4\",revision=\"c03114\"} 1"
        ));
        assert!(text.contains("bramble_board_led_state{state=\"well\"} 0"));
        assert!(text.contains("bramble_board_button_total{action=\"poweroff\"} 0"));
        assert!(!text.contains("celsius") && !text.contains("fan_duty") && !text.contains("throttled"), "{text}");
    }
}
