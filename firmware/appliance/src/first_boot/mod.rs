//! What people put on the boot partition before the first boot, or any other.
//!
//! Read at every boot, before the network and Bramble start. Nothing that is read is executed, and nothing that is wrong
//! with it stops the boot: it is told, on the console, by `bramble doctor` and in the journal, and the rest is taken.
//!
//! Of each thing the first source that has it counts; networks and keys are taken from all of them:
//!
//! 1. `bramble.toml`: any setting of Bramble, and a section `[appliance]` ([`settings`])
//! 2. `hostname`, `authorized_keys`, `wifi.txt`, `wpa_supplicant.conf`: one thing each ([`single`])
//! 3. `custom.toml`, `firstrun.sh`, `user-data` and `network-config`: what Raspberry Pi Imager writes ([`imager`],
//!    [`firstrun`], [`cloud_init`])
//!
//! What no source has stays as it was set before, on the data partition: the files may be deleted from the card once they
//! were taken. Every file is written whole, synced and renamed; a power cut anywhere means that the next boot does it again.

pub mod cloud_init;
pub mod firstrun;
pub mod imager;
mod outputs;
pub mod settings;
mod shell;
pub mod single;
#[cfg(test)]
mod tests;
pub mod valid;
mod wishes;
pub mod wpa;

pub use outputs::{PROBLEMS_FILE, Written};
pub use wishes::{Interface, Wifi, WifiSecret, Wishes};

use crate::layout::Layout;
use std::fs::{self, File};
use std::io::{self, Read};

/// Present when everything is to be forgotten; below the layout's root.
pub const RESET_FILE: &str = "/data/factory-reset";

/// Longest file that is looked at, bytes.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What was taken, and what is wrong, each a line for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was taken, and from which file. Without secrets.
    pub took: Vec<String>,
    /// What is wrong, where, and what to do about it.
    pub problems: Vec<String>,
}

impl Report {
    pub(crate) fn took(&mut self, from: &str, what: impl AsRef<str>) {
        self.took.push(format!("{from}: {}", what.as_ref()));
    }

    pub(crate) fn problem(&mut self, place: &str, what: impl AsRef<str>) {
        self.problems.push(format!("{place}: {}", what.as_ref()));
    }
}

/// A file of the boot partition as text; also by its name with `.txt`, which some editors add unseen. `None` when there is
/// none, or nothing can be done with it (told).
fn text(layout: &Layout, name: &str, report: &mut Report) -> Option<String> {
    let boot = layout.boot();
    let file =
        [name.to_owned(), format!("{name}.txt")].into_iter().find_map(|name| File::open(boot.join(name)).ok())?;
    let mut bytes = Vec::new();
    if let Err(error) = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes) {
        report.problem(name, format!("cannot be read: {error}"));
        return None;
    }
    match decode(&bytes) {
        Ok(text) => Some(text),
        Err(why) => {
            report.problem(name, why);
            None
        }
    }
}

fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("is longer than 256 KiB and was not read");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is in UTF-16; save it as UTF-8 (in Notepad: Save as, Encoding)");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
    Ok(text.replace("\r\n", "\n"))
}

/// Everything that the boot partition asks for.
pub fn read(layout: &Layout, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    if let Some(text) = text(layout, "bramble.toml", report) {
        wishes.add(settings::parse(&text, report));
    }
    for (name, parse) in single::FILES {
        if let Some(text) = text(layout, name, report) {
            wishes.add(parse(&text, report));
        }
    }
    if let Some(text) = text(layout, "custom.toml", report) {
        wishes.add(imager::parse(&text, report));
    }
    if let Some(text) = text(layout, "firstrun.sh", report) {
        wishes.add(firstrun::parse(&text, report));
    }
    if let Some(text) = text(layout, "user-data", report) {
        wishes.add(cloud_init::parse_user_data(&text, report));
    }
    if let Some(text) = text(layout, "network-config", report) {
        wishes.add(cloud_init::parse_network(&text, report));
    }
    wishes
}

/// Reads the boot partition and writes what it asks for below `/data/etc`. `check` says what is wrong with a whole
/// `bramble.toml`, as Bramble would.
///
/// Never fails: what goes wrong is in the report, which is also kept in [`PROBLEMS_FILE`].
pub fn run(layout: &Layout, check: &dyn Fn(&str) -> Result<(), String>) -> Report {
    let mut report = Report::default();
    if let Err(error) = reset(layout, &mut report) {
        report.problem("factory reset", error.to_string());
    }
    let wishes = read(layout, &mut report);
    outputs::write(layout, &wishes, check, &mut report);
    report
}

/// Forgets everything, if that was asked for. The request goes last: what is cut off is done again.
fn reset(layout: &Layout, report: &mut Report) -> io::Result<()> {
    let flag = layout.path(RESET_FILE);
    if !flag.exists() {
        return Ok(());
    }
    for directory in [layout.data(), layout.etc()] {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        File::open(&directory)?.sync_all()?;
    }
    crate::durable::remove(&flag)?;
    report.took("factory reset", "what was stored and set is gone");
    Ok(())
}
