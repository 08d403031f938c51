//! Tests on metadata, asked of a group's columns by name: no entry's metadata is put together for them.

use super::examine::{Asked, CHECK_EVERY, Hits};
use crate::group::Group;
use crate::metadata::{OnlyEntriesTell, ValuesOf};
use bramble_signal::{MatchOp, Matcher};
use bramble_storage::{QueryContext, ReadError};

/// A test on metadata, and the values that it is about.
pub(super) struct Field<'g> {
    matcher: &'g Matcher,
    /// Those of the floating label, and those under the name itself where they count.
    values: [Option<ValuesOf<'g>>; 2],
}

impl Field<'_> {
    fn accepts(&self, at: usize, scratch: &mut Vec<u8>) -> bool {
        for values in self.values.iter().flatten() {
            if let Some(value) = values.get(at, scratch) {
                return self.accepts_value(value);
            }
        }
        self.matcher.matches_absent()
    }

    fn accepts_value(&self, value: &[u8]) -> bool {
        match self.matcher.op {
            MatchOp::Equal => self.matcher.value.as_bytes() == value,
            MatchOp::NotEqual => self.matcher.value.as_bytes() != value,
            // What is no text cannot be read back either.
            _ => std::str::from_utf8(value).is_ok_and(|value| self.matcher.matches(value)),
        }
    }
}

impl Asked<'_> {
    /// The tests on metadata with the columns they are about.
    pub(super) fn fields<'g>(&'g self, group: &'g Group) -> Result<Vec<Field<'g>>, OnlyEntriesTell> {
        let field = |(matcher, marked, plain): (&'g Matcher, &str, bool)| {
            let own = if plain { group.values_of(&matcher.name)? } else { None };
            Ok(Field { matcher, values: [group.values_of(marked)?, own] })
        };
        self.entries.each().map(field).collect()
    }

    /// Which of `hits` pass all of `fields`.
    pub(super) fn by_fields(&self, fields: &[Field<'_>], hits: Hits) -> Result<Hits, ReadError> {
        let (mut list, mut scratch) = (Vec::new(), Vec::new());
        for (nth, at) in hits.iter().enumerate() {
            if nth % CHECK_EVERY == 0 {
                self.context.map_or(Ok(()), QueryContext::check)?;
            }
            if fields.iter().all(|field| field.accepts(at, &mut scratch)) {
                list.push(at as u32);
            }
        }
        Ok(Hits::Some(list))
    }
}
