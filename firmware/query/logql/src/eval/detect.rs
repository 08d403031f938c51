//! What the list of fields needs: the fields of a sample of lines.

use super::QueryError;
use super::fields::{Fields, Origin, SUFFIX};
use super::pipeline::{Pipeline, Row};
use super::rows::walk;
use crate::syntax::{LogExpr, parse_bytes, parse_duration};
use bramble_line::json::{self, Raw, Visit, unescape};
use bramble_line::logfmt::pairs;
use bramble_line::name::sanitize;
use bramble_storage::{Direction, LogSelect, LogSource, QueryContext};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

/// Which parser finds a field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Parser {
    /// `| json`
    Json,
    /// `| logfmt`
    Logfmt,
}

/// A field that lines have.
#[derive(Clone, Debug)]
pub struct Field {
    /// The label it would become.
    pub label: String,
    /// `string`, `int`, `float`, `boolean`, `duration` or `bytes`.
    pub kind: &'static str,
    /// Values seen, ascending.
    pub values: BTreeSet<String>,
    /// The parser that finds it; `None` for structured metadata and for what the query's own stages made.
    pub parser: Option<Parser>,
    /// Keys on the way to it in a JSON object.
    pub json_path: Vec<String>,
}

/// Distinct values kept per field.
const VALUES_MAX: usize = 1000;

/// The kind that a value looks like.
fn kind_of(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "int"
    } else if value.parse::<f64>().is_ok() {
        "float"
    } else if matches!(value, "true" | "false") {
        "boolean"
    } else if parse_duration(value, false).is_ok() {
        "duration"
    } else if parse_bytes(value).is_ok() {
        "bytes"
    } else {
        "string"
    }
}

struct Found<'a> {
    fields: HashMap<String, Field>,
    limit: usize,
    context: &'a QueryContext,
}

impl Found<'_> {
    fn add(&mut self, label: &str, value: &str, parser: Option<Parser>, path: &[String]) -> Result<(), QueryError> {
        if !self.fields.contains_key(label) {
            if self.fields.len() >= self.limit {
                return Ok(());
            }
            self.context.reserve(label.len() * 2 + size_of::<Field>())?;
            let field = Field {
                label: label.to_owned(),
                kind: kind_of(value),
                values: BTreeSet::new(),
                parser,
                json_path: path.to_vec(),
            };
            self.fields.insert(label.to_owned(), field);
        }
        if let Some(field) = self.fields.get_mut(label)
            && field.values.len() < VALUES_MAX
            && !field.values.contains(value)
        {
            self.context.reserve(value.len() + 64)?;
            field.values.insert(value.to_owned());
        }
        Ok(())
    }
}

/// Fields of the newest `line_limit` lines that the query gives: structured metadata, labels of the query's own parsers, and
/// what `json` or `logfmt` would find. At most `limit` of them, ascending by label.
///
/// # Errors
/// [`QueryError`].
pub fn fields(
    source: &dyn LogSource,
    expr: &LogExpr,
    (start_ns, end_ns): (i64, i64),
    line_limit: usize,
    limit: usize,
    context: &QueryContext,
) -> Result<Vec<Field>, QueryError> {
    let pipeline = Pipeline::new(expr)?;
    let lines = &pipeline.predicates;
    let select = LogSelect {
        matchers: &expr.matchers,
        start_ns,
        end_ns,
        lines,
        direction: Direction::Backward,
        ..LogSelect::default()
    };
    let mut found = Found { fields: HashMap::new(), limit, context };
    let (mut scratch, mut seen) = (pipeline.scratch(Fields::default()), 0);
    let mut cursor = source.select(&select, context)?;
    walk(&mut *cursor, context, |_, _, base, entry| {
        scratch.fields.start(base, entry.metadata);
        let mut row = Row { timestamp_ns: entry.timestamp_ns, line: Cow::Borrowed(entry.line) };
        if pipeline.run(&mut row, &mut scratch) {
            seen += 1;
            for (name, value, origin) in scratch.fields.iter() {
                if origin != Origin::Stream && !name.starts_with("__") {
                    found.add(name, value, None, &[])?;
                }
            }
            line_fields(&row.text(), &scratch.fields, &mut found)?;
        }
        Ok(if seen >= line_limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut all: Vec<Field> = found.fields.into_values().collect();
    all.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(all)
}

fn line_fields(line: &str, row: &Fields, found: &mut Found<'_>) -> Result<(), QueryError> {
    let mut leaves = Leaves { row, found, keys: Vec::new(), outcome: Ok(()) };
    if line.trim_start().starts_with('{') {
        // A line that breaks off has the fields up to there.
        let _ = json::walk(line, &mut leaves);
    } else {
        let _ = pairs(line, false, |key, value| {
            if !value.is_empty() {
                leaves.add(key, &value, Parser::Logfmt);
            }
            leaves.outcome.is_ok()
        });
    }
    leaves.outcome
}

/// Fields of one line.
struct Leaves<'f, 'c> {
    row: &'f Fields,
    found: &'f mut Found<'c>,
    /// Keys of the objects around.
    keys: Vec<String>,
    outcome: Result<(), QueryError>,
}

impl Leaves<'_, '_> {
    fn add(&mut self, key: &str, value: &str, parser: Parser) {
        if self.outcome.is_err() {
            return;
        }
        let mut label = String::new();
        for key in self.keys.iter().map(String::as_str).chain([key]) {
            if !label.is_empty() {
                label.push('_');
            }
            sanitize(key, &mut label);
        }
        if let Some(Origin::Stream | Origin::Metadata) = self.row.origin(&label) {
            label.push_str(SUFFIX);
        }
        if self.row.get(&label).is_some() {
            return;
        }
        let path: Vec<String> = match parser {
            Parser::Json => self.keys.iter().cloned().chain([key.to_owned()]).collect(),
            Parser::Logfmt => Vec::new(),
        };
        self.outcome = self.found.add(&label, value, Some(parser), &path);
    }
}

impl<'a> Visit<'a> for Leaves<'_, '_> {
    fn open(&mut self, key: &'a str) -> bool {
        self.keys.push(unescape(key).into_owned());
        true
    }

    fn close(&mut self) {
        self.keys.pop();
    }

    fn value(&mut self, key: &'a str, value: Raw<'a>) {
        match value {
            Raw::Str(s) => self.add(&unescape(key), &unescape(s), Parser::Json),
            Raw::Plain(s) => self.add(&unescape(key), s, Parser::Json),
            Raw::Object(_) | Raw::Array(_) | Raw::Null => {}
        }
    }
}
