//! Which spans of a group pass a search, without putting any of them together: by shape, then by the columns that are
//! left to ask, cheapest first, as long as anything can pass.

use crate::event_match::spans_with;
use crate::group_read::{Column, ColumnRef, GroupHeader, TableRef, damaged};
use crate::group_write::{GroupEntry, PARENT_NONE};
use crate::index::Operation;
use crate::judge::{Dictionaries, Judge, Query, Verdict, leaf_of, may_pass};
use crate::open_group::{OpenGroup, Stop, ValueCursor};
use crate::row_set::RowSet;
use crate::values::{NumberTest, Passing, passing_values};
use crate::view::ValueType;
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};
use std::collections::{HashMap, HashSet};

/// Columns are numbered as in the header; events and links have this number.
const TABLES: usize = usize::MAX;

/// Whether the index alone says that no span of a group passes.
pub(crate) fn rules_out(entry: &GroupEntry, query: &Query) -> bool {
    entry.max_start_ns < query.start_ns || entry.min_start_ns > query.end_ns || !may_hold(&query.test, entry)
}

/// Whether a block's list of operations says that no span of it passes.
pub(crate) fn has_no_such(operations: &[Operation], query: &Query) -> bool {
    fn asks(test: &SpanPredicate) -> bool {
        match test {
            SpanPredicate::All(parts) | SpanPredicate::Any(parts) => parts.iter().any(asks),
            SpanPredicate::Service(_) | SpanPredicate::Name(_) => true,
            _ => false,
        }
    }
    fn may_be(test: &SpanPredicate, operation: &Operation) -> bool {
        let (service, name, kind) = operation;
        match test {
            SpanPredicate::All(parts) => parts.iter().all(|part| may_be(part, operation)),
            SpanPredicate::Any(parts) => parts.iter().any(|part| may_be(part, operation)),
            SpanPredicate::Service(test) => test.accepts_text(service),
            SpanPredicate::Name(test) => test.accepts_text(name),
            SpanPredicate::Kind(wanted) => *kind == *wanted as u8,
            _ => true,
        }
    }
    asks(&query.test) && !operations.iter().any(|operation| may_be(&query.test, operation))
}

fn may_hold(test: &SpanPredicate, entry: &GroupEntry) -> bool {
    match test {
        SpanPredicate::All(parts) => parts.iter().all(|part| may_hold(part, entry)),
        SpanPredicate::Any(parts) => parts.iter().any(|part| may_hold(part, entry)),
        SpanPredicate::DurationAtLeast(ns) => entry.max_duration_ns >= *ns,
        SpanPredicate::DurationAtMost(ns) => entry.min_duration_ns <= *ns,
        SpanPredicate::Kind(kind) => entry.kinds & 1 << *kind as u8 != 0,
        SpanPredicate::Status(status) => entry.statuses & 1 << *status as u8 != 0,
        _ => true,
    }
}

/// What is known of a group before its rows are.
struct Known<'g> {
    header: &'g GroupHeader,
    entry: &'g GroupEntry,
    /// (test, column) of which no value passes.
    barren: &'g HashSet<(usize, usize)>,
}

impl Dictionaries for Known<'_> {
    fn resource(&self, id: u32) -> &[u8] {
        self.header.resources.get(id)
    }
    fn scope(&self, id: u32) -> &[u8] {
        self.header.scopes.get(id)
    }
    fn name(&self, id: u32) -> &[u8] {
        self.header.names.get(id)
    }
    fn types(&self, template: u32, (key, test): (&str, &ValueTest), leaf: usize, visit: &mut dyn FnMut(ValueType)) {
        for &number in self.header.templates.get(template as usize).into_iter().flatten() {
            if let Some(column) = self.header.columns.get(number as usize)
                && has_key(column, key)
                && column.range.may_pass(test)
                && !self.barren.contains(&(leaf, number as usize))
            {
                visit(column.value_type);
            }
        }
    }
    fn durations(&self) -> (u64, u64) {
        (self.entry.min_duration_ns, self.entry.max_duration_ns)
    }
    fn extras_may_pass(&self, leaf: &SpanPredicate) -> bool {
        if self.barren.contains(&(leaf_of(leaf), TABLES)) {
            return false;
        }
        let has = |table: &TableRef, key: &str, test: &ValueTest| {
            let may = |c: &ColumnRef| has_key(c, key) && may_pass(test, c.value_type) && c.range.may_pass(test);
            table.columns.iter().any(may)
        };
        match leaf {
            SpanPredicate::EventName(test) => {
                let mut names = self.header.event_names.iter();
                names.any(|name| test.accepts_text(std::str::from_utf8(name).unwrap_or("")))
            }
            SpanPredicate::Attribute { scope: AttributeScope::Link, key, test } => {
                has(&self.header.link_table, key, test)
            }
            SpanPredicate::Attribute { key, test, .. } => has(&self.header.event_table, key, test),
            _ => true,
        }
    }
}

