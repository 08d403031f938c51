//! Labels of an entry: those it came with, and what stages made of them.

use bramble_signal::{LabelsRef, labels::encode_sorted};

/// Labels, or metadata. As long as nobody changes them they stay encoded.
#[derive(Clone, Default, Debug)]
pub(super) struct LabelSet {
    /// What the line came with, encoded.
    initial: Vec<u8>,
    /// Whether `pairs` hold: somebody changed something.
    changed: bool,
    text: String,
    /// Name and value in `text`, ascending by name.
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

impl LabelSet {
    pub(super) fn start(&mut self, labels: LabelsRef<'_>) {
        self.initial.clear();
        self.initial.extend_from_slice(labels.as_bytes());
        self.changed = false;
    }

    fn of(&self, range: Range) -> &str {
        self.text.get(range.0 as usize..range.1 as usize).unwrap_or("")
    }

    fn add(&mut self, text: &str) -> Range {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        (start, self.text.len() as u32)
    }

    /// What the line came with.
    pub(super) fn initial(&self) -> LabelsRef<'_> {
        LabelsRef::from_encoded(&self.initial)
    }

    fn open(&mut self) {
        if self.changed {
            return;
        }
        self.changed = true;
        self.text.clear();
        self.pairs.clear();
        let initial = std::mem::take(&mut self.initial);
        for (name, value) in LabelsRef::from_encoded(&initial).iter() {
            let pair = Pair { name: self.add(name), value: self.add(value) };
            self.pairs.push(pair);
        }
        self.initial = initial;
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|p| self.of(p.name).cmp(name))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        if !self.changed {
            return self.initial().get(name);
        }
        let pair = self.pairs.get(self.position(name).ok()?)?;
        Some(self.of(pair.value))
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
        let initial = std::mem::take(&mut self.initial);
        if let Some(value) = LabelsRef::from_encoded(&initial).get(from)
            && (self.changed || name != from)
        {
            let value = value.to_owned();
            self.initial = initial;
            self.set(name, &value);
            return;
        }
        self.initial = initial;
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
        let text = &self.text;
        let name = |p: &Pair| text.get(p.name.0 as usize..p.name.1 as usize).unwrap_or("");
        self.pairs.retain(|p| keep(name(p)));
    }

    /// All of them, ascending by name.
    pub(super) fn each(&self, mut each: impl FnMut(&str, &str)) {
        if self.changed {
            self.pairs.iter().for_each(|p| each(self.of(p.name), self.of(p.value)));
        } else {
            self.initial().iter().for_each(|(name, value)| each(name, value));
        }
    }

    /// Appends them, encoded.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.changed {
            encode_sorted(self.pairs.iter().map(|p| (self.of(p.name), self.of(p.value))), out);
        } else {
            out.extend_from_slice(&self.initial);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        if self.changed { self.pairs.is_empty() } else { self.initial.is_empty() }
    }

    /// Changes each value that `change` gives another for.
    pub(super) fn map_values(&mut self, mut change: impl FnMut(&str, &str, &mut String) -> bool, made: &mut String) {
        let mut first = 0;
        if !self.changed {
            let found = self.initial().iter().position(|(name, value)| change(name, value, made));
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
