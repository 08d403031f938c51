//! What a mechanism's task works with.

use super::group::{Board, TargetGroup};
use super::status::Statuses;
use std::sync::Arc;
use std::time::Duration;

/// Where a mechanism posts what it found, or why it found nothing.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) board: Arc<Board>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) slot: usize,
}

impl Sink {
    /// These are all groups now.
    pub(crate) fn replace(&self, groups: Vec<TargetGroup>) {
        let targets = self.board.replace(self.slot, groups);
        self.statuses.succeeded(self.slot, targets);
    }

    /// These are all groups now, but some are as they were before, for this reason.
    pub(crate) fn replace_partly(&self, groups: Vec<TargetGroup>, error: &str) {
        let targets = self.board.replace(self.slot, groups);
        self.statuses.found(self.slot, targets);
        self.statuses.failed(self.slot, error);
    }

    /// Nothing new; groups stay as they were.
    pub(crate) fn failed(&self, error: &str) {
        self.statuses.failed(self.slot, error);
    }
}

/// Waits between attempts: a second at first, doubled up to a limit, each shortened by up to a half at random so that
/// many clients of one server do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(max: Duration) -> Self {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = clock.map_or(1, |since| since.as_nanos() as u64) | 1;
        Backoff { next: Duration::from_secs(1).min(max), max, random: seed }
    }

    pub(crate) fn reset(&mut self) {
        self.next = Duration::from_secs(1).min(self.max);
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self) -> Duration {
        let current = self.next;
        self.next = (current * 2).min(self.max);
        // xorshift64: no more than spreading is asked of it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        current.mul_f64(0.5 + (self.random % 1000) as f64 / 2000.0)
    }
}
