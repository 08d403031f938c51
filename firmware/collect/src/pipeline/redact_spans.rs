//! Secrets out of what is pushed: texts of spans.

use super::logs::Redactor;
use super::run_spans::Owner;
use bramble_signal::attributes::{
    ArrayRef, AttributeValue, AttributesRef, put_array, put_key, put_value, take_encoded,
};
use bramble_signal::{SpanBatch, SpanEvent, put_event};
use std::convert::Infallible;
use std::num::NonZeroU32;

/// Takes secrets out of attributes of resources, spans and events, and out of status messages; says how many.
pub(super) fn redact_spans(redactor: &Redactor, batch: &mut SpanBatch) -> u64 {
    let mut work = Redaction { redactor, text: Vec::new(), hits: 0 };
    let mut encoded = Vec::new();
    for at in 0..batch.resources.len() {
        work.attributes_of(batch, Owner::Resource(at), &mut encoded);
    }
    for at in 0..batch.spans.len() {
        work.attributes_of(batch, Owner::Span(at), &mut encoded);
        work.events_at(batch, at, &mut encoded);
        work.message_at(batch, at);
    }
    work.hits
}

/// Redaction of one batch.
struct Redaction<'r> {
    redactor: &'r Redactor,
    /// The text that was looked at last, if there was a secret in it.
    text: Vec<u8>,
    hits: u64,
}

impl Redaction<'_> {
    fn count(&mut self, found: Option<NonZeroU32>) -> bool {
        self.hits += found.map_or(0, |count| u64::from(count.get()));
        found.is_some()
    }

    fn attributes_of(&mut self, batch: &mut SpanBatch, owner: Owner, encoded: &mut Vec<u8>) {
        let Some(old) = owner.attributes(batch).copied().filter(|old| !old.is_empty()) else { return };
        encoded.clear();
        if self.clean(batch.bytes(old), encoded) {
            let new = batch.put(encoded);
            if let Some(place) = owner.attributes(batch) {
                *place = new;
            }
        }
    }

    fn message_at(&mut self, batch: &mut SpanBatch, at: usize) {
        let Some(message) = batch.spans.get(at).map(|span| span.status_message).filter(|m| !m.is_empty()) else {
            return;
        };
        let found = self.redactor.redact(batch.bytes(message), &mut self.text);
        if self.count(found) {
            let message = batch.put(&self.text);
            if let Some(span) = batch.spans.get_mut(at) {
                span.status_message = message;
            }
        }
    }

    fn events_at(&mut self, batch: &mut SpanBatch, at: usize, encoded: &mut Vec<u8>) {
        let Some(span) = batch.spans.get(at).copied().filter(|span| !span.events.is_empty()) else { return };
        let (before, mut attributes) = (self.hits, Vec::new());
        encoded.clear();
        for event in batch.events(&span) {
            attributes.clear();
            let is_clean = !self.clean(event.attributes.as_bytes(), &mut attributes);
            let clean = if is_clean { event.attributes } else { AttributesRef::from_encoded(&attributes) };
            put_event(encoded, &SpanEvent { attributes: clean, ..event });
        }
        if self.hits > before {
            let events = batch.put(encoded);
            if let Some(span) = batch.spans.get_mut(at) {
                span.events = events;
            }
        }
    }

    /// Looks at encoded attributes. Whether there was a secret: then all of them, clean, are appended to `out`, which is as
    /// it was otherwise. Nothing is copied before something has one.
    fn clean(&mut self, attributes: &[u8], out: &mut Vec<u8>) -> bool {
        let (mut rest, mut copied, mut found, mut value_out) = (attributes, 0, false, Vec::new());
        while !rest.is_empty() {
            let (start, attribute) = (attributes.len() - rest.len(), rest);
            if take_encoded(&mut rest).is_none() {
                break;
            }
            let Some((key, value)) = AttributesRef::from_encoded(attribute).iter().next() else { continue };
            value_out.clear();
            if !self.put_clean(key, value, &mut value_out) {
                continue;
            }
            out.extend_from_slice(attributes.get(copied..start).unwrap_or(&[]));
            put_key(out, key);
            out.extend_from_slice(&value_out);
            copied = attributes.len() - rest.len();
            found = true;
        }
        if found {
            out.extend_from_slice(attributes.get(copied..).unwrap_or(&[]));
        }
        found
    }

    /// Appends a value without its secrets, if it has any; whether it has.
    fn put_clean(&mut self, key: &str, value: AttributeValue<'_>, out: &mut Vec<u8>) -> bool {
        match value {
            AttributeValue::Str(text) => {
                let found = self.redactor.redact_field(key, text.as_bytes(), &mut self.text);
                let found = self.count(found);
                if found {
                    put_value(out, AttributeValue::Str(&String::from_utf8_lossy(&self.text)));
                }
                found
            }
            AttributeValue::Array(array) => self.put_clean_array(key, array, out),
            AttributeValue::List(list) => {
                let mut inner = Vec::new();
                let found = self.clean(list.as_bytes(), &mut inner);
                if found {
                    put_value(out, AttributeValue::List(AttributesRef::from_encoded(&inner)));
                }
                found
            }
            _ => false,
        }
    }

    fn put_clean_array(&mut self, key: &str, array: ArrayRef<'_>, out: &mut Vec<u8>) -> bool {
        let (before, start) = (self.hits, out.len());
        let Ok(()) = put_array(out, |out| {
            for value in array.iter() {
                if !self.put_clean(key, value, out) {
                    put_value(out, value);
                }
            }
            Ok::<(), Infallible>(())
        });
        if self.hits == before {
            out.truncate(start);
        }
        self.hits > before
    }
}
