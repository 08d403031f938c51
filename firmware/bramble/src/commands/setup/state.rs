//! What set-up has done so far, on disk before it is done: an interrupted run goes on, and teardown knows what was here before.

use super::host::{Host, Owner};
use super::step::Step;
use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Readable by root alone, since it has the settings file as it was, which may hold tokens; and below /etc, not in the data
/// directory, whose owner is not root: teardown removes what it names.
const FILE: &str = "/etc/bramble/setup.json";

/// One step that was begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// What it was.
    pub(super) step: Step,
    /// Whether it changed something; otherwise everything was there.
    pub(super) made: bool,
    /// A file's text before; `None` when there was no file, or it is no file that is changed.
    pub(super) before: Option<String>,
    /// That file's text afterwards.
    pub(super) after: Option<String>,
}

/// All steps that were begun, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) entries: Vec<Entry>,
}

impl State {
    /// As it is on disk; empty when there was no set-up.
    ///
    /// # Errors
    /// It cannot be read (only root may), or is not of this program.
    pub(super) fn load(host: &Host) -> anyhow::Result<State> {
        match host.read(FILE)? {
            None => Ok(State::default()),
            Some(text) => {
                serde_json::from_str(&text).with_context(|| format!("{FILE} is not what bramble setup wrote"))
            }
        }
    }

    pub(super) fn save(&self, host: &Host) -> anyhow::Result<()> {
        host.write(FILE, serde_json::to_string_pretty(self)?.as_bytes(), 0o600, Owner::Root)
    }

    /// Forgets everything, also on disk.
    pub(super) fn remove(host: &Host) -> anyhow::Result<()> {
        host.remove(FILE)?;
        host.remove_if_empty("/etc/bramble");
        Ok(())
    }

    /// The entry of a step with this name.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.step.name() == name)
    }

    /// Forgets one step.
    pub(super) fn forget(&mut self, name: &str) {
        self.entries.retain(|entry| entry.step.name() != name);
    }
}
