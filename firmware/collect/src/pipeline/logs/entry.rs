//! An entry on its way through: line, time, labels, metadata and the values that were read out of it.
//!
//! It owns all its bytes, in buffers that are used again for the next line: a stage that holds an entry back swaps it with
//! a spare one, and nothing is allocated per line once the buffers have grown.

use super::labels::LabelSet;
use super::values::{Slot, Values};
use bramble_signal::LabelsRef;

/// See the module.
#[derive(Clone, Default, Debug)]
pub(super) struct Entry {
    pub(super) timestamp_ns: i64,
    /// Where the source found the line; of several joined lines, the first's.
    pub(super) mark: u64,
    pub(super) line: Vec<u8>,
    /// Whether the line is known to be UTF-8: `None` until somebody asked.
    utf8: Option<bool>,
    pub(super) labels: LabelSet,
    pub(super) metadata: LabelSet,
    pub(super) values: Values,
    /// A second line, for stages that make one out of the other.
    pub(super) spare: Vec<u8>,
}

impl Entry {
    /// No line yet; values are kept in these slots.
    pub(super) fn of(values: Values) -> Self {
        Entry { values, ..Entry::default() }
    }

    /// Starts a line.
    pub(super) fn start(&mut self, timestamp_ns: i64, mark: u64, line: &[u8], labels: LabelsRef<'_>) {
        (self.timestamp_ns, self.mark, self.utf8) = (timestamp_ns, mark, None);
        self.line.clear();
        self.line.extend_from_slice(line);
        self.labels.start(labels);
        self.values.clear();
    }

    /// The line and the values beside it, for stages that read one into the other.
    pub(super) fn text_and_values(&mut self) -> (Option<&str>, &mut Values) {
        (text(&self.line, &mut self.utf8), &mut self.values)
    }

    /// Says that the line was changed.
    pub(super) fn line_changed(&mut self) {
        self.utf8 = None;
    }

    /// Makes `spare` the line.
    pub(super) fn take_spare(&mut self) {
        std::mem::swap(&mut self.line, &mut self.spare);
        self.utf8 = None;
    }

    /// Makes a value the line; `false` when there is none.
    pub(super) fn value_to_line(&mut self, slot: Slot) -> bool {
        let Entry { values, labels, line, .. } = self;
        let Some(value) = values.get(slot, labels) else { return false };
        line.clear();
        line.extend_from_slice(value.as_bytes());
        self.utf8 = Some(true);
        true
    }

    /// A value: what a stage put there, or the label of this name that the line came with.
    pub(super) fn value(&self, slot: Slot) -> Option<&str> {
        self.values.get(slot, &self.labels)
    }

    /// Gives a label the value of a slot. Without one the label stays as it is.
    pub(super) fn label_from(&mut self, name: &str, slot: Slot) {
        if let Some(value) = self.values.of_line(slot) {
            self.labels.set(name, value);
        } else {
            self.labels.set_from_initial(name, slot.index(), self.values.names());
        }
    }

    /// Gives a key of the metadata the value of a slot.
    pub(super) fn metadata_from(&mut self, name: &str, slot: Slot) {
        if let Some(value) = self.values.get(slot, &self.labels) {
            self.metadata.set(name, value);
        }
    }
}

fn text<'a>(line: &'a [u8], utf8: &mut Option<bool>) -> Option<&'a str> {
    match utf8 {
        Some(false) => None,
        // The check is a fraction of what any stage does with the text.
        _ => {
            let checked = std::str::from_utf8(line).ok();
            *utf8 = Some(checked.is_some());
            checked
        }
    }
}
