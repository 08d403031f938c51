//! What the series have counted, told by a series.
//!
//! Each write of derived series carries, for each part of them that it has ([`PARTS`], and the graph), a sample of
//! [`COUNTED_SEQUENCE`]: the journal sequence through which that part has counted. Both are durable together, or
//! neither is. After a restart spans above the lowest mark are shown again, and each part counts those above its own.
//!
//! The graph's halves may have come long before they meet, so it has two more marks. Halves that waited at the time of the
//! write are above `waiting`; and their other halves, if they had any, are above `seen`, since no half waits longer than it
//! may. So what is shown again between `seen` and the graph's own mark takes its place without being counted: whoever is
//! left of those above `waiting` did wait, and of those below nobody did.

use crate::sets::PARTS;
use bramble_signal::{METRIC_NAME, Matcher, SeriesSamples};
use bramble_storage::{MetricSelect, MetricSource, QueryContext, ReadError, Sequence};

/// The series that says through which journal sequence each part of the derived series has counted.
pub const COUNTED_SEQUENCE: &str = "bramble_derived_counted_sequence";

/// Its label.
pub(crate) const PART: &str = "part";
/// Where the graph's edges are.
pub(crate) const GRAPH: &str = "graph";
/// What the graph's halves that wait are above.
pub(crate) const WAITING: &str = "waiting";
/// What their other halves are above.
pub(crate) const SEEN: &str = "seen";

/// How far back marks are looked for, one after the other: an appliance that was off for a week needs more than one that
/// was restarted.
const LOOKS_MS: [i64; 3] = [3_600_000, 7 * 86_400_000, i64::MAX / 4];

/// Through which sequence everything is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    pub(crate) sets: [Sequence; PARTS],
    pub(crate) graph: Sequence,
    /// At most `graph`.
    pub(crate) waiting: Sequence,
    /// At most `waiting`.
    pub(crate) seen: Sequence,
}

impl Marks {
    /// The lowest: spans above it must be shown.
    pub(crate) fn lowest(&self) -> Sequence {
        self.sets.iter().copied().min().unwrap_or(0).min(self.graph).min(self.seen)
    }

    /// The highest of those that decide about counting.
    pub(crate) fn highest(&self) -> Sequence {
        self.sets.iter().copied().max().unwrap_or(0).max(self.graph)
    }

    fn set(&mut self, part: &str, sequence: Sequence) {
        match part {
            GRAPH => self.graph = self.graph.max(sequence),
            WAITING => self.waiting = self.waiting.max(sequence),
            SEEN => self.seen = self.seen.max(sequence),
            number => {
                if let Some(mark) = number.parse().ok().and_then(|at: usize| self.sets.get_mut(at)) {
                    *mark = sequence.max(*mark);
                }
            }
        }
    }

    /// The newest marks of a store; zeros where there are none.
    pub(crate) fn read(source: &dyn MetricSource, now_ms: i64) -> Result<Self, ReadError> {
        let context = QueryContext::unlimited();
        let matchers = [Matcher::equal(METRIC_NAME, COUNTED_SEQUENCE)];
        for look_ms in LOOKS_MS {
            let mut marks = Marks::default();
            // A clock that jumped back finds what was written "later".
            let select = MetricSelect {
                matchers: &matchers,
                start_ms: now_ms.saturating_sub(look_ms),
                end_ms: now_ms.saturating_add(LOOKS_MS[2]),
            };
            let mut cursor = source.select(&select, &context)?;
            let mut series = SeriesSamples::default();
            while cursor.next(&mut series)? {
                // Sequences ascend, so the highest is the newest whatever the clock did. NaN ends the series.
                let highest = series.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
                let part = series.labels.as_ref().get(PART).unwrap_or("").to_owned();
                marks.set(&part, highest as Sequence);
            }
            if marks.highest() > 0 {
                return Ok(marks);
            }
        }
        Ok(Marks::default())
    }
}
