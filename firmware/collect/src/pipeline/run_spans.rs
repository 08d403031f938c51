//! Pipelines over spans.

use super::compiled::{Compiled, Outcome, Pipeline, Step};
use super::config::Place;
use super::fields::Fields;
use super::logs::Redactor;
use bramble_runtime::Budget;
use bramble_signal::attributes::{
    ArrayRef, AttributeValue, AttributesRef, put_array, put_attribute, put_key, put_list, put_value,
};
use bramble_signal::{Signal, Span32, SpanBatch, SpanEvent, put_event};
use bramble_storage::WriteError;
use std::convert::Infallible;

impl Compiled {
    /// Runs a batch through all pipelines for spans.
    ///
    /// # Errors
    /// [`WriteError::OverBudget`] when a limiter says so.
    pub(super) fn spans(&self, batch: &mut SpanBatch, receive: &Budget) -> Result<Outcome, WriteError> {
        let mut total = Outcome::default();
        for pipeline in self.of(Signal::Traces) {
            pipeline.check_limits(Signal::Traces, receive, batch.memory_bytes(), true)?;
            let one = run(pipeline, batch);
            total.items += one.items;
            total.changed |= one.changed;
        }
        Ok(total)
    }
}

fn run(pipeline: &Pipeline, batch: &mut SpanBatch) -> Outcome {
    let matches = |resource: &bramble_signal::ResourceEntry| {
        pipeline.selector.matches_resource(batch.attributes(resource.attributes))
    };
    let selected: Vec<bool> = batch.resources.iter().map(matches).collect();
    let is_selected = |resource: usize| selected.get(resource).copied().unwrap_or(false);
    let mut outcome = Outcome::default();
    for step in &pipeline.steps {
        match step {
            Step::Attributes(actions) => {
                let (of_resources, of_spans) = actions.are_for();
                for at in (0..batch.resources.len()).filter(|&at| of_resources && is_selected(at)) {
                    let act = |fields: &mut Fields<'_>| actions.change_attributes(Place::Resource, fields);
                    outcome.changed |= change(batch, Owner::Resource(at), act);
                }
                for at in (0..batch.spans.len()).filter(|_| of_spans) {
                    if batch.spans.get(at).is_some_and(|span| is_selected(span.resource as usize)) {
                        let act = |fields: &mut Fields<'_>| actions.change_attributes(Place::Item, fields);
                        outcome.changed |= change(batch, Owner::Span(at), act);
                    }
                }
            }
            Step::Filter { filter, keep, counters } => {
                let mut spans = std::mem::take(&mut batch.spans);
                let before = spans.len();
                spans.retain(|span| !is_selected(span.resource as usize) || filter.meets_span(batch, span) == *keep);
                let gone = (before - spans.len()) as u64;
                batch.spans = spans;
                counters.dropped(Signal::Traces, gone);
                outcome.items += gone;
            }
            Step::Limit(..) | Step::Relabel(..) | Step::Stages(..) => {}
        }
    }
    outcome.changed |= outcome.items > 0;
    outcome
}

/// Whose attributes, by index.
#[derive(Clone, Copy)]
enum Owner {
    Resource(usize),
    Span(usize),
}

impl Owner {
    fn attributes(self, batch: &mut SpanBatch) -> Option<&mut Span32> {
        match self {
            Owner::Resource(at) => batch.resources.get_mut(at).map(|resource| &mut resource.attributes),
            Owner::Span(at) => batch.spans.get_mut(at).map(|span| &mut span.attributes),
        }
    }
}

