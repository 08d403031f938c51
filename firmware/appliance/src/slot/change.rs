//! The changes that the running system makes. Each is safe to be cut off anywhere (`power_cut_tests`).

use super::config_txt::{self, CONFIG_BYTES_MAX};
use super::{BOOTSTATE_BYTES, BootState, Slot, TRIES};
use crate::medium::Medium;
use std::io;

const BOOTSTATE: &str = "bootstate";
const CONFIG: &str = "config.txt";
const TRYBOOT: &str = "tryboot.txt";

/// How the firmware is told to try the other slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// For one boot, by `tryboot.txt` and an argument of the reboot: Raspberry Pi 4 and later. Falls back even when the
    /// new kernel does not start.
    Tryboot,
    /// By `config.txt` itself: all others. Falls back from the initramfs on.
    Flip,
}

impl Mechanism {
    /// What the board of this name (of its device tree) can do, with a kernel that hands a reboot's argument on.
    ///
    /// Source: Raspberry Pi documentation, "tryboot": Pi 4 and later, with a bootloader of 2020 or later; an older one
    /// ignores the argument, boots the committed slot, and the update is given up.
    pub fn of_model(model: &str) -> Mechanism {
        let family = model.strip_prefix("Raspberry Pi ").unwrap_or_default();
        let family = family.strip_prefix("Compute Module ").unwrap_or(family);
        match family.as_bytes() {
            [b'4' | b'5', ..] => Mechanism::Tryboot,
            _ => Mechanism::Flip,
        }
    }

    /// Argument of the reboot.
    pub fn reboot_argument(self) -> Option<&'static str> {
        match self {
            Mechanism::Tryboot => Some("0 tryboot"),
            Mechanism::Flip => None,
        }
    }
}

/// What `bootstate` says; when it cannot be read, that `own` runs and was committed: the next change mends it.
///
/// # Errors
/// The medium's.
pub fn load(medium: &mut dyn Medium, own: Slot) -> io::Result<BootState> {
    let bytes = match medium.read(BOOTSTATE, BOOTSTATE_BYTES as u64 + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(BootState::decode(&bytes).unwrap_or(BootState::settled(own)))
}

fn store(medium: &mut dyn Medium, state: &BootState) -> io::Result<()> {
    match medium.overwrite(BOOTSTATE, 0, &state.encode()) {
        // Someone removed it from the card: made anew, and not in one piece, but without it the firmware's choice boots.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            medium.write(BOOTSTATE, &mut &state.encode()[..])?;
            medium.sync_files()
        }
        other => other,
    }
}

fn no_prefix() -> io::Error {
    io::Error::other(
        "config.txt on the boot partition has no line os_prefix=A/ or os_prefix=B/; put it back to switch slots",
    )
}

fn point(medium: &mut dyn Medium, slot: Slot) -> io::Result<()> {
    let config = medium.read(CONFIG, CONFIG_BYTES_MAX)?;
    match config_txt::find(&config).ok_or_else(no_prefix)? {
        (_, now) if now == slot => Ok(()),
        (at, _) => medium.overwrite(CONFIG, at as u64, slot.name().as_bytes()),
    }
}

fn ready_file(slot: Slot) -> String {
    format!("{slot}/ready")
}

/// Says that the slot which does not run is not to be booted, before anything in it changes; returns which it is.
///
/// # Errors
/// The medium's, or that a trial of the other slot is under way.
pub fn give_up_inactive(medium: &mut dyn Medium, own: Slot) -> io::Result<Slot> {
    let state = load(medium, own)?;
    if state.slot != own {
        let why = format!("slot {own} is on trial: wait until it is committed (bramble appliance commit) or given up");
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
    }
    let other = own.other();
    store(medium, &BootState { bad: Some(other), ..BootState::settled(own) })?;
    Ok(other)
}

/// Says that the slot which does not run is complete and waits for a restart. Everything in it must be durable.
///
/// # Errors
/// The medium's.
pub fn mark_ready(medium: &mut dyn Medium, own: Slot) -> io::Result<()> {
    medium.write(&ready_file(own.other()), &mut &b"complete; starts with: bramble appliance reboot\n"[..])?;
    medium.sync_files()?;
    store(medium, &BootState::settled(own))
}

/// Whether the slot which does not run waits for a restart.
///
/// # Errors
/// The medium's.
pub fn is_ready(medium: &mut dyn Medium, own: Slot) -> io::Result<bool> {
    let state = load(medium, own)?;
    if state != BootState::settled(own) {
        return Ok(false);
    }
    match medium.read(&ready_file(own.other()), 4096) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the next reboot a trial of the other slot, if one waits; returns the argument that this reboot needs.
///
/// # Errors
/// The medium's, and a `config.txt` without our line. The next boot is the committed slot's then.
pub fn prepare_restart(medium: &mut dyn Medium, own: Slot, mechanism: Mechanism) -> io::Result<Option<&'static str>> {
    if !is_ready(medium, own)? {
        return Ok(None);
    }
    let other = own.other();
    let config = medium.read(CONFIG, CONFIG_BYTES_MAX)?;
    let tried = config_txt::with_slot(&config, other).ok_or_else(no_prefix)?;
    if mechanism == Mechanism::Tryboot {
        medium.write(TRYBOOT, &mut &tried[..])?;
    }
    // Before the trial is armed: a slot that was given up, or is committed later, must not look as if it waited.
    medium.remove(&ready_file(other))?;
    medium.sync_files()?;
    store(medium, &BootState { trying: Some(other), tries_left: TRIES, ..BootState::settled(own) })?;
    if mechanism == Mechanism::Flip {
        point(medium, other)?;
    }
    Ok(mechanism.reboot_argument())
}

/// Makes `own`, which runs, what is booted from now on; returns whether anything had to change.
///
/// # Errors
/// The medium's. The trial goes on then.
pub fn commit(medium: &mut dyn Medium, own: Slot) -> io::Result<bool> {
    let state = load(medium, own)?;
    if state.slot == own && state.trying.is_none() {
        return Ok(false);
    }
    point(medium, own)?;
    store(medium, &BootState::settled(own))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_with_tryboot() {
        for model in [
            "Raspberry Pi 4 Model B Rev 1.5",
            "Raspberry Pi 5 Model B",
            "Raspberry Pi Compute Module 4 Rev 1.0",
            "Raspberry Pi 400 Rev 1.0",
        ] {
            assert_eq!(Mechanism::of_model(model), Mechanism::Tryboot, "{model}");
        }
        for model in
            ["Raspberry Pi 3 Model B Plus Rev 1.3", "Raspberry Pi Zero 2 W Rev 1.0", "linux,dummy-virt", "", "4"]
        {
            assert_eq!(Mechanism::of_model(model), Mechanism::Flip, "{model}");
        }
    }
}