/// Whether values of a column are, or may be, under a key.
fn has_key(column: &ColumnRef, key: &str) -> bool {
    column.key == key || column.value_type == ValueType::Rest
}

/// A search in one group.
struct Search<'s, 'c> {
    group: &'s mut OpenGroup<'c>,
    judge: Judge,
    barren: HashSet<(usize, usize)>,
    passing: HashMap<(usize, usize), Passing>,
    /// Rows with an event or link that passes, by test.
    in_tables: HashMap<usize, RowSet>,
}

/// The rows of a group that pass; `None` when there are none.
///
/// # Errors
/// [`Stop`].
pub(crate) fn matching_rows(group: &mut OpenGroup<'_>, query: &Query) -> Result<Option<RowSet>, Stop> {
    let mut search = Search {
        group,
        judge: Judge::default(),
        barren: HashSet::new(),
        passing: HashMap::new(),
        in_tables: HashMap::new(),
    };
    let mut verdicts = search.verdicts(&query.test);
    if verdicts.contains(&Verdict::Some) {
        let mut leaves = Vec::new();
        column_leaves(&query.test, &mut leaves);
        for leaf in leaves {
            let asked = search.verdicts(leaf);
            // Only shapes that are still in question make a column worth reading.
            let open = asked.iter().zip(&verdicts).any(|(a, v)| (*a, *v) == (Verdict::Some, Verdict::Some));
            if open && search.learn(leaf)? {
                search.judge.forget_columns();
                verdicts = search.verdicts(&query.test);
                if verdicts.iter().all(|v| *v == Verdict::None) {
                    return Ok(None);
                }
            }
        }
    }
    if verdicts.iter().all(|v| *v == Verdict::None) {
        return Ok(None);
    }
    search.rows(query)
}

/// Whether a test is of events or links.
fn asks_tables(leaf: &SpanPredicate) -> bool {
    match leaf {
        SpanPredicate::EventName(_) => true,
        SpanPredicate::Attribute { scope, .. } => matches!(scope, AttributeScope::Event | AttributeScope::Link),
        _ => false,
    }
}

/// Tests that ask columns, events or links.
fn column_leaves<'q>(test: &'q SpanPredicate, out: &mut Vec<&'q SpanPredicate>) {
    match test {
        SpanPredicate::All(parts) | SpanPredicate::Any(parts) => parts.iter().for_each(|p| column_leaves(p, out)),
        SpanPredicate::EventName(_) => out.push(test),
        SpanPredicate::Attribute { scope, .. }
            if !matches!(scope, AttributeScope::Resource | AttributeScope::Instrumentation) =>
        {
            out.push(test);
        }
        _ => {}
    }
}

impl Search<'_, '_> {
    fn judge(&mut self, test: &SpanPredicate, shape: usize) -> Verdict {
        let known = Known { header: &self.group.header, entry: &self.group.entry, barren: &self.barren };
        let shape = self.group.header.shapes.get(shape);
        shape.map_or(Verdict::None, |shape| self.judge.judge(test, shape, &known))
    }

    fn verdicts(&mut self, test: &SpanPredicate) -> Vec<Verdict> {
        (0..self.group.header.shapes.len()).map(|shape| self.judge(test, shape)).collect()
    }

