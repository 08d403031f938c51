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

/// What is durable of a source as one hub's side has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Side {
    /// The last sequence that it is known to have.
    known: u64,
    /// Its positions, and a sequence that it has nothing above of.
    delivered: Delivered,
}

/// What one hub's side has: what the hub said (`None`: it did not say), and what waits here for it. Of a hub that is
/// enrolled with, which does not answer and of which nothing is written down here, nothing is known but that it may have
/// something: as little as nothing, under sequences as high as can be.
pub(super) fn of_hub(
    source: &str,
    said: Option<Option<SourceDelivered>>,
    is_enrolled: bool,
    checkpoint: Option<&Checkpoint>,
    found: &BTreeMap<Arc<str>, Found>,
) -> Option<Side> {
    let nothing = Checkpoint::default();
    let checkpoint = checkpoint.or((said.is_none() && is_enrolled).then_some(&nothing));
    let mut side = match said {
        Some(Some(said)) if said.sequence > 0 => {
            let positions = said.positions.into_iter().collect();
            Some(Side { known: said.sequence, delivered: Delivered { sequence: said.sequence, positions } })
        }
        // A hub that is new, or lost its memory: what this node remembers is nearer to the truth than nothing.
        Some(_) | None => checkpoint.map(|checkpoint| {
            // The margin is none of what is known.
            let (sequence, positions) = (checkpoint.sequence + UNKNOWN_BATCHES_MAX, checkpoint.positions.clone());
            Side { known: checkpoint.sequence, delivered: Delivered { sequence, positions } }
        }),
    };
    let known = side.as_ref().map_or(0, |side| side.known);
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
        let Side { known, delivered } = side.get_or_insert_with(|| Side { known: 0, delivered: Delivered::default() });
        *known = sequence.max(*known);
        delivered.sequence = delivered.sequence.max(sequence);
        for (key, value) in positions {
            match value.is_empty() {
                true => _ = delivered.positions.remove(key),
                false => _ = delivered.positions.insert(key.clone(), value.clone()),
            }
        }
    }
    side
}

/// What is durable on all sides: the positions of who is known to have least, so that nothing is missing anywhere, and a
/// sequence above all. Who had more gets some of it again under other sequences; without a power cut all have the same.
/// A side that never had anything of the source does not count: it is for what comes.
pub(super) fn of_all(sides: Vec<Option<Side>>) -> Delivered {
    let sides: Vec<Side> = sides.into_iter().flatten().collect();
    let sequence = sides.iter().map(|side| side.delivered.sequence).max().unwrap_or(0);
    let least = sides.into_iter().min_by_key(|side| side.known).map(|side| side.delivered);
    Delivered { sequence, positions: least.unwrap_or_default().positions }
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
        let at = |side: Option<Side>| {
            let delivered = side.unwrap().delivered;
            (delivered.sequence, delivered.positions.get("a").cloned().unwrap_or_default())
        };
        assert_eq!(at(of_hub("files", said(5, "50"), false, None, &found(9, "90"))), (9, "90".into()));
        assert_eq!(at(of_hub("files", said(12, "120"), false, None, &found(9, "90"))), (12, "120".into()));
        assert_eq!(at(of_hub("files", said(5, "50"), false, None, &found(9, ""))), (9, String::new()));
        assert_eq!(of_hub("files", Some(None), true, None, &BTreeMap::new()), None);
        let positions = [("a".to_owned(), "70".to_owned())].into();
        let checkpoint = Checkpoint { sequence: 7, positions };
        assert_eq!(
            at(of_hub("files", None, false, Some(&checkpoint), &BTreeMap::new())),
            (7 + UNKNOWN_BATCHES_MAX, "70".into())
        );
        assert_eq!(
            at(of_hub("files", None, false, Some(&checkpoint), &found(9, "90"))),
            (7 + UNKNOWN_BATCHES_MAX, "90".into())
        );
        // Nothing is known of either: no sequence that the hub may have, and everything once more.
        assert_eq!(of_hub("files", None, false, None, &BTreeMap::new()), None);
        let unknown = of_hub("files", None, true, None, &BTreeMap::new());
        assert_eq!(at(unknown.clone()), (UNKNOWN_BATCHES_MAX, String::new()));
        let both = of_all(vec![unknown, of_hub("files", said(5, "50"), true, None, &BTreeMap::new())]);
        assert_eq!(both, Delivered { sequence: UNKNOWN_BATCHES_MAX, positions: BTreeMap::new() });
    }

    #[test]
    fn of_two_hubs_who_has_least_is_read_for() {
        let of = |known, margin, at: &str| {
            let positions = [("a".to_owned(), at.to_owned())].into();
            Some(Side { known, delivered: Delivered { sequence: known + margin, positions } })
        };
        let both = of_all(vec![of(5, 0, "50"), None, of(9, 0, "90")]);
        assert_eq!((both.sequence, both.positions["a"].as_str()), (9, "50"));
        // One that does not answer may have no more than the last checkpoint says.
        let both = of_all(vec![of(7, UNKNOWN_BATCHES_MAX, "70"), of(9, 0, "90")]);
        assert_eq!((both.sequence, both.positions["a"].as_str()), (7 + UNKNOWN_BATCHES_MAX, "70"));
        assert_eq!(of_all(vec![None]), Delivered::default());
    }
}
