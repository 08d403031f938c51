//! The kernel's clock: where its time comes from and whether it is right.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// `STA_NANO` and `TIME_ERROR` (adjtimex(2)).
const STATUS_NANOSECONDS: i32 = 0x2000;
const STATE_UNSYNCHRONISED: i32 = 5;
/// Frequencies are in parts per million with 16 bits of fraction.
const FREQUENCY_UNIT: f64 = 65_536e6;
const MICROSECOND: f64 = 1e-6;

/// `node_timex_*`: what NTP has made of the clock.
#[expect(unsafe_code, reason = "adjtimex has no safe wrapper")]
pub(super) fn timex(emit: &mut Emitter<'_>) {
    // SAFETY: timex is plain integers, for which zero is a value; modes of 0 mean that nothing is set.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours and of the size that the C library declares for this call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return;
    }
    // The integers are of different widths on 32 and 64 bits.
    let fields = Timex {
        state,
        status: timex.status,
        offset: timex.offset as f64,
        frequency: timex.freq as f64,
        maxerror: timex.maxerror as f64,
        esterror: timex.esterror as f64,
        constant: timex.constant as f64,
        tick: timex.tick as f64,
        tai: f64::from(timex.tai),
    };
    fields.emit(emit);
}

struct Timex {
    state: i32,
    status: i32,
    offset: f64,
    frequency: f64,
    maxerror: f64,
    esterror: f64,
    constant: f64,
    tick: f64,
    tai: f64,
}

impl Timex {
    fn emit(&self, emit: &mut Emitter<'_>) {
        let unit = if self.status & STATUS_NANOSECONDS != 0 { 1e-9 } else { MICROSECOND };
        let is_synchronised = self.state != STATE_UNSYNCHRONISED;
        emit.put("node_timex_sync_status", &[], f64::from(u8::from(is_synchronised)));
        emit.put("node_timex_status", &[], f64::from(self.status));
        emit.put("node_timex_offset_seconds", &[], self.offset * unit);
        emit.put("node_timex_frequency_adjustment_ratio", &[], 1.0 + self.frequency / FREQUENCY_UNIT);
        emit.put("node_timex_maxerror_seconds", &[], self.maxerror * MICROSECOND);
        emit.put("node_timex_estimated_error_seconds", &[], self.esterror * MICROSECOND);
        emit.put("node_timex_loop_time_constant", &[], self.constant);
        emit.put("node_timex_tick_seconds", &[], self.tick * MICROSECOND);
        emit.put("node_timex_tai_offset_seconds", &[], self.tai);
    }
}

/// `node_time_clocksource_{available,current}_info`.
pub(super) fn sources(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("devices/system/clocksource");
    for directory in names(&root) {
        let Some(device) = directory.strip_prefix("clocksource") else { continue };
        for (file, metric) in [
            ("available_clocksource", "node_time_clocksource_available_info"),
            ("current_clocksource", "node_time_clocksource_current_info"),
        ] {
            for source in read(&root.join(&directory).join(file)).split_ascii_whitespace() {
                emit.put(metric, &[("clocksource", source), ("device", device)], 1.0);
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
    fn units_follow_the_status() {
        let timex = Timex {
            state: 0,
            status: 0x2001,
            offset: 2_000_000.0,
            frequency: 65_536.0 * 100.0,
            maxerror: 500_000.0,
            esterror: 10.0,
            constant: 7.0,
            tick: 10_000.0,
            tai: 37.0,
        };
        let lines = emitted(|emit| timex.emit(emit));
        for line in [
            "node_timex_sync_status{} 1",
            "node_timex_offset_seconds{} 0.002",
            "node_timex_frequency_adjustment_ratio{} 1.0001",
            "node_timex_maxerror_seconds{} 0.5",
            "node_timex_tick_seconds{} 0.01",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
        }
        let unsynchronised = Timex { state: 5, status: 0x40, offset: 2.0, ..timex };
        let lines = emitted(|emit| unsynchronised.emit(emit));
        assert_eq!(lines[0], "node_timex_sync_status{} 0");
        assert_eq!(lines[2], "node_timex_offset_seconds{} 0.000002");
        assert!(emitted(super::timex).len() >= 9, "this machine has a clock");
    }

    #[test]
    fn clock_sources() {
        let files = [
            ("devices/system/clocksource/clocksource0/available_clocksource", "arch_sys_counter other \n"),
            ("devices/system/clocksource/clocksource0/current_clocksource", "arch_sys_counter\n"),
        ];
        let sys = tree(&files);
        let lines = emitted(|emit| sources(sys.path(), emit));
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2], "node_time_clocksource_current_info{clocksource=\"arch_sys_counter\",device=\"0\"} 1");
    }
}
