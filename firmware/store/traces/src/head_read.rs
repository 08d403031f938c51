//! Reading the head span by span: which spans of a generation pass a search, and views of them with what is wanted.

use crate::columns::{AttributeSource, Value};
use crate::head::{Generation, HeadSpan};
use crate::judge::{Dictionaries, Judge, Query, Verdict};
use crate::pick::wants;
use crate::view::{SpanView, ValueType, template_items};
use bramble_signal::attributes::{ArrayRef, AttributeValue, AttributesRef, put_attribute};
use bramble_signal::{events, links};
use bramble_storage::{AttributeScope, SpanFields, SpanPredicate, ValueTest};

impl Dictionaries for Generation {
    fn resource(&self, id: u32) -> &[u8] {
        self.resources.get(id)
    }
    fn scope(&self, id: u32) -> &[u8] {
        self.scopes.get(id)
    }
    fn name(&self, id: u32) -> &[u8] {
        self.strings.get(id)
    }
    fn types(&self, template: u32, (key, _): (&str, &ValueTest), _: usize, visit: &mut dyn FnMut(ValueType)) {
        template_items(self.templates.get(template)).filter(|(_, k)| *k == key).for_each(|(t, _)| visit(t));
    }
    fn durations(&self) -> (u64, u64) {
        (0, u64::MAX)
    }
    fn extras_may_pass(&self, _: &SpanPredicate) -> bool {
        true
    }
}

/// Shows a span's attributes, in order. `None` at damage.
fn attributes(
    generation: &Generation,
    template: u32,
    values: &mut impl AttributeSource,
    visit: &mut dyn FnMut(&str, AttributeValue<'_>),
) -> Option<()> {
    for (value_type, key) in template_items(generation.templates.get(template)) {
        let value = match values.next(value_type)? {
            Value::Empty => AttributeValue::Empty,
            Value::Bool(b) => AttributeValue::Bool(b),
            Value::Int(i) => AttributeValue::Int(i),
            Value::Double(d) => AttributeValue::Double(d),
            Value::Bytes(bytes) => match value_type {
                ValueType::Text => AttributeValue::Str(std::str::from_utf8(bytes).unwrap_or("")),
                ValueType::Array => AttributeValue::Array(ArrayRef::from_encoded(bytes)),
                ValueType::List => AttributeValue::List(AttributesRef::from_encoded(bytes)),
                _ => AttributeValue::Bytes(bytes),
            },
        };
        visit(key, value);
    }
    Some(())
}

/// Which spans of one generation pass; keeps what it learned of its shapes.
#[derive(Default)]
pub(crate) struct HeadSearch {
    judge: Judge,
    /// By shape, as many as were there when it was last asked.
    verdicts: Vec<Verdict>,
}

impl HeadSearch {
    /// Numbers of the spans in `range` that pass, appended to `found`.
    pub(crate) fn matching(
        &mut self,
        generation: &Generation,
        query: &Query,
        range: std::ops::Range<usize>,
        found: &mut Vec<u32>,
    ) {
        for shape in generation.shapes.all.iter().skip(self.verdicts.len()) {
            self.verdicts.push(self.judge.judge(&query.test, shape, generation));
        }
        for (at, span) in generation.spans.get(range.clone()).unwrap_or(&[]).iter().enumerate() {
            let verdict = self.verdicts.get(span.shape as usize).copied().unwrap_or(Verdict::Some);
            if verdict != Verdict::None
                && (query.start_ns..=query.end_ns).contains(&span.start_ns)
                && (verdict == Verdict::All || self.passes(generation, (range.start + at) as u32, span, &query.test))
            {
                found.push((range.start + at) as u32);
            }
        }
    }

    fn passes(&mut self, generation: &Generation, at: u32, span: &HeadSpan, test: &SpanPredicate) -> bool {
        let duration = span.end_ns.saturating_sub(span.start_ns);
        match test {
            SpanPredicate::All(parts) => parts.iter().all(|part| self.passes(generation, at, span, part)),
            SpanPredicate::Any(parts) => parts.iter().any(|part| self.passes(generation, at, span, part)),
            SpanPredicate::DurationAtLeast(ns) => duration >= *ns,
            SpanPredicate::DurationAtMost(ns) => duration <= *ns,
            SpanPredicate::Root => span.parent_span_id == [0; 8],
            _ => {
                let shape = generation.shapes.get(span.shape);
                match self.judge.judge(test, &shape, generation) {
                    Verdict::None => false,
                    Verdict::All => true,
                    Verdict::Some => own_passes(generation, at, test).unwrap_or(false),
                }
            }
        }
    }
}

/// Whether a span's own attributes, events or links pass a test of them.
fn own_passes(generation: &Generation, at: u32, leaf: &SpanPredicate) -> Option<bool> {
    let (row, mut values) = generation.row(at)?;
    Some(match leaf {
        SpanPredicate::EventName(test) => events(row.events).any(|event| test.accepts_text(event.name)),
        SpanPredicate::Attribute { scope: AttributeScope::Event, key, test } => {
            events(row.events).any(|event| test.accepts_attribute(event.attributes, key))
        }
        SpanPredicate::Attribute { scope: AttributeScope::Link, key, test } => {
            links(row.links).any(|link| test.accepts_attribute(link.attributes, key))
        }
        SpanPredicate::Attribute { key, test, .. } => {
            let template = generation.shapes.get(row.shape).template;
            let mut passes = false;
            attributes(generation, template, &mut values, &mut |k, value| passes |= k == key && test.accepts(&value))?;
            passes
        }
        _ => false,
    })
}

impl Generation {
    /// A span as a view with what is wanted of it; its attributes are rebuilt in `scratch`. `None` when there is no
    /// such span.
    pub(crate) fn view_of<'a>(
        &'a self,
        at: u32,
        fields: &SpanFields,
        scratch: &'a mut Vec<u8>,
    ) -> Option<SpanView<'a>> {
        let (mut row, mut values) = self.row(at)?;
        scratch.clear();
        if fields.attributes.as_ref().is_none_or(|keys| !keys.is_empty()) {
            attributes(self, self.shapes.get(row.shape).template, &mut values, &mut |key, value| {
                if wants(fields, key) {
                    put_attribute(scratch, key, value);
                }
            })?;
        }
        for (wanted, bytes) in [
            (fields.trace_state, &mut row.trace_state),
            (fields.events, &mut row.events),
            (fields.links, &mut row.links),
        ] {
            if !wanted {
                *bytes = &[];
            }
        }
        Some(SpanView::of(&row, self.shape(row.shape), scratch))
    }
}
