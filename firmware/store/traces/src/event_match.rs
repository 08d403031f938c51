//! Which spans of a group have an event or a link that passes a test, by their tables.

use crate::group_read::{Column, Position, TableRef};
use crate::open_group::OpenGroup;
use crate::row_set::RowSet;
use crate::shape::{HAS_EVENTS, HAS_LINKS};
use crate::values::{NumberTest, Passing, passing_values};
use crate::view::ValueType;
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};

/// A column of the table's attributes in which a passing value may be.
struct Asked<'t> {
    column: &'t Column,
    passing: Passing,
    position: Position,
    number: NumberTest,
}

impl Asked<'_> {
    /// Whether the next value, of a span of this trace, passes.
    fn next(&mut self, trace: u32) -> bool {
        let at = self.position.step(self.column.per_trace(), trace);
        match (&self.passing, self.column) {
            (Passing::All, _) => true,
            (Passing::Values(set), _) => set.contains(at),
            (Passing::Texts(set), Column::Texts(texts)) => {
                texts.ids.get(at).is_some_and(|id| set.contains(*id as usize))
            }
            // Events and links have no duration.
            (Passing::Duration(unit), _) => self.number.double(0.0 / unit),
            _ => false,
        }
    }
}

/// Columns of a table in which a test may find something, by number.
fn asked<'t>(table: &TableRef, columns: &'t [Column], key: &str, test: &ValueTest) -> Vec<Option<Asked<'t>>> {
    let ask = |(column, at): (&'t Column, &crate::group_read::ColumnRef)| {
        if at.key != key && at.value_type != ValueType::Rest {
            return None;
        }
        let passing = passing_values(key, test, column, at.value_type);
        Some(Asked { column, passing, position: Position::START, number: NumberTest::new(test) })
    };
    columns.iter().zip(&table.columns).map(ask).collect()
}

/// The rows with such an event or link; `None` at damage.
pub(crate) fn spans_with(group: &OpenGroup<'_>, leaf: &SpanPredicate) -> Option<RowSet> {
    let (header, tables) = (&group.header, group.tables()?);
    let (events, links) = (&tables.events, &tables.links);
    Some(match leaf {
        SpanPredicate::EventName(test) => {
            let passes =
                |id: usize| test.accepts_text(std::str::from_utf8(header.event_names.get(id as u32)).unwrap_or(""));
            let names = RowSet::accepted(header.event_names.len(), passes);
            let mut passes = |row: usize, _| Some(names.contains(*events.name_of.get(row)? as usize));
            spans(group, HAS_EVENTS, &events.counts, &mut passes)?
        }
        SpanPredicate::Attribute { scope, key, test } => {
            let of_links = *scope == AttributeScope::Link;
            let (has, counts, table, templates, columns) = match of_links {
                true => (HAS_LINKS, &links.counts, &header.link_table, &links.template_of, &tables.link_columns),
                false => (HAS_EVENTS, &events.counts, &header.event_table, &events.template_of, &tables.event_columns),
            };
            let mut asked = asked(table, columns, key, test);
            let mut passes = |row: usize, trace: u32| {
                let mut passes = false;
                for &column in table.templates.get(*templates.get(row)? as usize)? {
                    // Every value is passed, so that the next row's is found.
                    passes |= asked.get_mut(column as usize)?.as_mut().is_some_and(|asked| asked.next(trace));
                }
                Some(passes)
            };
            spans(group, has, counts, &mut passes)?
        }
        _ => RowSet::none(group.spans()),
    })
}

/// Spans of which a row of the table passes, by the row's and the trace's number.
fn spans(
    group: &OpenGroup<'_>,
    has: u8,
    counts: &[u32],
    passes: &mut dyn FnMut(usize, u32) -> Option<bool>,
) -> Option<RowSet> {
    let mut found = RowSet::none(group.spans());
    let (mut counts, mut from) = (counts.iter(), 0);
    for trace in 0..group.header.traces {
        for row in group.rows_of(trace) {
            let shape = group.header.shapes.get(*group.shape_of().get(row)? as usize)?;
            if !shape.has(has) {
                continue;
            }
            let to = from + *counts.next()? as usize;
            for at in from..to {
                if passes(at, trace as u32)? {
                    found.insert(row);
                }
            }
            from = to;
        }
    }
    Some(found)
}
