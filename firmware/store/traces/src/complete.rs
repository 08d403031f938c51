//! Which attributes there are and which values they have: from dictionaries and columns, without putting spans together.

use crate::group_read::{Column, ColumnRef};
use crate::group_write::GroupEntry;
use crate::head::Generation;
use crate::open_group::{OpenGroup, Stop};
use crate::read::Snapshot;
use crate::scan::HEAD_STEP;
use crate::shape::{HAS_EVENTS, HAS_LINKS};
use crate::store::TraceStore;
use crate::view::{ValueType, resource_parts, scope_parts, template_items};
use bramble_signal::attributes::{ArrayRef, AttributeValue, AttributesRef};
use bramble_signal::{events, links};
use bramble_storage::{AttributeScope, FoundValue, QueryContext, QueryStats, ReadError, SpanFields};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// About what a name or value takes in the answer beside its text.
const ITEM_BYTES: usize = 72;

/// What is collected: distinct items, ascending, until there are enough or memory ends.
struct Found<'c, T> {
    items: BTreeSet<T>,
    limit: usize,
    partial: bool,
    context: &'c QueryContext,
}

impl<T: Ord> Found<'_, T> {
    /// Enters an item of so many bytes. Breaks when no more is wanted.
    fn add(&mut self, item: T, bytes: usize) -> ControlFlow<()> {
        if self.items.contains(&item) {
            return ControlFlow::Continue(());
        }
        if self.items.len() >= self.limit || self.context.try_reserve(bytes + ITEM_BYTES).is_err() {
            self.partial = true;
            return ControlFlow::Break(());
        }
        self.items.insert(item);
        ControlFlow::Continue(())
    }
}

/// Someone who is shown dictionaries and columns; `Break` when there is enough.
trait Completion {
    /// Whether attributes of a scope are of interest.
    fn wants(&self, scope: AttributeScope) -> bool;
    /// A list of attributes.
    fn list(&mut self, scope: AttributeScope, list: AttributesRef<'_>) -> ControlFlow<()>;
    /// The key of a column or template.
    fn key(&mut self, scope: AttributeScope, key: &str) -> ControlFlow<()>;
    /// Whether the values under this key are to be shown.
    fn wants_values(&self, key: &str) -> bool;
    /// A value under a key that [`wants_values`](Self::wants_values).
    fn value(&mut self, value: &AttributeValue<'_>) -> ControlFlow<()>;
}

struct Names<'c> {
    scope: AttributeScope,
    found: Found<'c, (AttributeScope, String)>,
}

impl Completion for Names<'_> {
    fn wants(&self, scope: AttributeScope) -> bool {
        self.scope == scope || self.scope == AttributeScope::Any
    }
    fn list(&mut self, scope: AttributeScope, list: AttributesRef<'_>) -> ControlFlow<()> {
        list.iter().try_for_each(|(key, _)| self.key(scope, key))
    }
    fn key(&mut self, scope: AttributeScope, key: &str) -> ControlFlow<()> {
        self.found.add((scope, key.to_owned()), key.len())
    }
    fn wants_values(&self, _: &str) -> bool {
        false
    }
    fn value(&mut self, _: &AttributeValue<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

struct Values<'c, 'k> {
    scope: AttributeScope,
    key: &'k str,
    found: Found<'c, FoundValue>,
}

impl Completion for Values<'_, '_> {
    fn wants(&self, scope: AttributeScope) -> bool {
        use AttributeScope::{Event, Link};
        self.scope == scope || (self.scope == AttributeScope::Any && !matches!(scope, Event | Link))
    }
    fn list(&mut self, _: AttributeScope, list: AttributesRef<'_>) -> ControlFlow<()> {
        let key = self.key;
        list.iter().filter(|(k, _)| *k == key).try_for_each(|(_, value)| self.value(&value))
    }
    fn key(&mut self, _: AttributeScope, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn wants_values(&self, key: &str) -> bool {
        key == self.key
    }
    fn value(&mut self, value: &AttributeValue<'_>) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        FoundValue::each_of(value, &mut |value| {
            let bytes = if let FoundValue::Text(text) = &value { text.len() } else { 0 };
            if flow.is_continue() {
                flow = self.found.add(value, bytes);
            }
        });
        flow
    }
}

impl TraceStore {
    /// Keys of attributes, see [`TraceSource::attribute_names`](bramble_storage::TraceSource::attribute_names).
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn names_of(
        &self,
        scope: AttributeScope,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<(AttributeScope, String)>, bool), ReadError> {
        let found = Found { items: BTreeSet::new(), limit, partial: false, context };
        let mut names = Names { scope, found };
        self.complete(range_ns, context, &mut names)?;
        Ok((names.found.items.into_iter().collect(), names.found.partial))
    }

