//! What is known of a node while it talks.

use bramble_wire::delivery::NodeStatus;
use std::collections::HashMap;
use std::sync::Arc;

/// Weight of a new measurement of the clock.
const SKEW_WEIGHT: f64 = 0.25;
/// A clock that jumped so far was set, not measured badly.
const SKEW_STEP_MS: f64 = 1_000.0;

/// One delivery at a time of one source.
pub(super) type Lane = Arc<tokio::sync::Mutex<()>>;

/// Of one node, since the hub's start.
#[derive(Default)]
pub(super) struct Live {
    /// When it was last heard, milliseconds since the Unix epoch; 0 before.
    pub(super) last_seen_ms: i64,
    /// The same by a clock that does not jump; `None` when it was not heard since the hub's start.
    pub(super) last_seen_ns: Option<u64>,
    /// When `last_seen_ms` was noted on disk.
    pub(super) noted_ms: i64,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) address: String,
    pub(super) status: NodeStatus,
    /// How far its clock is ahead of the hub's, smoothed, milliseconds.
    pub(super) skew_ms: Option<f64>,
    /// Round trip of its Hellos, milliseconds; 0 when not known.
    pub(super) round_trip_ms: u64,
    pub(super) lanes: HashMap<String, Lane>,
    pub(super) items_accepted: u64,
    pub(super) items_rejected: u64,
    pub(super) deliveries: u64,
}

impl Live {
    /// Measures the node's clock: it was `theirs_ms` half a round trip before it was `ours_ms` here.
    pub(super) fn measure(&mut self, theirs_ms: i64, ours_ms: i64, round_trip_ms: u64) {
        self.round_trip_ms = round_trip_ms;
        // A round trip of more than a minute is none that a clock could be measured by.
        let half_ms = round_trip_ms.min(60_000) as f64 / 2.0;
        let ahead_ms = theirs_ms.saturating_sub(ours_ms) as f64 + half_ms;
        self.skew_ms = Some(match self.skew_ms {
            Some(before) if (ahead_ms - before).abs() < SKEW_STEP_MS => before + (ahead_ms - before) * SKEW_WEIGHT,
            _ => ahead_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_measured_smoothly_and_followed_when_it_is_set() {
        let mut live = Live::default();
        live.measure(10_000, 10_020, 40);
        assert_eq!(live.skew_ms, Some(0.0));
        live.measure(20_100, 20_020, 40);
        assert_eq!(live.skew_ms, Some(25.0));
        live.measure(90_000, 30_000, 0);
        assert_eq!(live.skew_ms, Some(60_000.0));
        live.measure(i64::MIN, i64::MAX, u64::MAX);
        assert!(live.skew_ms.is_some_and(f64::is_finite));
    }
}
