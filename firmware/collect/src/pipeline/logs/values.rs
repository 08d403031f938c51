//! Values read out of a line, by slots that their names were given when the pipeline was compiled.

use super::labels::LabelSet;
use std::sync::Arc;

/// The place of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(u16);

impl Slot {
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Values a pipeline may name.
const NAMES_MAX: usize = 1024;
/// Bytes of all values of a line.
const TEXT_MAX_BYTES: usize = 4 << 20;

/// Names of values, while a pipeline is compiled.
#[derive(Default, Debug)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// The slot of a name, a new one if it is new.
    ///
    /// # Errors
    /// The pipeline names too many values.
    pub(super) fn slot(&mut self, name: &str) -> Result<Slot, String> {
        let at = match self.0.iter().position(|n| n == name) {
            Some(at) => at,
            None if self.0.len() >= NAMES_MAX => return Err(format!("more than {NAMES_MAX} values are named")),
            None => {
                self.0.push(name.to_owned());
                self.0.len() - 1
            }
        };
        Ok(Slot(at as u16))
    }

    pub(super) fn finish(self) -> Arc<[String]> {
        self.0.into()
    }
}

#[derive(Clone, Copy, Default, Debug)]
struct Place {
    start: u32,
    end: u32,
    /// The line it belongs to.
    line: u32,
}

/// Values of one line.
#[derive(Clone, Default, Debug)]
pub(super) struct Values {
    names: Option<Arc<[String]>>,
    text: String,
    places: Vec<Place>,
    line: u32,
    /// Values that did not fit since this was last asked.
    pub(super) refused: u32,
}

/// `start` of a value that was removed: the label the line came with does not stand in for it.
const REMOVED: u32 = u32::MAX;

impl Values {
    pub(super) fn new(names: Arc<[String]>) -> Self {
        let places = vec![Place::default(); names.len()];
        Values { names: Some(names), places, line: 1, ..Values::default() }
    }

    /// Names by slot.
    pub(super) fn names(&self) -> &[String] {
        self.names.as_deref().unwrap_or(&[])
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.line = self.line.wrapping_add(1);
        if self.line == 0 {
            self.places.fill(Place::default());
            self.line = 1;
        }
    }

    /// What a stage put there.
    pub(super) fn of_line(&self, slot: Slot) -> Option<&str> {
        let place = self.places.get(slot.index()).filter(|p| p.line == self.line && p.start != REMOVED)?;
        self.text.get(place.start as usize..place.end as usize)
    }

    /// As [`of_line`](Self::of_line), by the slot's number.
    pub(super) fn of_index(&self, index: usize) -> Option<&str> {
        self.of_line(Slot(u16::try_from(index).ok()?))
    }

    /// As [`of_line`](Self::of_line), or the label of that name that the line came with.
    pub(super) fn get<'a>(&'a self, slot: Slot, labels: &'a LabelSet) -> Option<&'a str> {
        let place = self.places.get(slot.index())?;
        if place.line == self.line {
            return self.of_line(slot);
        }
        labels.initial().get(self.names().get(slot.index())?)
    }

    fn put(&mut self, slot: Slot, start: usize, end: usize) {
        if let Some(place) = self.places.get_mut(slot.index()) {
            *place = Place { start: start as u32, end: end as u32, line: self.line };
        }
    }

    pub(super) fn set(&mut self, slot: Slot, value: &str) {
        let start = self.text.len();
        if start + value.len() > TEXT_MAX_BYTES {
            self.refused += 1;
            return;
        }
        self.text.push_str(value);
        self.put(slot, start, self.text.len());
    }

    /// As [`set`](Self::set); what is not UTF-8 is replaced.
    pub(super) fn set_bytes(&mut self, slot: Slot, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(value) => self.set(slot, value),
            Err(_) => self.set(slot, &String::from_utf8_lossy(value)),
        }
    }

    /// Removes a value, a label's of that name too.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.put(slot, REMOVED as usize, 0);
    }

    /// Takes back what this line put there: as if no stage had.
    pub(super) fn forget(&mut self, slot: Slot) {
        if let Some(place) = self.places.get_mut(slot.index()) {
            *place = Place::default();
        }
    }

    /// All values that stages put there: slot and text.
    pub(super) fn each(&self, mut each: impl FnMut(&str, &str)) {
        for (at, name) in self.names().iter().enumerate() {
            if let Some(value) = self.of_line(Slot(at as u16)) {
                each(name, value);
            }
        }
    }
}
