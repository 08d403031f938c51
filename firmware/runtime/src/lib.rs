//! What the process runs on, real or simulated.
//!
//! Everything that a test must be able to replay from a seed comes in through here as an argument:
//! the clock, randomness, memory budgets and the stop signal. Nothing in this crate knows of metrics,
//! logs or traces, and nothing here touches a file or a socket.
//!
//! * [`Clock`]: wall and monotonic time; [`SystemClock`] in production, [`ManualClock`] in tests.
//! * [`Budgets`]: the one memory cap, divided into named budgets with RAII [`Reservation`]s.
//! * [`allocator`]: a counting global allocator, the truth beside the budgets.
//! * [`Cancel`]: a flag that long work polls, so that a client that goes away stops its query.

pub mod allocator;
mod budget;
mod cancel;
mod clock;
mod rng;

pub use budget::{Budget, BudgetName, Budgets, OverBudget, Reservation};
pub use cancel::Cancel;
pub use clock::{Clock, ManualClock, SystemClock};
pub use rng::Rng;
