//! What is said over the helper's socket.

use crate::install::{Phase, Progress};
use crate::release::Release;
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest request or answer, bytes.
pub(super) const LINE_BYTES_MAX: u64 = 16 << 10;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// How things are: a [`Status`].
    Status,
    /// Install the bundle that follows.
    Update {
        /// Its length; without it, it ends with the connection's writing side.
        #[serde(default)]
        bytes: Option<u64>,
    },
    /// Restart; into the other slot if it waits.
    Reboot,
    /// Shut down.
    Poweroff,
    /// Forget everything that was stored and set, and restart.
    FactoryReset,
    /// Keep the slot that runs, without a further look at it.
    Commit,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It goes on.
    Progress(Progress),
    /// It is done; what was asked for.
    Done(serde_json::Value),
    /// It was not done, and why.
    Error(String),
}

/// Where an update is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateState {
    /// What is being done.
    pub state: Phase,
    /// Of this phase, bytes.
    pub bytes_done: u64,
    /// Of how many; 0 when that is not known.
    pub bytes_total: u64,
    /// For people; empty when there is nothing to say.
    pub message: String,
}

impl Default for UpdateState {
    fn default() -> Self {
        UpdateState { state: Phase::Idle, bytes_done: 0, bytes_total: 0, message: String::new() }
    }
}

impl From<Progress> for UpdateState {
    fn from(progress: Progress) -> Self {
        let Progress { phase, bytes_done, bytes_total } = progress;
        UpdateState { state: phase, bytes_done, bytes_total, message: String::new() }
    }
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The slot that runs.
    pub slot: Slot,
    /// The slot that is booted when nothing else is said.
    pub committed: Slot,
    /// On trial.
    pub trying: Option<Slot>,
    /// Boots left for it.
    pub tries_left: u8,
    /// Failed last, or half written.
    pub bad: Option<Slot>,
    /// What each slot holds, as far as it says.
    pub slots: BTreeMap<String, Option<Release>>,
    /// The board.
    pub model: String,
    /// Where an update is.
    pub update: UpdateState,
}
