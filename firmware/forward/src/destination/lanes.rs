//! Which lane of its source an item travels on.

use crate::item::Item;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Knows how far sources have been read.
pub(crate) trait Positions: Send + Sync + 'static {
    /// All positions of a source, those of the delivery under way included.
    fn all(&self, source: &str) -> Vec<(String, String)>;
}

/// The lane of each source.
pub(crate) struct Lanes {
    positions: Option<Arc<dyn Positions>>,
    current: HashMap<Arc<str>, Lane>,
}

struct Lane {
    number: u32,
    name: Arc<str>,
}

fn lane_name(source: &str, number: u32) -> Arc<str> {
    match number {
        0 => source.into(),
        _ => format!("{source}/{number}").into(),
    }
}

impl Lanes {
    pub(crate) fn new(positions: Option<Arc<dyn Positions>>) -> Self {
        Lanes { positions, current: HashMap::new() }
    }

    /// Puts an item on a lane: its source's, or, when it is to go live while the spool holds items of that lane, the first
    /// that the spool holds nothing of. The first item on a lane carries all positions of its source: what the hub knew
    /// of the lane from before is no longer all that is true.
    pub(crate) fn place(&mut self, item: &mut Item, is_live: bool, spooled: &HashSet<Arc<str>>) {
        let Some(origin) = &mut item.origin else { return };
        let source = origin.lane.clone();
        let known = self.current.get(&source);
        let number = match known {
            Some(lane) if !is_live || !spooled.contains(&lane.name) => lane.number,
            None if !is_live => 0,
            _ => (0..).find(|&number| !spooled.contains(&lane_name(&source, number))).unwrap_or(0),
        };
        if known.is_none_or(|lane| lane.number != number) {
            if let Some(positions) = &self.positions {
                let mut all = positions.all(&source);
                // What this delivery removes is still to be removed.
                all.extend(origin.positions.drain(..).filter(|(_, value)| value.is_empty()));
                origin.positions = all;
            }
            self.current.insert(source.clone(), Lane { number, name: lane_name(&source, number) });
        }
        if let Some(lane) = self.current.get(&source) {
            origin.lane = lane.name.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::tests::item;

    struct Fixed;

    impl Positions for Fixed {
        fn all(&self, _: &str) -> Vec<(String, String)> {
            vec![("all".into(), "1".into())]
        }
    }

    #[test]
    fn live_items_keep_off_lanes_that_the_spool_holds() {
        let mut lanes = Lanes::new(Some(Arc::new(Fixed)));
        let spooled: HashSet<Arc<str>> = ["files".into(), "files/1".into()].into();
        let none = HashSet::new();
        let mut place = |live: bool, spooled: &HashSet<Arc<str>>| {
            let mut item = item(1, 0);
            lanes.place(&mut item, live, spooled);
            let origin = item.origin.unwrap();
            (origin.lane.to_string(), origin.positions.iter().any(|(key, _)| key == "all"))
        };
        assert_eq!(place(true, &none), ("files".into(), true));
        assert_eq!(place(true, &none), ("files".into(), false));
        assert_eq!(place(false, &spooled), ("files".into(), false));
        assert_eq!(place(true, &spooled), ("files/2".into(), true));
        assert_eq!(place(false, &spooled), ("files/2".into(), false));
        assert_eq!(place(true, &none), ("files/2".into(), false));
    }
}
