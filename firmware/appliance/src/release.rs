//! Which release a slot holds: `release.json` in its directory on the boot partition.

use crate::medium::Medium;
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::io;

const BYTES_MAX: u64 = 4096;

/// A release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// For people.
    pub version: String,
    /// Of the build: two builds of one version differ in it.
    #[serde(default)]
    pub build_id: String,
}

fn name(slot: Slot) -> String {
    format!("{slot}/release.json")
}

impl Release {
    /// What the slot holds; `None` when it does not say.
    pub fn read(medium: &mut dyn Medium, slot: Slot) -> Option<Release> {
        serde_json::from_slice(&medium.read(&name(slot), BYTES_MAX).ok()?).ok()
    }

    /// Says it; durable with the slot's other files.
    ///
    /// # Errors
    /// The medium's.
    pub fn write(&self, medium: &mut dyn Medium, slot: Slot) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        medium.write(&name(slot), &mut &text[..]).map(drop)
    }
}
