//! Lets the board see and touch the world.

use crate::board::{Board, Inputs, Parts};
use crate::button::Wish;
use crate::fan::FanCurve;
use crate::hardware::Hardware;
use crate::health::Health;
use crate::led::LedState;
use crate::sensors::Readings;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often sensors are read.
const READ_MS: u64 = 2000;
/// While we listen to the button we do not hear of new health; it is looked at this often.
const LISTEN_MS_MAX: u64 = 250;

/// Who does what somebody asked for with the button.
pub trait Actions: Send {
    /// Does what is wished, or sees to it. Called on the board's thread: may take some seconds, during which the light stands still.
    ///
    /// # Errors
    /// Why it cannot be done, for people.
    fn act(&mut self, wish: Wish) -> Result<(), String>;
}

/// What the board last saw and did, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telemetry {
    /// What the sensors say.
    pub readings: Readings,
    /// What the LED says; `None` before the first tick.
    pub state: Option<LedState>,
    /// Duty of the fan in percent, if there is one.
    pub fan_percent: Option<u8>,
    /// How often each of [`Wish::ALL`] was made.
    pub wishes: [u64; 3],
    /// Writes to LED or fan, and reads of the button, that failed.
    pub errors: u64,
}

#[derive(Default)]
struct Shared {
    health: Health,
    telemetry: Telemetry,
    identify: bool,
    stopping: bool,
}

/// Tells the board how Bramble does, and asks it how it does itself. Cheap to clone.
#[derive(Clone, Default)]
pub struct Handle(Arc<(Mutex<Shared>, Condvar)>);

impl Handle {
    /// Changes what the board knows of Bramble's health.
    pub fn update_health(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.0.0.lock().health);
        self.0.1.notify_all();
    }

    /// Shows for half a minute which device this is.
    pub fn identify(&self) {
        self.0.0.lock().identify = true;
        self.0.1.notify_all();
    }

    /// What the board last saw and did.
    pub fn telemetry(&self) -> Telemetry {
        self.0.0.lock().telemetry
    }

    /// Lets the driver end within a quarter of a second; LED and fan are then as others left them.
    pub fn stop(&self) {
        self.0.0.lock().stopping = true;
        self.0.1.notify_all();
    }

    fn is_stopping(&self) -> bool {
        self.0.0.lock().stopping
    }

    /// Waits until something is told, at most `timeout`.
    fn wait(&self, timeout: Duration) {
        let mut shared = self.0.0.lock();
        if !shared.stopping && !shared.identify {
            self.0.1.wait_for(&mut shared, timeout);
        }
    }
}

/// A board with its parts.
pub struct Driver {
    board: Board,
    hardware: Hardware,
    actions: Box<dyn Actions>,
    handle: Handle,
    telemetry: Telemetry,
    /// What LEDs and fan were last told, successfully or not.
    lit: Option<bool>,
    read_due_ms: u64,
}

impl Driver {
    /// Puts a board together, at time `now_ms` of the clock that steps will be given.
    pub fn new(
        now_ms: u64,
        mut hardware: Hardware,
        fan: Option<FanCurve>,
        actions: Box<dyn Actions>,
        handle: Handle,
    ) -> Self {
        let button = hardware.button.as_mut().map(|button| button.is_pressed().unwrap_or(false));
        let parts = Parts { button, fan: fan.filter(|_| hardware.fan.is_some()) };
        let telemetry = Telemetry::default();
        Driver {
            board: Board::new(now_ms, parts),
            hardware,
            actions,
            handle,
            telemetry,
            lit: None,
            read_due_ms: now_ms,
        }
    }

    /// Looks, decides and acts once. Returns for how long nothing happens by itself, in milliseconds, at least 1.
    pub fn step(&mut self, now_ms: u64) -> u64 {
        if now_ms >= self.read_due_ms {
            self.telemetry.readings = self.hardware.sensors.read();
            self.read_due_ms = now_ms + READ_MS;
        }
        let (health, identify) = {
            let mut shared = self.handle.0.0.lock();
            (shared.health, std::mem::take(&mut shared.identify))
        };
        if identify {
            self.board.identify(now_ms);
        }
        let pressed = self.hardware.button.as_mut().and_then(|button| match button.is_pressed() {
            Ok(pressed) => Some(pressed),
            Err(_) => {
                self.telemetry.errors += 1;
                None
            }
        });
        let inputs = Inputs { pressed, readings: self.telemetry.readings, health };
        let outputs = self.board.tick(now_ms, &inputs);
        self.light(outputs.lit);
        self.turn(outputs.fan_percent);
        self.telemetry.state = Some(outputs.state);
        if let Some(wish) = outputs.wish {
            self.act(wish);
        }
        self.handle.0.0.lock().telemetry = self.telemetry;
        outputs.due_ms.saturating_sub(now_ms).max(1)
    }

    fn light(&mut self, lit: bool) {
        if self.lit == Some(lit) {
            return;
        }
        self.lit = Some(lit);
        let failed = self.hardware.lights.iter_mut().filter_map(|light| light.set(lit).err()).count();
        self.telemetry.errors += failed as u64;
    }

    fn turn(&mut self, percent: Option<u8>) {
        let (Some(fan), Some(percent)) = (&mut self.hardware.fan, percent) else { return };
        if self.telemetry.fan_percent != Some(percent) {
            self.telemetry.errors += u64::from(fan.set(percent).is_err());
            self.telemetry.fan_percent = Some(percent);
        }
    }

    fn act(&mut self, wish: Wish) {
        let index = Wish::ALL.iter().position(|known| *known == wish);
        if let Some(count) = index.and_then(|index| self.telemetry.wishes.get_mut(index)) {
            *count += 1;
        }
        tracing::info!(wish = wish.as_str(), "button");
        if let Err(why) = self.actions.act(wish) {
            tracing::error!(wish = wish.as_str(), why, "what was asked for with the button cannot be done");
            self.board.wish_failed();
        }
    }

    /// Runs on a thread of its own until [`Handle::stop`].
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn spawn(mut self) -> std::io::Result<JoinHandle<()>> {
        let began = Instant::now();
        let work = move || {
            while !self.handle.is_stopping() {
                let wait_ms = self.step(began.elapsed().as_millis() as u64);
                self.wait(wait_ms);
            }
        };
        std::thread::Builder::new().name("bramble-board".into()).spawn(work)
    }

    fn wait(&mut self, wait_ms: u64) {
        let listening = match &mut self.hardware.button {
            Some(button) => button.wait(Duration::from_millis(wait_ms.min(LISTEN_MS_MAX))).is_ok(),
            None => false,
        };
        if !listening {
            // A button that cannot be waited for is asked now and then.
            let wait_ms = if self.hardware.button.is_some() { wait_ms.min(LISTEN_MS_MAX) } else { wait_ms };
            self.handle.wait(Duration::from_millis(wait_ms));
        }
    }
}