    /// Values of an attribute, see [`TraceSource::attribute_values`](bramble_storage::TraceSource::attribute_values).
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn values_of(
        &self,
        (scope, key): (AttributeScope, &str),
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<FoundValue>, bool), ReadError> {
        let found = Found { items: BTreeSet::new(), limit, partial: false, context };
        let mut values = Values { scope, key, found };
        self.complete(range_ns, context, &mut values)?;
        Ok((values.found.items.into_iter().collect(), values.found.partial))
    }

    /// Shows everything, the newest first.
    fn complete(
        &self,
        (start_ns, end_ns): (u64, u64),
        context: &QueryContext,
        to: &mut dyn Completion,
    ) -> Result<(), ReadError> {
        let snapshot: Snapshot = self.snapshot();
        for (generation, watermark) in snapshot.generations.iter().rev() {
            {
                let generation = generation.read();
                if *watermark == 0 || generation.min_start_ns > end_ns || generation.max_start_ns < start_ns {
                    continue;
                }
                if dictionaries_of_head(&generation, to).is_break() {
                    return Ok(());
                }
            }
            for from in (0..*watermark).step_by(HEAD_STEP) {
                context.check()?;
                if spans_of_head(&generation.read(), from..(from + HEAD_STEP).min(*watermark), to).is_break() {
                    return Ok(());
                }
            }
        }
        for number in snapshot.blocks_in(start_ns, end_ns).into_iter().rev() {
            let Some(block) = snapshot.blocks.get(number) else { continue };
            context.check()?;
            QueryStats::add(&context.stats.blocks, 1);
            let index = self.survive(context, block, block.index().map_err(Stop::from))?;
            let groups = index.iter().flat_map(|index| &index.groups);
            let inside = |g: &&GroupEntry| g.min_start_ns <= end_ns && g.max_start_ns >= start_ns;
            for entry in groups.filter(inside) {
                let outcome = OpenGroup::open(block, entry, context).and_then(|mut group| in_group(&mut group, to));
                if let Some(ControlFlow::Break(())) = self.survive(context, block, outcome)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn dictionaries<'d>(
    resources: impl Iterator<Item = &'d [u8]>,
    scopes: impl Iterator<Item = &'d [u8]>,
    to: &mut dyn Completion,
) -> ControlFlow<()> {
    if to.wants(AttributeScope::Resource) {
        for resource in resources {
            to.list(AttributeScope::Resource, AttributesRef::from_encoded(resource_parts(resource).2))?;
        }
    }
    if to.wants(AttributeScope::Instrumentation) {
        for scope in scopes {
            to.list(AttributeScope::Instrumentation, AttributesRef::from_encoded(scope_parts(scope).2))?;
        }
    }
    ControlFlow::Continue(())
}

fn dictionaries_of_head(generation: &Generation, to: &mut dyn Completion) -> ControlFlow<()> {
    dictionaries(generation.resources.iter(), generation.scopes.iter(), to)?;
    if to.wants(AttributeScope::Span) {
        for template in generation.templates.iter() {
            for (_, key) in template_items(template) {
                to.key(AttributeScope::Span, key)?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// What the head has no dictionaries of: values, and attributes of events and links.
fn spans_of_head(generation: &Generation, range: std::ops::Range<usize>, to: &mut dyn Completion) -> ControlFlow<()> {
    let (own, of_events, of_links) =
        (to.wants(AttributeScope::Span), to.wants(AttributeScope::Event), to.wants(AttributeScope::Link));
    if !own && !of_events && !of_links {
        return ControlFlow::Continue(());
    }
    // By template: whether it has a key whose values are wanted.
    let wanted: Vec<bool> = match own {
        true => generation.templates.iter().map(|t| template_items(t).any(|(_, key)| to.wants_values(key))).collect(),
        false => Vec::new(),
    };
    let mut scratch = Vec::new();
    for at in range {
        let Some(span) = generation.spans.get(at) else { break };
        let shape = generation.shapes.get(span.shape);
        let own = wanted.get(shape.template as usize) == Some(&true);
        let has = own || (of_events && shape.has(HAS_EVENTS)) || (of_links && shape.has(HAS_LINKS));
        if !has {
            continue;
        }
        let Some(view) = generation.view_of(at as u32, &SpanFields::ALL, &mut scratch) else { continue };
        if own {
            to.list(AttributeScope::Span, AttributesRef::from_encoded(view.attributes))?;
        }
        if of_events {
            events(view.events).try_for_each(|event| to.list(AttributeScope::Event, event.attributes))?;
        }
        if of_links {
            links(view.links).try_for_each(|link| to.list(AttributeScope::Link, link.attributes))?;
        }
    }
    ControlFlow::Continue(())
}

fn in_group(group: &mut OpenGroup<'_>, to: &mut dyn Completion) -> Result<ControlFlow<()>, Stop> {
    if dictionaries(group.header.resources.iter(), group.header.scopes.iter(), to).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    if to.wants(AttributeScope::Span) {
        for number in 0..group.header.columns.len() {
            let Some(at) = group.header.columns.get(number) else { break };
            let is_rest = at.value_type == ValueType::Rest;
            if !is_rest && to.key(AttributeScope::Span, &at.key).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if !is_rest && !to.wants_values(&at.key) {
                continue;
            }
            group.load_column(number)?;
            let mut durations = Vec::new();
            if let Some(Column::Duration(_)) = group.column(number) {
                group.load_times()?;
                let has = group.values_per_shape(number);
                let has = |shape: &u32| has.get(*shape as usize).is_some_and(|n| *n > 0);
                let rows = group.shape_of().iter().zip(group.durations());
                durations.extend(rows.filter(|(shape, _)| has(shape)).map(|(_, duration)| *duration));
            }
            let (Some(at), Some(column)) = (group.header.columns.get(number), group.column(number)) else { break };
            if values(AttributeScope::Span, at, column, &durations, to).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    for scope in [AttributeScope::Event, AttributeScope::Link] {
        if to.wants(scope) && in_table(group, scope, to)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn in_table(
    group: &mut OpenGroup<'_>,
    scope: AttributeScope,
    to: &mut dyn Completion,
) -> Result<ControlFlow<()>, Stop> {
    let is_link = scope == AttributeScope::Link;
    let table = if is_link { &group.header.link_table } else { &group.header.event_table };
    let mut ask = false;
    for at in &table.columns {
        let is_rest = at.value_type == ValueType::Rest;
        if !is_rest && to.key(scope, &at.key).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        ask |= is_rest || to.wants_values(&at.key);
    }
    if !ask {
        return Ok(ControlFlow::Continue(()));
    }
    group.load_tables()?;
    let Some(tables) = group.tables() else { return Ok(ControlFlow::Continue(())) };
    let (table, columns) = match is_link {
        true => (&group.header.link_table, &tables.link_columns),
        false => (&group.header.event_table, &tables.event_columns),
    };
    for (at, column) in table.columns.iter().zip(columns) {
        if (at.value_type == ValueType::Rest || to.wants_values(&at.key))
            && values(scope, at, column, &[], to).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Shows the values of a column, numbers several times; `durations` are those of the spans that have the column.
fn values(
    scope: AttributeScope,
    at: &ColumnRef,
    column: &Column,
    durations: &[i64],
    to: &mut dyn Completion,
) -> ControlFlow<()> {
    match column {
        Column::Empty => ControlFlow::Continue(()),
        Column::Bools(values) => {
            [0, 1].into_iter().filter(|b| values.contains(b)).try_for_each(|b| to.value(&AttributeValue::Bool(b != 0)))
        }
        Column::Ints(values) => values
            .chunk_by(|a, b| a == b)
            .filter_map(|run| run.first())
            .try_for_each(|i| to.value(&AttributeValue::Int(*i))),
        Column::Doubles(values) => values.iter().try_for_each(|d| to.value(&AttributeValue::Double(*d))),
        Column::Duration(unit) => {
            durations.iter().try_for_each(|d| to.value(&AttributeValue::Double(*d as f64 / unit)))
        }
        Column::Texts(texts) => texts.list.iter().try_for_each(|bytes| match at.value_type {
            ValueType::Text => to.value(&AttributeValue::Str(std::str::from_utf8(bytes).unwrap_or(""))),
            ValueType::Array => to.value(&AttributeValue::Array(ArrayRef::from_encoded(bytes))),
            ValueType::Rest => to.list(scope, AttributesRef::from_encoded(bytes)),
            _ => ControlFlow::Continue(()),
        }),
    }
}
