//! How far each source has been handed over, and what is asked at a start.

use super::files::Checkpoint;
use super::hub::is_lane;
use crate::destination::Positions;
use crate::spool::Found;
use bramble_storage::Delivered;
use bramble_wire::delivery::SourceDelivered;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Added to a sequence that may be older than what the hub has: nobody delivers so many batches between two checkpoints.
const UNKNOWN_BATCHES_MAX: u64 = 1 << 20;

type BySource = BTreeMap<String, Checkpoint>;

/// Sources by name.
#[derive(Default)]
pub(super) struct Sources {
    /// With what is under way.
    handed_over: Mutex<BySource>,
    /// Without.
    durable: Mutex<BySource>,
}

impl Sources {
    /// A delivery was handed over.
    pub(super) fn advance(&self, source: &str, sequence: u64, positions: &[(String, String)]) {
        Self::set(&self.handed_over, source, sequence, positions);
    }

    /// A delivery is durable.
    pub(super) fn stored(&self, source: &str, sequence: u64, positions: &[(String, String)]) {
        Self::set(&self.durable, source, sequence, positions);
    }

    fn set(sources: &Mutex<BySource>, source: &str, sequence: u64, positions: &[(String, String)]) {
        let mut sources = sources.lock();
        let known = match sources.get_mut(source) {
            Some(known) => known,
            None => sources.entry(source.to_owned()).or_default(),
        };
        known.sequence = known.sequence.max(sequence);
        for (key, value) in positions {
            match value.is_empty() {
                true => _ = known.positions.remove(key),
                false => _ = known.positions.insert(key.clone(), value.clone()),
            }
        }
    }

    /// Where a source reads on, as it was told.
    pub(super) fn begin(&self, source: &str, delivered: &Delivered) {
        let (sequence, positions) = (delivered.sequence, delivered.positions.clone());
        let known = Checkpoint { sequence, positions };
        self.handed_over.lock().insert(source.to_owned(), known.clone());
        self.durable.lock().insert(source.to_owned(), known);
    }

    /// How far a source is durable, if it was told where to begin.
    pub(super) fn of(&self, source: &str) -> Option<Delivered> {
        let durable = self.durable.lock();
        let Checkpoint { sequence, positions } = durable.get(source)?.clone();
        Some(Delivered { sequence, positions })
    }

    /// How far all sources are durable.
    pub(super) fn durable(&self) -> BySource {
        self.durable.lock().clone()
    }
}

impl Positions for Sources {
    fn all(&self, source: &str) -> Vec<(String, String)> {
        let sources = self.handed_over.lock();
        let known = sources.get(source).map(|known| known.positions.clone());
        known.unwrap_or_default().into_iter().collect()
    }
}

/// What is durable of a source as one hub's side has it: what the hub said (`None`: it did not say), and what waits here for
/// it.
pub(super) fn of_hub(
    source: &str,
    said: Option<Option<SourceDelivered>>,
    checkpoint: Option<&Checkpoint>,
    found: &BTreeMap<Arc<str>, Found>,
) -> Option<Delivered> {
    let mut delivered = match said {
        Some(Some(said)) if said.sequence > 0 => {
            Some(Delivered { sequence: said.sequence, positions: said.positions.into_iter().collect() })
        }
        // A hub that is new, or lost its memory: what this node remembers is nearer to the truth than nothing.
        Some(_) | None => checkpoint.map(|checkpoint| Delivered {
            sequence: checkpoint.sequence + UNKNOWN_BATCHES_MAX,
            positions: checkpoint.positions.clone(),
        }),
    };
    // Compared by what is really known: the margin is none of it.
    let known = match (&delivered, checkpoint) {
        (Some(delivered), Some(checkpoint)) if delivered.sequence == checkpoint.sequence + UNKNOWN_BATCHES_MAX => {
            checkpoint.sequence
        }
        (Some(delivered), _) => delivered.sequence,
        (None, _) => 0,
    };
    let mut newer: BTreeMap<u64, Vec<(&String, &String)>> = BTreeMap::new();
    for of_lane in found.iter().filter(|(lane, _)| is_lane(lane, source)).map(|(_, found)| found) {
        if of_lane.sequence > known {
            newer.entry(of_lane.sequence).or_default();
        }
        for (key, (sequence, value)) in &of_lane.positions {
            if *sequence > known {
                newer.entry(*sequence).or_default().push((key, value));
            }
        }
    }
    for (sequence, positions) in newer {
        let delivered = delivered.get_or_insert_default();
        delivered.sequence = delivered.sequence.max(sequence);
        for (key, value) in positions {
            match value.is_empty() {
                true => _ = delivered.positions.remove(key),
                false => _ = delivered.positions.insert(key.clone(), value.clone()),
            }
        }
    }
    delivered
}

/// What is durable on all sides: the positions of who has least, so that nothing is missing anywhere, and a sequence above all.
pub(super) fn of_all(sides: Vec<Option<Delivered>>) -> Delivered {
    let sides: Vec<Delivered> = sides.into_iter().flatten().collect();
    let sequence = sides.iter().map(|side| side.sequence).max().unwrap_or(0);
    let least = sides.into_iter().min_by_key(|side| side.sequence).unwrap_or_default();
    Delivered { sequence, positions: least.positions }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sequence: u64, at: &str) -> Option<Option<SourceDelivered>> {
        Some(Some(SourceDelivered { source: "files".into(), sequence, positions: vec![("a".into(), at.into())] }))
    }

    fn found(sequence: u64, at: &str) -> BTreeMap<Arc<str>, Found> {
        let positions = [("a".to_owned(), (sequence, at.to_owned()))].into();
        [(Arc::from("files/1"), Found { sequence, positions }), (Arc::from("filesystem"), Found::default())].into()
    }

    #[test]
    fn the_newer_of_hub_and_queue_counts() {
        let at = |delivered: Option<Delivered>| {
            let delivered = delivered.unwrap();
            (delivered.sequence, delivered.positions.get("a").cloned().unwrap_or_default())
        };
        assert_eq!(at(of_hub("files", said(5, "50"), None, &found(9, "90"))), (9, "90".into()));
        assert_eq!(at(of_hub("files", said(12, "120"), None, &found(9, "90"))), (12, "120".into()));
        assert_eq!(at(of_hub("files", said(5, "50"), None, &found(9, ""))), (9, String::new()));
        assert_eq!(of_hub("files", Some(None), None, &BTreeMap::new()), None);
        let positions = [("a".to_owned(), "70".to_owned())].into();
        let checkpoint = Checkpoint { sequence: 7, positions };
        assert_eq!(
            at(of_hub("files", None, Some(&checkpoint), &BTreeMap::new())),
            (7 + UNKNOWN_BATCHES_MAX, "70".into())
        );
        assert_eq!(
            at(of_hub("files", None, Some(&checkpoint), &found(9, "90"))),
            (7 + UNKNOWN_BATCHES_MAX, "90".into())
        );
    }

    #[test]
    fn of_two_hubs_who_has_least_is_read_for() {
        let of = |sequence, at: &str| Some(Delivered { sequence, positions: [("a".to_owned(), at.to_owned())].into() });
        let both = of_all(vec![of(5, "50"), None, of(9, "90")]);
        assert_eq!((both.sequence, both.positions["a"].as_str()), (9, "50"));
        assert_eq!(of_all(vec![None]), Delivered::default());
    }
}
