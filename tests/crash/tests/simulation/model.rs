//! What was sent and what was acknowledged: the truth that the stores are held against.
//!
//! An item is a key (what makes it one item) and a content. Metrics: series and timestamp, bits of the
//! value or histogram with its start; exemplars, nothing. Logs: stream,
//! timestamp, line and metadata, nothing. Spans: trace and span id, every field.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Deletions that hide it.
    hidden_by: BTreeSet<u32>,
    /// Sent again after that: it may be there.
    sent_again: bool,
    /// A deletion, or what took one back, may have happened: it may be there or not.
    uncertain: bool,
}

impl Known {
    fn must_be_there(&self) -> bool {
        self.acknowledged && self.hidden_by.is_empty() && !self.uncertain
    }

    fn must_be_gone(&self) -> bool {
        !self.hidden_by.is_empty() && !self.sent_again && !self.uncertain
    }
}

/// Everything ever sent in one world.
#[derive(Default)]
pub(crate) struct Model {
    items: BTreeMap<String, Known>,
    acknowledged: u64,
    pub(crate) deleted: u64,
    requests: u32,
    /// Deletions of logs by their names.
    names: BTreeMap<String, u32>,
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
            known.sent_again = true;
            if !known.contents.contains(&item.content) {
                known.contents.push(item.content.clone());
            }
        }
    }

    /// Notes an answer that promised these items.
    pub(crate) fn acknowledged(&mut self, items: &[Item]) {
        for item in items {
            if let Some(known) = self.items.get_mut(&item.key) {
                // Nobody waits while something is deleted, so this was sent after it.
                known.hidden_by.clear();
                known.uncertain = false;
                self.acknowledged += u64::from(!std::mem::replace(&mut known.acknowledged, true));
            }
        }
    }

    /// A number for a deletion that is about to be asked for.
    pub(crate) fn new_request(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// The name under which a deletion can be taken back.
    pub(crate) fn name_request(&mut self, name: &str, request: u32) {
        self.names.insert(name.to_owned(), request);
    }

    /// Everything that `meant` says was deleted, or may have been.
    pub(crate) fn deleted(&mut self, request: u32, certain: bool, meant: impl Fn(&Item) -> bool) {
        for (key, known) in &mut self.items {
            if !meant(&Item { key: key.clone(), content: String::new() }) {
                continue;
            }
            if certain {
                known.hidden_by.insert(request);
                (known.sent_again, known.uncertain) = (false, false);
            } else {
                known.uncertain = true;
            }
            self.deleted += u64::from(certain);
        }
    }

    /// A deletion was taken back: what it hid is there again, or may be.
    pub(crate) fn taken_back(&mut self, name: &str, certain: bool) {
        let Some(request) = self.names.get(name) else { return };
        for known in self.items.values_mut().filter(|known| known.hidden_by.contains(request)) {
            known.hidden_by.remove(request);
            known.uncertain |= !certain;
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
                Some(known) if known.must_be_gone() => {
                    return Err(format!("back: {} was deleted by {:?}", short(&item.key), known.hidden_by));
                }
                Some(_) => {}
            }
        }
        if tolerate_loss {
            return Ok(());
        }
        let is_there = |key: &String| found.binary_search_by(|item| item.key.cmp(key)).is_ok();
        let lost: Vec<_> = self.items.iter().filter(|(key, known)| known.must_be_there() && !is_there(key)).collect();
        match lost.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(format!("lost: {} of {} acknowledged items, first {}", lost.len(), self.acknowledged, short(key)))
            }
        }
    }
}
