//! Names and values of what spans have, for completion.
//!
//! Of all spans they come from the store's own lists. Where a query says which spans, those are read, with no more of
//! them than is asked for: bounded by a number of spans, by the query's time and memory, and by how many names or values
//! are wanted; what is cut off is said in [`Tags::partial`].

use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::interner::Interner;
use crate::metrics::WELL_KNOWN;
use crate::plan::{self, Plan};
use crate::scan;
use crate::syntax::Query;
use crate::syntax::ast::{Field, Intrinsic, Scope};
use bramble_signal::attributes::AttributesRef;
use bramble_storage::{AttributeScope, FoundValue, QueryContext, ReadError, TraceSource};
use std::collections::{BTreeMap, BTreeSet};

/// Most spans that are read for one answer: some seconds on a Pi.
const SPANS_MAX: usize = 500_000;

/// Most names or values in one answer.
const FOUND_MAX: usize = 10_000;

/// What was found, and whether something was left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Tags<T> {
    /// What.
    pub found: T,
    /// More spans, names or values would have been there.
    pub partial: bool,
}

/// Keys of attributes by scope.
pub type Names = BTreeMap<Scope, BTreeSet<String>>;

/// Keys of attributes, of spans that `query` accepts and that start in `range_ns` (inclusive), at most `limit`.
///
/// # Errors
/// As [`names_in`].
pub fn names(
    query: &Query,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
) -> Result<Tags<Names>, ReadError> {
    names_in(query, None, source, range_ns, FOUND_MAX, context)
}

/// Keys of attributes, of one scope or of all, of spans that `query` accepts and that start in `range_ns` (inclusive); at
/// most `limit`, and 10 000. Well-known keys are listed with those of a query when any span of the range has them.
///
/// # Errors
/// [`ReadError`] of the store, but for its deadline: that makes the answer partial.
pub fn names_in(
    query: &Query,
    scope: Option<Scope>,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    limit: usize,
    context: &QueryContext,
) -> Result<Tags<Names>, ReadError> {
    let limit = limit.min(FOUND_MAX);
    let asked = scope.map_or(AttributeScope::Any, store_scope);
    if query.is_everything() {
        let (keys, more) = untimed(source.attribute_names(asked, range_ns, limit, context))?;
        let mut found = Names::new();
        for (scope, key) in keys {
            found.entry(own_scope(scope)).or_default().insert(key);
        }
        return Ok(Tags { found, partial: more });
    }
    let mut plan = plan::of(&query.stages, &[]);
    let wants = |s: Scope| scope.is_none_or(|wanted| wanted == s);
    if wants(Scope::Span) {
        plan.fields.attributes = None;
    }
    plan.fields.events |= wants(Scope::Event);
    plan.fields.links |= wants(Scope::Link);
    let mut keys = Keys { scope, found: Names::new(), count: 0, limit, resource: (0, 0), context };
    let mut partial = each_span(query, &plan, source, range_ns, context, |view, at| {
        keys.of_span(view, at)?;
        Ok(keys.count < limit)
    })?;
    for asked in [Scope::Span, Scope::Resource].into_iter().filter(|s| wants(*s)) {
        let of_scope = WELL_KNOWN.iter().filter(|(scope, _)| *scope == asked).map(|(_, key)| *key);
        let missing: Vec<&str> =
            of_scope.filter(|key| !keys.found.get(&asked).is_some_and(|found| found.contains(*key))).collect();
        let (known, _) = untimed(source.attribute_names(store_scope(asked), range_ns, FOUND_MAX, context))?;
        for (_, key) in known.into_iter().filter(|(_, key)| missing.contains(&key.as_str())) {
            if keys.count >= limit {
                partial = true;
                break;
            }
            keys.count += 1;
            keys.found.entry(asked).or_default().insert(key);
        }
    }
    Ok(Tags { found: keys.found, partial })
}

