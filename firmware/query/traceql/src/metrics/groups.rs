//! Which series a span counts for.
//!
//! A span's values are written one behind the other into one buffer, and that is looked up: no memory for spans of known
//! groups. Groups by what the resource alone says are looked up once for each resource of a batch.

use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::interner::Interner;
use crate::shown::named;
use crate::syntax::ast::{Field, Scope};
use bramble_storage::{QueryContext, ReadError};

/// Most series before `topk` and the like.
const SERIES_MAX: usize = 10_000;

/// Names and values of a series.
pub(super) type Labels = Vec<(String, Value<'static>)>;

pub(super) struct Groups {
    by: Vec<Field>,
    interner: Interner,
    key: Vec<u8>,
    labels: Vec<Labels>,
    by_resource: bool,
    /// Groups by resource of this batch, once they are known.
    known: Vec<Option<u32>>,
    batch_number: u64,
}

impl Groups {
    pub(super) fn of(by: &[Field]) -> Self {
        let of_resource = |field: &Field| matches!(field, Field::Attribute(Scope::Resource, _));
        Groups {
            by: by.to_vec(),
            interner: Interner::default(),
            key: Vec::new(),
            labels: Vec::new(),
            by_resource: by.iter().all(of_resource),
            known: Vec::new(),
            batch_number: 0,
        }
    }

    pub(super) fn labels(&self) -> &[Labels] {
        &self.labels
    }

    /// The number of a span's group; a new one is the last. `bytes` is what a group costs beside its labels.
    pub(super) fn place(
        &mut self,
        view: &TraceView<'_>,
        at: At,
        bytes: usize,
        context: &QueryContext,
    ) -> Result<usize, ReadError> {
        let resource = view.spans.get(at).map_or(0, |span| span.resource as usize);
        if self.by_resource {
            if self.batch_number != view.batch_number || view.batch_number == 0 {
                self.batch_number = view.batch_number;
                self.known.clear();
                self.known.resize(view.batch.resources.len(), None);
            }
            if let Some(group) = self.known.get(resource).copied().flatten() {
                return Ok(group as usize);
            }
        }
        self.key.clear();
        for field in &self.by {
            named(field, value_of(view, at, field)).write_key(&mut self.key);
        }
        let group = match self.interner.find(&self.key) {
            Some(group) => group,
            None => self.insert(view, at, bytes, context)?,
        };
        if let Some(known) = self.known.get_mut(resource).filter(|_| self.by_resource) {
            *known = Some(group as u32);
        }
        Ok(group)
    }

    fn insert(
        &mut self,
        view: &TraceView<'_>,
        at: At,
        bytes: usize,
        context: &QueryContext,
    ) -> Result<usize, ReadError> {
        if self.labels.len() >= SERIES_MAX {
            let text = format!("more than {SERIES_MAX} series: group by something with fewer values");
            return Err(ReadError::Limit(text));
        }
        // The key, the labels' names and values, and their places.
        let names: usize = self.by.iter().map(|field| 96 + field.to_string().len()).sum();
        context.reserve(bytes + 128 + 2 * self.key.len() + names)?;
        let label = |field: &Field| (field.to_string(), named(field, value_of(view, at, field)).into_owned());
        self.labels.push(self.by.iter().map(label).collect());
        Ok(self.interner.insert(&self.key))
    }
}
