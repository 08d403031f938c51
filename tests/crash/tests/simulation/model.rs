//! What was sent and what was acknowledged: the truth that the stores are held against.
//!
//! An item is a key (what makes it one item) and a content. Metrics: series and timestamp, bits of the
//! value or histogram with its start; exemplars, nothing. Logs: stream,
//! timestamp, line and metadata, nothing. Spans: trace and span id, every field.

use std::collections::BTreeMap;

/// One thing that was sent or found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) content: String,
}

#[derive(Default)]
struct Known {
    /// What was ever sent under the key.
    contents: Vec<String>,
    acknowledged: bool,
}

/// Everything ever sent in one world.
#[derive(Default)]
pub(crate) struct Model {
    items: BTreeMap<String, Known>,
    acknowledged: u64,
}

/// What a complaint quotes of an item: spans and lines may be long.
fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

impl Model {
    /// Notes what is about to be sent.
    pub(crate) fn sent(&mut self, items: &[Item]) {
        for item in items {
            let known = self.items.entry(item.key.clone()).or_default();
            if !known.contents.contains(&item.content) {
                known.contents.push(item.content.clone());
            }
        }
    }

    /// Notes an answer that promised these items.
    pub(crate) fn acknowledged(&mut self, items: &[Item]) {
        for item in items {
            if let Some(known) = self.items.get_mut(&item.key)
                && !std::mem::replace(&mut known.acknowledged, true)
            {
                self.acknowledged += 1;
            }
        }
    }

    /// How many distinct items were acknowledged.
    pub(crate) fn promises(&self) -> u64 {
        self.acknowledged
    }

    /// Holds what was found against what was sent: nothing acknowledged is missing, nothing is there that was never
    /// sent, nothing is there twice.
    ///
    /// With `tolerate_loss` (bits rotted, and it was reported) what is missing is no complaint; the rest is.
    pub(crate) fn check(&self, mut found: Vec<Item>, tolerate_loss: bool) -> Result<(), String> {
        found.sort_unstable();
        if let Some(twice) = found.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(format!("there twice: {}", short(&twice[0].key)));
        }
        for item in &found {
            match self.items.get(&item.key) {
                None => return Err(format!("invented: {} {}", short(&item.key), short(&item.content))),
                Some(known) if !known.contents.contains(&item.content) => {
                    let sent = known.contents.iter().map(|c| short(c)).collect::<Vec<_>>().join(" or ");
                    return Err(format!("changed: {} is {}, sent was {sent}", short(&item.key), short(&item.content)));
                }
                Some(_) => {}
            }
        }
        if tolerate_loss {
            return Ok(());
        }
        let is_there = |key: &String| found.binary_search_by(|item| item.key.cmp(key)).is_ok();
        let lost: Vec<_> = self.items.iter().filter(|(key, known)| known.acknowledged && !is_there(key)).collect();
        match lost.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(format!("lost: {} of {} acknowledged items, first {}", lost.len(), self.acknowledged, short(key)))
            }
        }
    }
}
