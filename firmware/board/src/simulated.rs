//! A board on the bench: its LED is watched, its button pressed, its chip warmed, in simulated time.

use crate::fan::FanCurve;
use crate::hardware::{Feel, Hardware, Light, Rotor, Switch};
use crate::{Actions, Driver, Handle, Health, LedState, Readings, SetupCode, Throttled, Wish};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What can be seen and set from outside.
#[derive(Default)]
struct Bench {
    lit: bool,
    light_broken: bool,
    pressed: bool,
    duty: u8,
    readings: Readings,
    wishes: Vec<Wish>,
    refuses: bool,
}

#[derive(Clone, Default)]
struct Part(Arc<Mutex<Bench>>);

impl Light for Part {
    fn set(&mut self, lit: bool) -> io::Result<()> {
        let mut bench = self.0.lock();
        if bench.light_broken {
            return Err(io::Error::other("burnt"));
        }
        bench.lit = lit;
        Ok(())
    }
}

impl Switch for Part {
    fn is_pressed(&mut self) -> io::Result<bool> {
        Ok(self.0.lock().pressed)
    }

    fn wait(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

impl Rotor for Part {
    fn set(&mut self, percent: u8) -> io::Result<()> {
        self.0.lock().duty = percent;
        Ok(())
    }
}

impl Feel for Part {
    fn read(&mut self) -> Readings {
        self.0.lock().readings
    }
}

impl Actions for Part {
    fn act(&mut self, wish: Wish) -> Result<(), String> {
        let mut bench = self.0.lock();
        bench.wishes.push(wish);
        if bench.refuses { Err("no helper here".to_owned()) } else { Ok(()) }
    }
}

struct Simulation {
    driver: Driver,
    handle: Handle,
    bench: Part,
    now_ms: u64,
    due_ms: u64,
    steps: u64,
}

impl Simulation {
    fn new() -> Self {
        let (bench, handle) = (Part::default(), Handle::default());
        bench.0.lock().readings.celsius = Some(40.0);
        let mut hardware = Hardware::with_sensors(bench.clone());
        assert!(hardware.lights.push(Box::new(bench.clone())).is_ok());
        hardware.button = Some(Box::new(bench.clone()));
        hardware.fan = Some(Box::new(bench.clone()));
        let curve = FanCurve::new(55.0, 75.0).ok();
        let driver = Driver::new(0, hardware, curve, Box::new(bench.clone()), handle.clone());
        handle.update_health(|health| health.is_ready = true);
        Simulation { driver, handle, bench, now_ms: 0, due_ms: 0, steps: 0 }
    }

    /// Something from outside happens: the driver is woken, as by an edge of the line.
    fn now(&mut self, change: impl FnOnce(&mut Bench)) {
        change(&mut self.bench.0.lock());
        self.due_ms = self.now_ms;
    }

    fn health(&mut self, change: impl FnOnce(&mut Health)) {
        self.handle.update_health(change);
        self.due_ms = self.now_ms;
    }

    /// Lets time pass, stepping only when the driver asked for it; returns the light as lengths of lit and dark in turns,
    /// beginning with lit.
    fn watch(&mut self, length_ms: u64) -> Vec<u64> {
        let mut seen = vec![0];
        let mut lit = true;
        for _ in 0..length_ms {
            if self.now_ms >= self.due_ms {
                self.due_ms = self.now_ms + self.driver.step(self.now_ms);
                self.steps += 1;
            }
            if self.bench.0.lock().lit != lit {
                lit = !lit;
                seen.push(0);
            }
            *seen.last_mut().unwrap() += 1;
            self.now_ms += 1;
        }
        seen
    }

    fn press(&mut self, length_ms: u64) {
        self.now(|bench| bench.pressed = true);
        self.watch(length_ms);
        self.now(|bench| bench.pressed = false);
        self.watch(100);
    }

    fn state(&self) -> LedState {
        self.handle.telemetry().state.unwrap()
    }
}

#[test]
fn a_quiet_board_costs_next_to_nothing() {
    let mut board = Simulation::new();
    assert_eq!(board.watch(6000), [60, 2940, 60, 2940]);
    board.steps = 0;
    board.watch(60_000);
    assert!(board.steps <= 80, "{} steps in a minute", board.steps);
}

#[test]
fn the_most_urgent_is_said_first() {
    let mut board = Simulation::new();
    let code = SetupCode::parse("112233").unwrap();
    let mut seen = vec![];
    board.health(|health| {
        *health = Health {
            is_ready: false,
            storage_failing: true,
            hub_unreachable: true,
            overloaded: true,
            updating: true,
            setup_code: Some(code),
        };
    });
    board.bench.0.lock().readings.throttled = Some(Throttled(Throttled::UNDER_VOLTAGE));
    let changes: [fn(&mut Health); 7] = [
        |_| {},
        |health| health.updating = false,
        |health| health.storage_failing = false,
        |health| health.is_ready = true,
        |health| health.setup_code = None,
        |_| {},
        |health| health.hub_unreachable = false,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        board.health(change);
        if i == 5 {
            // The supply is good again; a minute later that is believed.
            board.bench.0.lock().readings.throttled = Some(Throttled(0));
            board.watch(70_000);
        }
        board.watch(3000);
        seen.push(board.state());
    }
    let expected = [
        LedState::Updating,
        LedState::StorageFailing,
        LedState::Booting,
        LedState::Code(code),
        LedState::PowerOrHeat,
        LedState::HubUnreachable,
        LedState::Overloaded,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_short_press_identifies_and_another_ends_it() {
    let mut board = Simulation::new();
    board.watch(1000);
    board.press(200);
    assert_eq!(board.state(), LedState::Identify);
    board.watch(29_000);
    assert_eq!(board.state(), LedState::Identify);
    board.watch(2000);
    assert_eq!(board.state(), LedState::Well);
    board.press(200);
    board.press(200);
    assert_eq!(board.state(), LedState::Well);
    board.handle.identify();
    board.due_ms = board.now_ms;
    board.watch(10);
    assert_eq!(board.state(), LedState::Identify);
}

#[test]
fn a_long_press_shuts_down_and_a_refusal_is_taken_back() {
    let mut board = Simulation::new();
    board.press(5000);
    assert_eq!((board.state(), board.bench.0.lock().wishes.clone()), (LedState::PoweringOff, vec![Wish::PowerOff]));
    // Lit until the power is off.
    assert_eq!(board.watch(5000), [5000]);

    let mut refused = Simulation::new();
    refused.bench.0.lock().refuses = true;
    refused.press(5000);
    refused.watch(3000);
    assert_eq!(refused.state(), LedState::Well);
}

#[test]
fn a_reset_is_held_and_confirmed() {
    let mut board = Simulation::new();
    board.press(12_000);
    assert_eq!((board.state(), board.bench.0.lock().wishes.len()), (LedState::ConfirmReset, 0));
    board.watch(3000);
    board.press(300);
    assert_eq!(board.bench.0.lock().wishes, [Wish::FactoryReset]);
    assert_eq!(board.handle.telemetry().wishes, [0, 0, 1]);

    let mut forgotten = Simulation::new();
    forgotten.press(12_000);
    forgotten.watch(11_000);
    assert_eq!(forgotten.state(), LedState::Well);
    assert!(forgotten.bench.0.lock().wishes.is_empty());
}

#[test]
fn a_bouncing_contact_is_one_press() {
    let mut board = Simulation::new();
    for (pressed, length_ms) in
        [(true, 3), (false, 2), (true, 5), (false, 1), (true, 150), (false, 4), (true, 2), (false, 60)]
    {
        board.now(|bench| bench.pressed = pressed);
        board.watch(length_ms);
    }
    assert_eq!(board.handle.telemetry().wishes, [1, 0, 0]);
}

#[test]
fn the_fan_follows_the_chip() {
    let mut board = Simulation::new();
    let mut seen = vec![];
    for celsius in [40.0, 60.0, 75.0, 72.0, 58.0, 50.0] {
        board.bench.0.lock().readings.celsius = Some(celsius);
        board.watch(5000);
        seen.push(board.bench.0.lock().duty);
    }
    // 72 is within the play of 75; 58 falls to the line of 62, 50 to a stop.
    assert_eq!(seen, [0, 48, 100, 100, 55, 0]);
    board.bench.0.lock().readings.celsius = None;
    board.watch(15_000);
    assert_eq!(board.bench.0.lock().duty, 100);
}

#[test]
fn a_broken_light_is_counted_and_nothing_else_stops() {
    let mut board = Simulation::new();
    board.bench.0.lock().light_broken = true;
    board.watch(6000);
    assert!(board.handle.telemetry().errors >= 3);
    board.press(200);
    assert_eq!(board.handle.telemetry().wishes, [1, 0, 0]);
}

#[test]
fn the_thread_ends_when_told() {
    let (bench, handle) = (Part::default(), Handle::default());
    let driver = Driver::new(0, Hardware::with_sensors(bench.clone()), None, Box::new(bench), handle.clone());
    let thread = driver.spawn().unwrap();
    handle.stop();
    thread.join().unwrap();
}
