//! An entry after each stage, for people who look at what their pipeline does.

use super::chain::Flow;
use super::counts::Told;
use super::entry::Entry;

/// What became of an entry at a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It went on.
    Passed,
    /// It went on; the stage could not do its work on it.
    Failed,
    /// It was dropped, for this reason.
    Dropped(String),
    /// It waits for more lines.
    Held,
    /// It had waited, perhaps joined with others, and goes on now.
    Released,
    /// It was dropped by a stage inside this one.
    DroppedInside,
}

/// An entry after a stage.
#[derive(Clone, Debug)]
pub struct Step {
    /// Place of the stage: `2`, or `2.0` inside a `match`; empty before the first and after the last stage.
    pub place: String,
    /// Name of the stage; `redaction` for what follows the last.
    pub stage: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// The line.
    pub line: Vec<u8>,
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Structured metadata.
    pub metadata: Vec<(String, String)>,
    /// Values read out of the line.
    pub values: Vec<(String, String)>,
}

/// Hears of each stage.
pub(super) trait Watch {
    fn step(&mut self, step: &Step);
}

impl<F: FnMut(&Step)> Watch for F {
    fn step(&mut self, step: &Step) {
        self(step);
    }
}

impl Step {
    /// Its time as RFC 3339 has it, UTC.
    pub fn time(&self) -> String {
        let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.timestamp_ns)).ok();
        let text = time.and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok());
        text.unwrap_or_else(|| format!("{} ns", self.timestamp_ns))
    }

    pub(super) fn of(told: &Told, entry: &Entry, flow: Flow, failed: bool) -> Step {
        let outcome = match flow {
            Flow::On if failed => Outcome::Failed,
            Flow::On => Outcome::Passed,
            Flow::Dropped => Outcome::Dropped(told.reason.clone()),
            Flow::Gone => Outcome::DroppedInside,
            Flow::Held => Outcome::Held,
        };
        let mut step = Step {
            place: told.place.clone(),
            stage: told.stage,
            outcome,
            line: entry.line.clone(),
            timestamp_ns: entry.timestamp_ns,
            labels: Vec::new(),
            metadata: Vec::new(),
            values: Vec::new(),
        };
        entry.labels.each(|name, value| step.labels.push((name.to_owned(), value.to_owned())));
        entry.metadata.each(|name, value| step.metadata.push((name.to_owned(), value.to_owned())));
        entry.values.each(|name, value| step.values.push((name.to_owned(), value.to_owned())));
        step
    }
}
