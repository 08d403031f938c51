//! A tick allocates nothing. A program of its own without test harness, since the allocator counts for the whole process.

#![expect(clippy::unwrap_used, reason = "a test that is a program")]

use bramble_board::{Board, FanCurve, Health, Inputs, Parts, Readings, Sensors, SetupCode, Throttled};
use bramble_runtime::allocator::{Counting, allocations};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting(System);

/// An hour of ticks and readings.
fn main() {
    let sys = tempfile::tempdir().unwrap();
    let zone = sys.path().join("class/thermal/thermal_zone0");
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("temp"), "61342\n").unwrap();
    let sensors = Sensors::open(sys.path());
    let mut board = Board::new(0, Parts { button: Some(false), fan: FanCurve::new(55.0, 75.0).ok() });
    let code = SetupCode::parse("907421");
    let (mut lit, mut wishes) = (0, 0);

    let before = allocations();
    for now_ms in (0..3_600_000).step_by(10) {
        let minute = now_ms / 60_000;
        let health = Health {
            is_ready: minute > 0,
            overloaded: minute % 3 == 0,
            updating: minute % 7 == 0,
            setup_code: code.filter(|_| minute % 2 == 0),
            ..Health::default()
        };
        let mut readings: Readings = if now_ms % 2000 == 0 { sensors.read() } else { Readings::default() };
        readings.throttled = (minute % 5 == 0).then_some(Throttled(Throttled::UNDER_VOLTAGE));
        // A press of four seconds in each minute.
        let outputs = board.tick(now_ms, &Inputs { pressed: Some(now_ms % 60_000 < 4000), readings, health });
        lit += u64::from(outputs.lit);
        wishes += u64::from(outputs.wish.is_some());
    }
    assert_eq!(allocations() - before, 0);
    assert!(lit > 1000 && wishes == 60, "{lit} {wishes}");
}
