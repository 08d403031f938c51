//! Labels of an entry: those it came with, and what stages made of them.

use bramble_signal::{LabelsRef, labels::put_pair};

/// Labels, or metadata. As long as nobody changes them they stay encoded, and where the pairs of a stream's labels are is
/// found out once for all its lines.
#[derive(Clone, Default, Debug)]
pub(super) struct LabelSet {
    /// What the line came with, encoded, and behind it the names and values that stages brought.
    bytes: Vec<u8>,
    initial_bytes: usize,
    /// Whether `initial_pairs` are those of what the line came with.
    is_read: bool,
    initial_pairs: Vec<Pair>,
    /// Whether `pairs` hold: somebody changed something.
    changed: bool,
    /// Name and value in `bytes`, ascending by name.
    pairs: Vec<Pair>,
}

type Range = (u32, u32);

#[derive(Clone, Copy, Debug)]
struct Pair {
    name: Range,
    value: Range,
}

/// Labels an entry may have; a stage cannot add more.
const LABELS_MAX: usize = 128;

fn text(bytes: &[u8]) -> &str {
    // What is put in is text; UTF-8 of before is looked at again since there is no other way that is safe.
    std::str::from_utf8(bytes).unwrap_or("")
}

/// Where `part`, which is a part of `whole`, is in it.
fn place(whole: &[u8], part: &[u8]) -> Range {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    (start as u32, (start + part.len()) as u32)
}

impl LabelSet {
    pub(super) fn start(&mut self, labels: LabelsRef<'_>) {
        self.changed = false;
        self.bytes.truncate(self.initial_bytes);
        if self.bytes == labels.as_bytes() {
            return;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(labels.as_bytes());
        self.initial_bytes = self.bytes.len();
        self.is_read = false;
    }

    fn of(&self, range: Range) -> &[u8] {
        self.bytes.get(range.0 as usize..range.1 as usize).unwrap_or(&[])
    }

    fn add(&mut self, text: &str) -> Range {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        (start, self.bytes.len() as u32)
    }

    /// What the line came with.
    pub(super) fn initial(&self) -> LabelsRef<'_> {
        LabelsRef::from_encoded(self.bytes.get(..self.initial_bytes).unwrap_or(&[]))
    }

    fn open(&mut self) {
        if self.changed {
            return;
        }
        self.changed = true;
        if !self.is_read {
            self.is_read = true;
            self.initial_pairs.clear();
            let initial = LabelsRef::from_encoded(self.bytes.get(..self.initial_bytes).unwrap_or(&[]));
            let places = initial.iter_bytes().map(|(name, value)| Pair {
                name: place(initial.as_bytes(), name),
                value: place(initial.as_bytes(), value),
            });
            self.initial_pairs.extend(places);
        }
        self.pairs.clone_from(&self.initial_pairs);
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|p| self.of(p.name).cmp(name.as_bytes()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        if !self.changed {
            return self.initial().get(name);
        }
        let pair = self.pairs.get(self.position(name).ok()?)?;
        Some(text(self.of(pair.value)))
    }

    /// Sets a label; an empty value removes it.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return self.remove(name);
        }
        self.open();
        let range = self.add(value);
        match self.position(name) {
            Ok(at) => {
                if let Some(pair) = self.pairs.get_mut(at) {
                    pair.value = range;
                }
            }
            Err(at) if self.pairs.len() < LABELS_MAX && !name.is_empty() => {
                let name = self.add(name);
                self.pairs.insert(at, Pair { name, value: range });
            }
            Err(_) => {}
        }
    }

    /// Sets a label to the value another one came with, if it did.
    pub(super) fn set_from_initial(&mut self, name: &str, index: usize, names: &[String]) {
        let Some(from) = names.get(index) else { return };
        if let Some(value) = self.initial().get(from)
            && (self.changed || name != from)
        {
            let value = value.to_owned();
            self.set(name, &value);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        if !self.changed && self.initial().get(name).is_none() {
            return;
        }
        self.open();
        if let Ok(at) = self.position(name) {
            self.pairs.remove(at);
        }
    }

    /// Removes all but those that `keep`.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.open();
        let bytes = &self.bytes;
        let name = |p: &Pair| bytes.get(p.name.0 as usize..p.name.1 as usize).unwrap_or(&[]);
        self.pairs.retain(|p| keep(text(name(p))));
    }

    /// All of them, ascending by name.
    pub(super) fn each(&self, mut each: impl FnMut(&str, &str)) {
        if self.changed {
            self.pairs.iter().for_each(|p| each(text(self.of(p.name)), text(self.of(p.value))));
        } else {
            self.initial().iter().for_each(|(name, value)| each(name, value));
        }
    }

    /// Appends them, encoded.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.changed {
            self.pairs.iter().for_each(|p| put_pair(self.of(p.name), self.of(p.value), out));
        } else {
            out.extend_from_slice(self.initial().as_bytes());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        if self.changed { self.pairs.is_empty() } else { self.initial_bytes == 0 }
    }

    /// Changes each value that `change` gives another for.
    pub(super) fn map_values(&mut self, mut change: impl FnMut(&[u8], &[u8], &mut String) -> bool, made: &mut String) {
        let mut first = 0;
        if !self.changed {
            let found = self.initial().iter_bytes().position(|(name, value)| change(name, value, made));
            let Some(found) = found else { return };
            first = found;
            self.open();
            self.replace(first, made);
            first += 1;
        }
        for at in first..self.pairs.len() {
            let Some(pair) = self.pairs.get(at).copied() else { return };
            if change(self.of(pair.name), self.of(pair.value), made) {
                self.replace(at, made);
            }
        }
    }

    fn replace(&mut self, at: usize, value: &str) {
        let value = self.add(value);
        if let Some(pair) = self.pairs.get_mut(at) {
            pair.value = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<String, String>;

    fn shown(set: &LabelSet) -> String {
        let mut out = Vec::new();
        set.encode(&mut out);
        LabelsRef::parse(&out).map(|labels| labels.to_string()).unwrap_or_default()
    }

    fn wanted(model: &Model) -> String {
        Labels::from_pairs(model.iter()).to_string()
    }

    proptest! {
        #[test]
        fn changes_are_those_of_a_map_line_after_line(
            lines in prop::collection::vec(
                (prop::collection::btree_map("[a-e]", "[x-z]{1,3}|é", 0..4), prop::bool::ANY,
                 prop::collection::vec(("[a-g]", "[x-z]{0,2}"), 0..5)),
                1..8
            )
        ) {
            let (mut set, mut before) = (LabelSet::default(), Model::new());
            for (labels, same_as_before, changes) in lines {
                let labels = if same_as_before { before.clone() } else { labels };
                before.clone_from(&labels);
                set.start(Labels::from_pairs(labels.iter()).as_ref());
                let mut model = labels;
                prop_assert_eq!(shown(&set), wanted(&model));
                for (name, value) in changes {
                    set.set(&name, &value);
                    match value.is_empty() {
                        true => _ = model.remove(&name),
                        false => _ = model.insert(name.clone(), value),
                    }
                    prop_assert_eq!(set.get(&name), model.get(&name).map(String::as_str));
                }
                prop_assert_eq!(shown(&set), wanted(&model));
                prop_assert_eq!(set.initial().to_string(), wanted(&before));
                set.map_values(|name, value, made| {
                    made.clear();
                    made.push('r');
                    name == b"a" && value != b"r"
                }, &mut String::new());
                model.entry("a".into()).and_modify(|value| *value = "r".into());
                prop_assert_eq!(shown(&set), wanted(&model));
            }
        }
    }
}
