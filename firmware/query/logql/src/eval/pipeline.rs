//! A pipeline ready to run, and what of it the store can do.

use super::QueryError;
use super::decolorize::decolorize;
use super::fields::{Fields, Origin};
use super::json::{self, Path};
use super::label_test::LabelFilter;
use super::line_filter::{LineMatcher, predicates};
use super::logfmt;
use super::pattern::Pattern;
use super::template::Template;
use crate::syntax::{FormatSource, LogExpr, NameTest, ParseError, Stage};
use bramble_storage::LinePredicate;
use regex::bytes::{Regex, RegexBuilder};
use std::borrow::Cow;

/// Upper bound of a compiled expression, bytes.
const REGEX_SIZE_MAX_BYTES: usize = 1 << 20;

/// An expression over lines, with Go's complaint.
pub(crate) fn regex(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(REGEX_SIZE_MAX_BYTES).build().map_err(|_| crate::syntax::regex_complaint(text))
}

/// A row on its way through.
pub(crate) struct Row<'a> {
    pub(crate) timestamp_ns: i64,
    pub(crate) line: Cow<'a, [u8]>,
}

impl Row<'_> {
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.line)
    }
}

enum Step {
    Line(LineMatcher),
    Json,
    JsonPaths(Vec<(String, Path)>),
    Logfmt { strict: bool, keep_empty: bool },
    LogfmtKeys { strict: bool, keep_empty: bool, keys: Vec<(String, String)> },
    Regexp { regex: Regex, names: Vec<(usize, String)> },
    Pattern(Pattern),
    Unpack,
    Label(LabelFilter),
    LineFormat(Template),
    LabelFormat(Vec<(String, Source)>),
    Decolorize,
    Drop(Vec<NameTest>),
    Keep(Vec<NameTest>),
}

enum Source {
    Label(String),
    Template(Template),
}

/// See the module.
pub(crate) struct Pipeline {
    steps: Vec<Step>,
    /// Tests of the original line; the store applies them exactly.
    pub(crate) predicates: Vec<LinePredicate>,
}

impl Pipeline {
    /// Builds the stages.
    ///
    /// # Errors
    /// What is wrong in a stage, in Loki's words.
    pub(crate) fn new(log: &LogExpr) -> Result<Self, QueryError> {
        let mut out = Pipeline { steps: Vec::new(), predicates: Vec::new() };
        let mut original = true;
        for stage in &log.stages {
            if let Stage::Line(filter) = stage {
                let in_stage = |e: String| in_stage(stage, &e);
                // A test of the line commutes with everything that leaves the line alone.
                if original && predicates(filter, &mut out.predicates).map_err(in_stage)? {
                    continue;
                }
            }
            // Loki moves line filters before `decolorize` too, so they see the colours there and here.
            original &= !matches!(stage, Stage::LineFormat(_) | Stage::Unpack);
            out.steps.push(step(stage)?);
        }
        Ok(out)
    }

    /// Whether rows leave as they came.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs the row through all stages; `false` when one rejects it.
    pub(crate) fn run(&self, row: &mut Row<'_>, fields: &mut Fields) -> bool {
        self.steps.iter().all(|step| step.run(row, fields))
    }
}

fn in_stage(stage: &Stage, error: &str) -> QueryError {
    QueryError::Query(ParseError::plain(format!("stage '{stage}' : {error}")).0)
}

fn step(stage: &Stage) -> Result<Step, QueryError> {
    let plain = |text: String| QueryError::Query(ParseError::plain(text).0);
    Ok(match stage {
        Stage::Line(filter) => Step::Line(LineMatcher::new(filter).map_err(|e| in_stage(stage, &e))?),
        Stage::Json(paths) if paths.is_empty() => Step::Json,
        Stage::Json(paths) => {
            let path = |(name, text): &(String, String)| {
                let parsed = Path::parse(text)
                    .map_err(|e| in_stage(stage, &format!("cannot parse expression [{text}]: syntax error: {e}")));
                Ok::<_, QueryError>((name.clone(), parsed?))
            };
            Step::JsonPaths(paths.iter().map(path).collect::<Result<_, _>>()?)
        }
        Stage::Logfmt { strict, keep_empty, fields } if fields.is_empty() => {
            Step::Logfmt { strict: *strict, keep_empty: *keep_empty }
        }
        Stage::Logfmt { strict, keep_empty, fields } => {
            Step::LogfmtKeys { strict: *strict, keep_empty: *keep_empty, keys: fields.clone() }
        }
        Stage::Regexp(text) => regexp_step(text).map_err(|e| plain(format!("invalid regexp parser: {e}")))?,
        Stage::Pattern(text) => Step::Pattern(
            Pattern::new(text)
                .and_then(Pattern::for_parser)
                .map_err(|e| plain(format!("invalid pattern parser: {e}")))?,
        ),
        Stage::Unpack => Step::Unpack,
        Stage::Label(test) => Step::Label(LabelFilter::new(test).map_err(|e| in_stage(stage, &e))?),
        Stage::LineFormat(text) => Step::LineFormat(
            Template::new("line", text).map_err(|e| in_stage(stage, &format!("invalid line template: {e}")))?,
        ),
        Stage::LabelFormat(formats) => label_format_step(stage, formats)?,
        Stage::Decolorize => Step::Decolorize,
        Stage::Drop(names) => Step::Drop(names.clone()),
        Stage::Keep(names) => Step::Keep(names.clone()),
    })
}