/// Different values of a field, of spans that `query` accepts and that start in `range_ns` (inclusive).
///
/// # Errors
/// As [`values_in`].
pub fn values(
    query: &Query,
    field: &Field,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
) -> Result<Tags<Vec<Value<'static>>>, ReadError> {
    values_in(query, field, source, range_ns, FOUND_MAX, context)
}

/// Different values of a field, of spans that `query` accepts and that start in `range_ns` (inclusive), by their text; at
/// most `limit`, and 10 000. Fields with a value of its own for nearly every span (ids, times) have none here.
///
/// # Errors
/// [`ReadError`] of the store, but for its deadline: that makes the answer partial.
pub fn values_in(
    query: &Query,
    field: &Field,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    limit: usize,
    context: &QueryContext,
) -> Result<Tags<Vec<Value<'static>>>, ReadError> {
    let limit = limit.min(FOUND_MAX);
    if is_endless(field) || limit == 0 {
        return Ok(Tags { found: Vec::new(), partial: false });
    }
    let (mut found, partial) = match field {
        Field::Attribute(scope, key) if query.is_everything() => {
            let values = source.attribute_values(store_scope(*scope), key, range_ns, limit, context);
            let (values, more) = untimed(values)?;
            (values.into_iter().map(own_value).collect(), more)
        }
        Field::Intrinsic(Intrinsic::Name) if query.is_everything() => operations(source, range_ns, limit, context)?,
        _ => read_values(query, field, source, range_ns, limit, context)?,
    };
    found.sort_by_cached_key(Value::to_string);
    Ok(Tags { found, partial })
}

/// Names of all operations, which the store lists by service.
fn operations(
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    limit: usize,
    context: &QueryContext,
) -> Result<(Vec<Value<'static>>, bool), ReadError> {
    let (start_ns, end_ns) = range_ns;
    let mut found = BTreeSet::new();
    let mut list = || -> Result<(), ReadError> {
        for service in source.services(start_ns, end_ns, context)? {
            for (name, _) in source.operations(&service, start_ns, end_ns, context)? {
                if found.len() <= limit && !found.contains(&name) {
                    context.reserve(128 + name.len())?;
                    found.insert(name);
                }
            }
        }
        Ok(())
    };
    let in_time = match list() {
        Err(ReadError::Timeout) => false,
        other => other.map(|()| true)?,
    };
    let more = found.len() > limit || !in_time;
    Ok((found.into_iter().take(limit).map(|name| Value::Text(name.into())).collect(), more))
}

fn read_values(
    query: &Query,
    field: &Field,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    limit: usize,
    context: &QueryContext,
) -> Result<(Vec<Value<'static>>, bool), ReadError> {
    let plan = plan::of(&query.stages, &[field]);
    let (mut numbers, mut key, mut found) = (Interner::default(), Vec::new(), Vec::new());
    let partial = each_span(query, &plan, source, range_ns, context, |view, at| {
        for value in value_of(view, at, field).singles() {
            key.clear();
            value.write_key(&mut key);
            if *value != Value::Nil && numbers.find(&key).is_none() {
                context.reserve(128 + 2 * key.len())?;
                numbers.insert(&key);
                found.push(value.clone().into_owned());
            }
        }
        Ok(found.len() < limit)
    })?;
    found.truncate(limit);
    Ok((found, partial))
}

/// Shows `each` every span that the query accepts, until a bound is reached or it answers `false`. Answers whether
/// something was left out.
fn each_span(
    query: &Query,
    plan: &Plan,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
    mut each: impl FnMut(&TraceView<'_>, At) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    let mut read = 0;
    let outcome = scan::accepted(&query.stages, plan, source, range_ns, context, |view, at| {
        read += 1;
        Ok(each(view, at)? && read < SPANS_MAX)
    });
    match outcome {
        Ok(to_the_end) => Ok(!to_the_end),
        Err(ReadError::Timeout) => Ok(true),
        Err(e) => Err(e),
    }
}

/// Keys as they are found.
struct Keys<'c> {
    /// The scope that is asked for, or all.
    scope: Option<Scope>,
    found: Names,
    count: usize,
    limit: usize,
    /// Batch and resource that were looked at last: neighbours mostly share theirs.
    resource: (u64, u32),
    context: &'c QueryContext,
}

