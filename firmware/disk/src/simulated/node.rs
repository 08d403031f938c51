//! One simulated file: what readers see, and what a power cut may take back.

use std::collections::BTreeMap;

use bramble_runtime::Rng;

pub(crate) const SECTOR: usize = 512;

/// What a sector held when it was last durable.
struct Saved {
    old: [u8; SECTOR],
    /// A sync failed on it: later syncs skip it until it is written again.
    forgotten: bool,
}

#[derive(Default)]
pub(crate) struct Node {
    data: Vec<u8>,
    durable_len: usize,
    dirty: BTreeMap<usize, Saved>,
}

impl Node {
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// The most the file takes on the medium, now or after a cut.
    pub(crate) fn footprint(&self) -> u64 {
        self.data.len().max(self.durable_len) as u64
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data
    }

    fn save(&mut self, sector: usize) {
        let Node { data, dirty, .. } = self;
        let saved = dirty.entry(sector).or_insert_with(|| {
            let mut old = [0; SECTOR];
            let stored = data.get(sector * SECTOR..).unwrap_or_default();
            let length = stored.len().min(SECTOR);
            old[..length].copy_from_slice(&stored[..length]);
            Saved { old, forgotten: false }
        });
        saved.forgotten = false;
    }

    /// Writes `bytes` at `offset`, not durably.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            self.save(sector);
        }
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[offset..end].copy_from_slice(bytes);
    }

    /// Makes one range durable, and the length with it.
    pub(crate) fn sync_range(&mut self, offset: usize, length: usize) {
        for sector in offset / SECTOR..(offset + length).div_ceil(SECTOR) {
            self.dirty.remove(&sector);
        }
        self.durable_len = self.durable_len.max(offset + length);
    }

    pub(crate) fn sync(&mut self) {
        self.dirty.retain(|_, saved| saved.forgotten);
        self.durable_len = self.data.len();
    }

    /// A sync that fails: each sector is durable or, unknown to anybody, never will be.
    pub(crate) fn fail_sync(&mut self, rng: &mut Rng) {
        self.dirty.retain(|_, saved| {
            saved.forgotten = true;
            rng.chance(0.5)
        });
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        for sector in length / SECTOR..self.data.len().div_ceil(SECTOR) {
            self.save(sector);
        }
        self.data.resize(length, 0);
    }

    /// Flips bits in place, below whatever was durable or not.
    pub(crate) fn flip(&mut self, offset: u64, xor: u8) -> Option<()> {
        *self.data.get_mut(usize::try_from(offset).ok()?)? ^= xor;
        Some(())
    }

    /// What the medium holds after the power went.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        let live_len = self.data.len();
        let final_len = if rng.chance(0.5) { self.durable_len } else { live_len };
        let sectors = self.data.len().max(self.durable_len).div_ceil(SECTOR);
        self.data.resize(sectors * SECTOR, 0);
        for (sector, saved) in std::mem::take(&mut self.dirty) {
            if rng.chance(0.5)
                && let Some(stored) = self.data.get_mut(sector * SECTOR..(sector + 1) * SECTOR)
            {
                stored.copy_from_slice(&saved.old);
            }
        }
        self.data.resize(final_len, 0);
        self.durable_len = final_len;
    }
}
