//! The Raspberry Pi as a board: a status LED that speaks, a button, a fan, temperature and voltage.
//!
//! Who acts: [`Board`] decides, [`Driver`] lets it see and touch the world, [`Hardware`] is that world.
//!
//! * [`Board`] is a state machine without clock, file or thread: each [`tick`](Board::tick) takes the time, the button's
//!   level, what the sensors say and how the rest of Bramble does ([`Health`]), and returns whether the LED is lit, how fast the
//!   fan turns, what somebody asked for with the button, and when it wants to be asked again. A tick allocates nothing.
//! * [`Driver`] reads and writes the parts that are there, on a thread of its own. Absent parts are fine: a board without LED, button
//!   and fan is one whose temperature is read now and then. On other machines nothing is started at all.
//! * [`Hardware`] finds the parts: LEDs of `/sys/class/leds`, lines of the GPIO character device, hardware PWM through rppal.
//!
//! Lines go through the character device rather than through rppal, because rppal maps the GPIO's registers from
//! `/dev/gpiomem`, which only Raspberry Pi's own kernel has; the image runs Debian's. rppal serves for PWM, which is sysfs on
//! both. sysinfo is not used: the kernel's files say all that is asked here.
//!
//! Left to others: what becomes of a wish ([`Actions`]), the Pi 5's fan header (the kernel's), the hardware watchdog
//! (systemd's), host metrics (`collect`, which reads its sensors through [`Sensors`]).
//!
//! What it says by light stands in docs/board.md; the table there is checked against [`LedState`].

mod board;
mod button;
mod debounce;
mod driver;
mod fan;
pub mod hardware;
mod health;
mod led;
mod model;
mod sensors;
#[cfg(test)]
mod simulated;

pub use board::{Board, Inputs, Outputs, Parts};
pub use button::{CANCEL_MS, CONFIRM_MS, RESET_MS, SHUTDOWN_MS, STUCK_MS, Wish};
pub use debounce::{Debouncer, SETTLE_MS};
pub use driver::{Actions, Driver, Handle, Telemetry};
pub use fan::{Fan, FanCurve, InvalidCurve};
pub use hardware::Hardware;
pub use health::{Health, SetupCode};
pub use led::{LedState, Waveform};
pub use model::{Family, Identity};
pub use sensors::{Readings, Sensors, Throttled};
