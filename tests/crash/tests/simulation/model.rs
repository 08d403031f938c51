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
    /// Deletions that hide it; of each, whether it had been sent again since the one before.
    hidden_by: BTreeMap<u32, bool>,
    /// Deletions that may hide it: nobody heard whether they, or what took them back, happened.
    perhaps_hidden_by: BTreeSet<u32>,
    /// Sent again after the last one that hides it: it may be there.
    sent_again: bool,
}

impl Known {
    fn must_be_there(&self) -> bool {
        self.acknowledged && self.hidden_by.is_empty() && self.perhaps_hidden_by.is_empty()
    }

    fn must_be_gone(&self) -> bool {
        !self.hidden_by.is_empty() && !self.sent_again
    }

    fn hide(&mut self, request: u32) {
        let sent_again = std::mem::take(&mut self.sent_again);
        self.hidden_by.insert(request, sent_again);
    }

    /// What a deletion hid comes back: those before it do not hide what was sent between.
    fn unhide(&mut self, request: u32, certain: bool) {
        let hid = self.hidden_by.remove(&request);
        let perhaps = self.perhaps_hidden_by.remove(&request);
        let later = self.hidden_by.range_mut(request..).next();
        *later.map_or(&mut self.sent_again, |(_, sent_before)| sent_before) |= hid == Some(true);
        if !certain && (hid.is_some() || perhaps) {
            self.perhaps_hidden_by.insert(request);
        }
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
                known.perhaps_hidden_by.clear();
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
                known.hide(request);
            } else {
                known.perhaps_hidden_by.insert(request);
            }
            self.deleted += u64::from(certain);
        }
    }

    /// A deletion was taken back: what it hid is there again, or may be.
    pub(crate) fn taken_back(&mut self, name: &str, certain: bool) {
        let Some(&request) = self.names.get(name) else { return };
        self.items.values_mut().for_each(|known| known.unhide(request, certain));
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
                    return Err(format!("back: {} was deleted by {:?}", short(&item.key), known.hidden_by.keys()));
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

#[test]
fn what_one_deletion_hides_another_may_hide_too() {
    let item = Item { key: "entry".to_owned(), content: String::new() };
    let (items, all) = (std::slice::from_ref(&item), |_: &Item| true);
    let there = |model: &Model| model.check(vec![item.clone()], false);
    let gone = |model: &Model| model.check(Vec::new(), false);
    let mut model = Model::default();
    model.sent(items);
    model.acknowledged(items);
    assert!(there(&model).is_ok() && gone(&model).is_err());
    // The power went during the first deletion; the second one is heard of, and taken back.
    let (first, second, third) = (model.new_request(), model.new_request(), model.new_request());
    model.deleted(first, false, all);
    model.name_request("second", second);
    model.deleted(second, true, all);
    assert!(there(&model).is_err() && gone(&model).is_ok());
    model.taken_back("second", true);
    assert!(there(&model).is_ok() && gone(&model).is_ok(), "nobody knows of the first one");
    // Sent between two deletions, of which the later one is taken back.
    model.deleted(third, true, all);
    model.sent(items);
    let fourth = model.new_request();
    model.name_request("fourth", fourth);
    model.deleted(fourth, true, all);
    assert!(there(&model).is_err());
    model.taken_back("fourth", true);
    assert!(there(&model).is_ok() && gone(&model).is_ok(), "the third does not hide what came after it");
    model.acknowledged(items);
    assert!(there(&model).is_ok() && gone(&model).is_err());
}