    /// Columns of a test's key that may have what it looks for.
    fn columns_of(&self, key: &str, test: &ValueTest) -> Vec<usize> {
        let columns = self.group.header.columns.iter().enumerate();
        let may = |c: &ColumnRef| {
            // That a key is there is known of shapes, unless keys are inside of values.
            has_key(c, key)
                && may_pass(test, c.value_type)
                && c.range.may_pass(test)
                && (!matches!(test, ValueTest::Present) || c.value_type == ValueType::Rest)
        };
        columns.filter(|(_, c)| may(c)).map(|(number, _)| number).collect()
    }

    /// Asks dictionaries and columns about a test. Whether something was ruled out.
    fn learn(&mut self, leaf: &SpanPredicate) -> Result<bool, Stop> {
        let id = leaf_of(leaf);
        let mut ruled_out = false;
        if asks_tables(leaf) {
            let rows = self.table_rows(leaf)?;
            if rows.is_empty() {
                ruled_out |= self.barren.insert((id, TABLES));
            }
            self.in_tables.insert(id, rows);
        } else if let SpanPredicate::Attribute { key, test, .. } = leaf {
            for number in self.columns_of(key, test) {
                let passing = self.ask(leaf, number)?;
                if matches!(passing, Passing::None) {
                    ruled_out |= self.barren.insert((id, number));
                }
                self.passing.insert((id, number), passing);
            }
        }
        Ok(ruled_out)
    }

    /// Which values of a column pass a test.
    fn ask(&mut self, leaf: &SpanPredicate, number: usize) -> Result<Passing, Stop> {
        if let SpanPredicate::Attribute { test: ValueTest::Is(text), .. } = leaf
            && self.group.header.columns.get(number).is_some_and(|c| c.value_type == ValueType::Text)
            && self.group.column(number).is_none()
            && self.group.lacks_text(number, text)?
        {
            return Ok(Passing::None);
        }
        self.group.load_column(number)?;
        let column = self.group.column(number).zip(self.group.header.columns.get(number));
        Ok(match (leaf, column) {
            (SpanPredicate::Attribute { key, test, .. }, Some((column, at))) => {
                passing_values(key, test, column, at.value_type)
            }
            _ => Passing::None,
        })
    }

    /// Rows of spans that have an event or link that passes a test of them.
    fn table_rows(&mut self, leaf: &SpanPredicate) -> Result<RowSet, Stop> {
        self.group.load_layout()?;
        self.group.load_tables()?;
        Ok(spans_with(self.group, leaf).ok_or_else(|| damaged("events or links"))?)
    }

    fn rows(&mut self, query: &Query) -> Result<Option<RowSet>, Stop> {
        self.group.load_layout()?;
        let entry = self.group.entry;
        let mut rows = RowSet::accepted(self.group.spans(), |_| true);
        if entry.min_start_ns < query.start_ns || entry.max_start_ns > query.end_ns {
            self.group.load_times()?;
            let starts = self.group.starts();
            let inside = |start: &u64| (query.start_ns..=query.end_ns).contains(start);
            rows = rows.filtered(|row| starts.get(row).is_some_and(inside));
        }
        let rows = self.passing(&query.test, &rows)?;
        Ok((!rows.is_empty()).then_some(rows))
    }

