//! What was delivered.

use std::collections::{BTreeMap, HashSet};

/// More than a cluster keeps of events in its hour; the oldest keys by name give way beyond it.
const KEYS_MAX: usize = 20_000;

/// Keys with the version that was delivered last: an event's uid and count, a container's id.
#[derive(Default)]
pub(super) struct Known(BTreeMap<String, String>);

impl Known {
    pub(super) fn new(positions: BTreeMap<String, String>) -> Self {
        Known(positions)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this was not delivered; it is from now on, as `positions` will say.
    pub(super) fn is_new(&mut self, key: &str, version: &str, positions: &mut Vec<(String, String)>) -> bool {
        if self.0.get(key).is_some_and(|known| known == version) {
            return false;
        }
        if self.0.len() >= KEYS_MAX
            && !self.0.contains_key(key)
            && let Some((first, _)) = self.0.pop_first()
        {
            positions.push((first, String::new()));
        }
        self.0.insert(key.to_owned(), version.to_owned());
        positions.push((key.to_owned(), version.to_owned()));
        true
    }

    pub(super) fn forget(&mut self, key: &str, positions: &mut Vec<(String, String)>) {
        if self.0.remove(key).is_some() {
            positions.push((key.to_owned(), String::new()));
        }
    }

    /// Forgets all keys with a prefix but these: what a whole list no longer has.
    pub(super) fn retain(
        &mut self,
        prefix: &str,
        keys: impl Iterator<Item = String>,
        positions: &mut Vec<(String, String)>,
    ) {
        let keys: HashSet<String> = keys.collect();
        self.0.retain(|key, _| {
            let stays = !key.starts_with(prefix) || keys.contains(key);
            if !stays {
                positions.push((key.clone(), String::new()));
            }
            stays
        });
    }
}