fn regexp_step(text: &str) -> Result<Step, String> {
    let compiled = regex(text);
    let names = |r: &Regex| -> Vec<(usize, String)> {
        r.capture_names().enumerate().filter_map(|(i, n)| n.map(|n| (i, n.to_owned()))).collect()
    };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(complaint) => {
            // Our engine refuses a name that repeats as a syntax error; Loki's text names it.
            let name = duplicate_group(text);
            return Err(name.map_or(complaint, |n| format!("duplicate extracted label name '{n}'")));
        }
    };
    let names = names(&compiled);
    if names.is_empty() {
        return Err("at least one named capture must be supplied".to_owned());
    }
    if let Some((_, name)) = names.iter().find(|(_, n)| !bramble_signal::labels::is_plain_name(n)) {
        return Err(format!("invalid extracted label name '{name}'"));
    }
    Ok(Step::Regexp { regex: compiled, names })
}

fn duplicate_group(text: &str) -> Option<&str> {
    let mut seen = Vec::new();
    for part in text.split("(?P<").skip(1) {
        let name = part.split('>').next()?;
        if seen.contains(&name) {
            return Some(name);
        }
        seen.push(name);
    }
    None
}

fn label_format_step(stage: &Stage, formats: &[(String, FormatSource)]) -> Result<Step, QueryError> {
    let mut out: Vec<(String, Source)> = Vec::new();
    for (target, source) in formats {
        if out.iter().any(|(t, _)| t == target) {
            let error = format!("multiple label name '{target}' not allowed in a single format operation");
            return Err(in_stage(stage, &error));
        }
        if target == super::fields::ERROR {
            return Err(in_stage(stage, &format!("{target} cannot be formatted")));
        }
        out.push((
            target.clone(),
            match source {
                FormatSource::Label(name) => Source::Label(name.clone()),
                FormatSource::Template(text) => Source::Template(
                    Template::new("label", text)
                        .map_err(|e| in_stage(stage, &format!("invalid template for label '{target}': {e}")))?,
                ),
            },
        ));
    }
    Ok(Step::LabelFormat(out))
}

impl Step {
    fn run(&self, row: &mut Row<'_>, fields: &mut Fields) -> bool {
        match self {
            Step::Line(matcher) => return matcher.accepts(&row.line),
            Step::Label(filter) => return filter.accepts(fields),
            Step::Json => json::flatten(&row.text(), fields),
            Step::JsonPaths(paths) => json::extract(&row.text(), paths, fields),
            Step::Logfmt { strict, keep_empty } => logfmt::all(&row.text(), *strict, *keep_empty, fields),
            Step::LogfmtKeys { strict, keep_empty, keys } => {
                logfmt::some(&row.text(), *strict, *keep_empty, keys, fields);
            }
            Step::Regexp { regex, names } => {
                if let Some(captures) = regex.captures(&row.line) {
                    for (at, name) in names {
                        if let Some(found) = captures.get(*at) {
                            fields.extract(name, &String::from_utf8_lossy(found.as_bytes()));
                        } else {
                            fields.extract(name, "");
                        }
                    }
                }
            }
            Step::Pattern(pattern) => {
                pattern.captures(&row.line, |name, value| fields.extract(name, &String::from_utf8_lossy(value)));
            }
            Step::Unpack => {
                let unpacked = json::unpack(&row.text(), fields);
                if let Some(line) = unpacked {
                    row.line = Cow::Owned(line.into_bytes());
                }
            }
            Step::LineFormat(template) => match template.run(row, fields) {
                Ok(line) => row.line = Cow::Owned(line.into_bytes()),
                Err(e) => fields.fail("TemplateFormatErr", &e),
            },
            Step::LabelFormat(formats) => label_format(formats, row, fields),
            Step::Decolorize => {
                if let Some(plain) = decolorize(&row.line) {
                    row.line = Cow::Owned(plain);
                }
            }
            Step::Drop(names) => fields.retain(|name, value| !names.iter().any(|n| named(n, name, value))),
            Step::Keep(names) => {
                fields.retain(|name, value| name.starts_with("__") || names.iter().any(|n| named(n, name, value)))
            }
        }
        true
    }
}

fn named(test: &NameTest, name: &str, value: &str) -> bool {
    match test {
        NameTest::Name(n) => n == name,
        NameTest::Match(m) => m.name == name && m.matches(value),
    }
}

fn label_format(formats: &[(String, Source)], row: &Row<'_>, fields: &mut Fields) {
    for (target, source) in formats {
        match source {
            Source::Label(name) => {
                if let (Some(value), Some(origin)) = (fields.get(name).map(str::to_owned), fields.origin(name)) {
                    fields.remove(name);
                    fields.set(target, &value, if origin == Origin::Stream { Origin::Parsed } else { origin });
                }
            }
            Source::Template(template) => match template.run(row, fields) {
                Ok(value) => fields.set(target, &value, Origin::Parsed),
                Err(e) => fields.fail("TemplateFormatErr", &e),
            },
        }
    }
}