    /// Those of `among` that pass.
    fn passing(&mut self, test: &SpanPredicate, among: &RowSet) -> Result<RowSet, Stop> {
        if among.is_empty() {
            return Ok(among.clone());
        }
        let verdicts = self.verdicts(test);
        if verdicts.iter().all(|v| *v == Verdict::All) {
            return Ok(among.clone());
        }
        let is = |shapes: &[u32], row: usize, verdict: Verdict| {
            shapes.get(row).and_then(|shape| verdicts.get(*shape as usize)) == Some(&verdict)
        };
        let shapes = self.group.shape_of();
        let mut pass = among.filtered(|row| is(shapes, row, Verdict::All));
        if !verdicts.contains(&Verdict::Some) {
            return Ok(pass);
        }
        let mut open = among.filtered(|row| is(shapes, row, Verdict::Some));
        match test {
            SpanPredicate::All(parts) => {
                for part in parts {
                    open = self.passing(part, &open)?;
                    if open.is_empty() {
                        break;
                    }
                }
                pass.add(&open);
            }
            SpanPredicate::Any(parts) => {
                for part in parts {
                    let found = self.passing(part, &open)?;
                    open.remove(&found);
                    pass.add(&found);
                }
            }
            SpanPredicate::DurationAtLeast(ns) => pass.add(&self.lasting((*ns, u64::MAX), &open)?),
            SpanPredicate::DurationAtMost(ns) => pass.add(&self.lasting((0, *ns), &open)?),
            SpanPredicate::Root => {
                let parents = self.group.parents();
                pass.add(&open.filtered(|row| parents.get(row) == Some(&PARENT_NONE)));
            }
            _ if asks_tables(test) => {
                if let Some(with) = self.in_tables.get(&leaf_of(test)) {
                    pass.add(&open.filtered(|row| with.contains(row)));
                }
            }
            SpanPredicate::Attribute { key, test: value, .. } => {
                for number in self.columns_of(key, value) {
                    self.with_value(test, number, &open, &mut pass)?;
                }
            }
            // Shapes say it all about the others.
            _ => {}
        }
        Ok(pass)
    }

    fn lasting(&mut self, (shortest, longest): (u64, u64), among: &RowSet) -> Result<RowSet, Stop> {
        self.group.load_times()?;
        // A negative one is an end before the start, or a span of centuries: only the start can tell.
        let (starts, durations) = (self.group.starts(), self.group.durations());
        let lasts = |row: usize| {
            let duration = durations.get(row).copied().unwrap_or(0);
            u64::try_from(duration).unwrap_or_else(|_| {
                let start = starts.get(row).copied().unwrap_or(0);
                start.wrapping_add(duration as u64).saturating_sub(start)
            })
        };
        Ok(among.filtered(|row| (shortest..=longest).contains(&lasts(row))))
    }

    fn with_value(
        &mut self,
        leaf: &SpanPredicate,
        number: usize,
        among: &RowSet,
        pass: &mut RowSet,
    ) -> Result<(), Stop> {
        let id = leaf_of(leaf);
        if let Some(Passing::Duration(_)) = self.passing.get(&(id, number)) {
            self.group.load_times()?;
        }
        let SpanPredicate::Attribute { test, .. } = leaf else { return Ok(()) };
        let Some(column) = self.group.column(number) else { return Ok(()) };
        let cursor = ValueCursor::new(self.group.values_per_shape(number), column.per_trace());
        match (self.passing.get(&(id, number)), column) {
            (Some(Passing::Texts(set)), Column::Texts(texts)) => {
                let accepts = |at: usize, _| texts.ids.get(at).is_some_and(|id| set.contains(*id as usize));
                walk(self.group, cursor, among, accepts, pass);
            }
            (Some(Passing::Values(set)), _) => walk(self.group, cursor, among, |at, _| set.contains(at), pass),
            (Some(Passing::All), _) => walk(self.group, cursor, among, |_, _| true, pass),
            (Some(Passing::Duration(unit)), _) => {
                let (test, durations) = (NumberTest::new(test), self.group.durations());
                let value = |row: usize| durations.get(row).map_or(f64::NAN, |d| *d as f64 / unit);
                walk(self.group, cursor, among, |_, row| test.double(value(row)), pass);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Adds the rows of `among` of which a value is accepted, by its place in the column and its row.
fn walk(
    group: &OpenGroup<'_>,
    mut cursor: ValueCursor,
    among: &RowSet,
    accepts: impl Fn(usize, usize) -> bool,
    pass: &mut RowSet,
) {
    let (shapes, mut trace, mut end) = (group.shape_of(), 0, group.rows_of(0).end);
    for row in among.iter() {
        while row >= end && end < shapes.len() {
            trace += 1;
            end = group.rows_of(trace).end;
        }
        let Some(&shape) = shapes.get(row) else { return };
        let count = cursor.values_of(shape) as usize;
        if count == 0 {
            continue;
        }
        let first = cursor.seek(group, row, trace);
        if (0..count).any(|nth| accepts(cursor.nth(first, nth), row)) {
            pass.insert(row);
        }
    }
}
