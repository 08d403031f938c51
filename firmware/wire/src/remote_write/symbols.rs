//! The table of texts of a request of remote write 2.0, while it is written.

use crate::protobuf::Writer;
use bramble_signal::LabelsRef;
use std::collections::HashMap;

/// Texts by their number, which is their place in the table. The first must be the empty one.
pub(crate) struct Symbols<'a> {
    places: HashMap<&'a str, u32>,
    /// In the order of their numbers.
    pub(crate) texts: Vec<&'a str>,
}

impl<'a> Symbols<'a> {
    /// The table with the empty text.
    pub(crate) fn new() -> Self {
        Symbols { places: HashMap::from([("", 0)]), texts: vec![""] }
    }

    /// The number of a text, which is new or there already.
    pub(crate) fn reference(&mut self, text: &'a str) -> u64 {
        let Symbols { places, texts } = self;
        let next = texts.len() as u32;
        let place = *places.entry(text).or_insert_with(|| {
            texts.push(text);
            next
        });
        u64::from(place)
    }

    /// Writes field 1 of a series or an exemplar: numbers of names and values in turn.
    pub(crate) fn labels(&mut self, w: &mut Writer<'_>, labels: LabelsRef<'a>) {
        w.message(1, |w| {
            for (name, value) in labels.iter() {
                w.packed_varint(self.reference(name));
                w.packed_varint(self.reference(value));
            }
        });
    }
}
