//! What pages say of their metric families: type, help and unit, per target, with equal ones shared among targets.

use bramble_signal::hash::xxhash64;
use bramble_signal::{MetricKind, MetricMetadata};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// A family that no scrape has shown for so many rounds is forgotten.
const ROUNDS_KEPT: u32 = 10;

/// Families of all targets: fifty node exporters say the same.
#[derive(Default)]
pub(super) struct SharedFamilies {
    known: Mutex<HashMap<u64, Arc<MetricMetadata>>>,
}

impl SharedFamilies {
    fn share(&self, family: MetricMetadata) -> Arc<MetricMetadata> {
        let kind = u64::from(family.kind.code());
        let hash = [&family.name, &family.help, &family.unit].iter().fold(kind, |seed, t| xxhash64(t.as_bytes(), seed));
        let mut known = self.known.lock();
        match known.get(&hash) {
            Some(shared) if **shared == family => shared.clone(),
            // Two of one hash: the second is not shared.
            Some(_) => Arc::new(family),
            None => {
                if known.len() == known.capacity() {
                    known.retain(|_, shared| Arc::strong_count(shared) > 1);
                }
                let shared = Arc::new(family);
                known.insert(hash, shared.clone());
                shared
            }
        }
    }
}

/// Families of one target.
#[derive(Default)]
pub(super) struct Families {
    by_name: HashMap<u64, (Arc<MetricMetadata>, u32)>,
    round: u32,
}

/// The family that a page speaks of, gathered from its lines. Keeps its memory.
#[derive(Default)]
pub(super) struct FamilyLines {
    name: String,
    kind: Option<MetricKind>,
    help: String,
    unit: String,
    is_open: bool,
}

impl FamilyLines {
    /// Goes on with a family. One before it is done: `finished` hears of it.
    pub(super) fn of(&mut self, name: &str, finished: impl FnOnce(&FamilyLines)) -> &mut Self {
        if self.is_open && self.name == name {
            return self;
        }
        self.close(finished);
        self.name.push_str(name);
        self.is_open = true;
        self
    }

    /// Says the type.
    pub(super) fn set_kind(&mut self, kind: MetricKind) {
        self.kind = Some(kind);
    }

    /// The text of the help, to be written.
    pub(super) fn help(&mut self) -> &mut String {
        self.help.clear();
        &mut self.help
    }

    /// Says the unit.
    pub(super) fn set_unit(&mut self, unit: &str) {
        self.unit.clear();
        self.unit.push_str(unit);
    }

    /// The page has ended.
    pub(super) fn close(&mut self, finished: impl FnOnce(&FamilyLines)) {
        if std::mem::take(&mut self.is_open) {
            finished(self);
        }
        self.name.clear();
        self.help.clear();
        self.unit.clear();
        self.kind = None;
    }

    fn is(&self, family: &MetricMetadata) -> bool {
        family.kind == self.kind.unwrap_or(MetricKind::Unknown) && family.help == self.help && family.unit == self.unit
    }
}

impl Families {
    /// Begins a page.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Takes what a page says of a family; `news` hears of it when it was not known so.
    pub(super) fn take(&mut self, lines: &FamilyLines, shared: &SharedFamilies, news: impl FnOnce(&MetricMetadata)) {
        let key = xxhash64(lines.name.as_bytes(), 0);
        if let Some((known, round)) = self.by_name.get_mut(&key)
            && lines.is(known)
        {
            *round = self.round;
            return;
        }
        let family = shared.share(MetricMetadata {
            name: lines.name.clone(),
            kind: lines.kind.unwrap_or(MetricKind::Unknown),
            help: lines.help.clone(),
            unit: lines.unit.clone(),
        });
        news(&family);
        self.by_name.insert(key, (family, self.round));
    }

    /// Ends a page.
    pub(super) fn finish(&mut self) {
        let round = self.round;
        self.by_name.retain(|_, (_, shown)| round.wrapping_sub(*shown) <= ROUNDS_KEPT);
    }

    /// All of them, by name.
    pub(super) fn list(&self) -> Vec<Arc<MetricMetadata>> {
        let mut list: Vec<_> = self.by_name.values().map(|(family, _)| family.clone()).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}