impl Keys<'_> {
    fn wants(&self, scope: Scope) -> bool {
        self.scope.is_none_or(|wanted| wanted == scope)
    }

    fn of_span(&mut self, view: &TraceView<'_>, at: At) -> Result<(), ReadError> {
        let (batch, Some(span)) = (view.batch, view.spans.get(at)) else { return Ok(()) };
        let resource = (view.batch_number, span.resource);
        if self.wants(Scope::Span) {
            self.note(Scope::Span, batch.attributes(span.attributes))?;
        }
        if self.wants(Scope::Resource) && self.resource != resource {
            self.note(Scope::Resource, batch.resource_attributes(span))?;
            self.resource = resource;
        }
        if let Some(library) = batch.scopes.get(span.scope as usize).filter(|_| self.wants(Scope::Instrumentation)) {
            self.note(Scope::Instrumentation, batch.attributes(library.attributes))?;
        }
        if self.wants(Scope::Event) {
            batch.events(span).try_for_each(|event| self.note(Scope::Event, event.attributes))?;
        }
        if self.wants(Scope::Link) {
            batch.links(span).try_for_each(|link| self.note(Scope::Link, link.attributes))?;
        }
        Ok(())
    }

    fn note(&mut self, scope: Scope, attributes: AttributesRef<'_>) -> Result<(), ReadError> {
        let keys = self.found.entry(scope).or_default();
        for (key, _) in attributes.iter() {
            if self.count < self.limit && !keys.contains(key) {
                self.context.reserve(64 + key.len())?;
                keys.insert(key.to_owned());
                self.count += 1;
            }
        }
        if keys.is_empty() {
            self.found.remove(&scope);
        }
        Ok(())
    }
}

/// Without time the store lists nothing, which is partial.
fn untimed<T>(listed: Result<(Vec<T>, bool), ReadError>) -> Result<(Vec<T>, bool), ReadError> {
    match listed {
        Err(ReadError::Timeout) => Ok((Vec::new(), true)),
        other => other,
    }
}

pub(crate) fn store_scope(scope: Scope) -> AttributeScope {
    match scope {
        Scope::Any => AttributeScope::Any,
        Scope::Span => AttributeScope::Span,
        Scope::Resource => AttributeScope::Resource,
        Scope::Instrumentation => AttributeScope::Instrumentation,
        Scope::Event => AttributeScope::Event,
        Scope::Link => AttributeScope::Link,
    }
}

fn own_scope(scope: AttributeScope) -> Scope {
    match scope {
        AttributeScope::Any => Scope::Any,
        AttributeScope::Span => Scope::Span,
        AttributeScope::Resource => Scope::Resource,
        AttributeScope::Instrumentation => Scope::Instrumentation,
        AttributeScope::Event => Scope::Event,
        AttributeScope::Link => Scope::Link,
    }
}

fn own_value(value: FoundValue) -> Value<'static> {
    match value {
        FoundValue::Bool(b) => Value::Bool(b),
        FoundValue::Int(i) => Value::Int(i),
        FoundValue::Double(bits) => Value::Float(f64::from_bits(bits)),
        FoundValue::Text(text) => Value::Text(text.into()),
    }
}

fn is_endless(field: &Field) -> bool {
    use Intrinsic::*;
    let Field::Intrinsic(intrinsic) = field else { return false };
    !matches!(
        intrinsic,
        Name | Status
            | StatusMessage
            | Kind
            | RootName
            | RootService
            | EventName
            | InstrumentationName
            | InstrumentationVersion
    )
}
