//! Pipelines over spans.

use super::compiled::{Compiled, Outcome, Pipeline, Step};
use super::config::Place;
use super::fields::Fields;
use bramble_runtime::Budget;
use bramble_signal::{Signal, Span32, SpanBatch};
use bramble_storage::WriteError;

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
pub(super) enum Owner {
    Resource(usize),
    Span(usize),
}

impl Owner {
    pub(super) fn attributes(self, batch: &mut SpanBatch) -> Option<&mut Span32> {
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