/// Changes attributes; whether they are others.
fn change(batch: &mut SpanBatch, owner: Owner, act: impl Fn(&mut Fields<'_>)) -> bool {
    let Some(old) = owner.attributes(batch).copied() else { return false };
    let mut fields = Fields::of_attributes(batch.attributes(old));
    act(&mut fields);
    if !fields.changed {
        return false;
    }
    let mut encoded = Vec::new();
    fields.encode_attributes(&mut encoded);
    let new = batch.put(&encoded);
    if let Some(place) = owner.attributes(batch) {
        *place = new;
    }
    true
}

/// Takes secrets out of attributes of resources, spans and events, and out of status messages; says how many.
pub(super) fn redact_spans(redactor: &Redactor, batch: &mut SpanBatch) -> u64 {
    let mut work = Redaction { redactor, clean: Vec::new(), hits: 0 };
    let mut encoded = Vec::new();
    for at in 0..batch.resources.len() {
        work.attributes_of(batch, Owner::Resource(at), &mut encoded);
    }
    for at in 0..batch.spans.len() {
        work.attributes_of(batch, Owner::Span(at), &mut encoded);
        work.events_at(batch, at, &mut encoded);
        let message = batch.spans.get(at).map(|span| span.status_message).unwrap_or_default();
        if !message.is_empty() && work.finds(batch.bytes(message)) {
            let clean = std::mem::take(&mut work.clean);
            let message = batch.put(&clean);
            if let Some(span) = batch.spans.get_mut(at) {
                span.status_message = message;
            }
            work.clean = clean;
        }
    }
    work.hits
}

/// Redaction of one batch.
struct Redaction<'r> {
    redactor: &'r Redactor,
    clean: Vec<u8>,
    hits: u64,
}

impl Redaction<'_> {
    /// Whether there are secrets in a text, which is then clean in `self.clean`.
    fn finds(&mut self, text: &[u8]) -> bool {
        let found = self.redactor.redact(text, &mut self.clean);
        self.hits += found.map_or(0, |count| u64::from(count.get()));
        found.is_some()
    }

    fn attributes_of(&mut self, batch: &mut SpanBatch, owner: Owner, encoded: &mut Vec<u8>) {
        let Some(old) = owner.attributes(batch).copied().filter(|old| !old.is_empty()) else { return };
        if !self.any(batch.attributes(old)) {
            return;
        }
        encoded.clear();
        self.rewrite(batch.attributes(old), encoded);
        let new = batch.put(encoded);
        if let Some(place) = owner.attributes(batch) {
            *place = new;
        }
    }

    /// Whether there are secrets in any text: nearly never, so that nothing is copied to find out.
    fn any(&mut self, attributes: AttributesRef<'_>) -> bool {
        attributes.iter().any(|(_, value)| self.any_in(value))
    }

    fn any_in(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Str(text) => self.redactor.redact(text.as_bytes(), &mut self.clean).is_some(),
            AttributeValue::Array(array) => array.iter().any(|value| self.any_in(value)),
            AttributeValue::List(list) => self.any(list),
            _ => false,
        }
    }

    fn events_at(&mut self, batch: &mut SpanBatch, at: usize, encoded: &mut Vec<u8>) {
        let Some(span) = batch.spans.get(at).copied().filter(|span| !span.events.is_empty()) else { return };
        if !batch.events(&span).any(|event| self.any(event.attributes)) {
            return;
        }
        let mut attributes = Vec::new();
        encoded.clear();
        for event in batch.events(&span) {
            attributes.clear();
            self.rewrite(event.attributes, &mut attributes);
            put_event(encoded, &SpanEvent { attributes: AttributesRef::from_encoded(&attributes), ..event });
        }
        let events = batch.put(encoded);
        if let Some(span) = batch.spans.get_mut(at) {
            span.events = events;
        }
    }

    /// Appends attributes with clean texts.
    fn rewrite(&mut self, attributes: AttributesRef<'_>, out: &mut Vec<u8>) {
        for (key, value) in attributes.iter() {
            match value {
                AttributeValue::Str(_) | AttributeValue::Array(_) | AttributeValue::List(_) => {
                    put_key(out, key);
                    self.value(value, out);
                }
                other => put_attribute(out, key, other),
            }
        }
    }

    fn value(&mut self, value: AttributeValue<'_>, out: &mut Vec<u8>) {
        match value {
            AttributeValue::Str(text) => match self.finds(text.as_bytes()) {
                // A mark in place of a part of UTF-8 is UTF-8.
                true => put_value(out, AttributeValue::Str(&String::from_utf8_lossy(&self.clean))),
                false => put_value(out, value),
            },
            AttributeValue::Array(array) => self.array(array, out),
            AttributeValue::List(list) => {
                let nested = put_list(out, |out| {
                    self.rewrite(list, out);
                    Ok::<(), Infallible>(())
                });
                let Ok(()) = nested;
            }
            other => put_value(out, other),
        }
    }

    fn array(&mut self, array: ArrayRef<'_>, out: &mut Vec<u8>) {
        let nested = put_array(out, |out| {
            array.iter().for_each(|value| self.value(value, out));
            Ok::<(), Infallible>(())
        });
        let Ok(()) = nested;
    }
}
