//! Which of the two slots boots.
//!
//! Two files on the boot partition decide, both changed only in place, a sector at a time:
//!
//! * `config.txt`, read by the firmware: `os_prefix=A/` or `os_prefix=B/`, of which one byte is overwritten ([`config_txt`]);
//! * `bootstate`, read by the initramfs and by us: which slot was committed, which is tried and how often still
//!   ([`BootState`]).
//!
//! The way of an update, and who takes each step:
//!
//! ```text
//!  install   bad=other ─▶ other slot written, read back ─▶ other/ready        (a cut: the other slot is known to be bad)
//!  restart   trying=other tries_left=3 ─▶ config.txt or tryboot.txt ─▶ reboot (a cut: back to the committed one)
//!  initramfs tries_left-1 each boot; at 0 config.txt back, bad=other, reboot  (rules.rs, slot.sh)
//!  commit    config.txt ─▶ slot=own trying= bad=                              (a cut: tried once more)
//! ```
//!
//! `config.txt` always goes before `bootstate`, so that what is cut off between the two is a trial, which ends by itself.

mod change;
pub mod config_txt;
#[cfg(test)]
mod power_cut_tests;
pub mod rules;
#[cfg(test)]
mod script_tests;
mod state;

pub use change::{Mechanism, commit, give_up_inactive, is_ready, load, mark_ready, prepare_restart};
pub use state::{BOOTSTATE_BYTES, BootState, TRIES};

use serde::{Deserialize, Serialize};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Slot; 2] = [Slot::A, Slot::B];

    /// The one that is not this one.
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// `A` or `B`: its directory on the boot partition, too.
    pub fn name(self) -> &'static str {
        match self {
            Slot::A => "A",
            Slot::B => "B",
        }
    }

    /// The slot of that name.
    pub fn named(name: &str) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| slot.name() == name)
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
