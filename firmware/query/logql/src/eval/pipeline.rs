//! A pipeline ready to run.

use super::QueryError;
use super::fields::{Fields, Origin};
use super::label_test::LabelFilter;
use super::line_filter::{LineMatcher, predicates};
use super::parse;
use super::template::Template;
use crate::syntax::{FormatSource, LogExpr, NameTest, ParseError, Stage};
use bramble_line::decolorize::decolorize;
use bramble_line::json::Path;
use bramble_line::pattern::Pattern;
use bramble_line::regexp::Captures;
use bramble_storage::LinePredicate;
use regex::bytes::CaptureLocations;
use std::borrow::Cow;

/// A row on its way through.
pub(crate) struct Row<'a> {
    pub(crate) timestamp_ns: i64,
    pub(crate) line: Cow<'a, [u8]>,
}

impl Row<'_> {
    pub(crate) fn text(&self) -> Cow<'_, str> {
        parse::lossy(&self.line)
    }
}

pub(super) enum Step {
    Line(LineMatcher),
    Json,
    JsonPaths(Vec<(String, Path)>),
    Logfmt {
        strict: bool,
        keep_empty: bool,
    },
    LogfmtKeys {
        strict: bool,
        keep_empty: bool,
        keys: Vec<(String, String)>,
    },
    /// The number is that of its scratch.
    Regexp(Captures, usize),
    Pattern(Pattern),
    Unpack,
    Label(LabelFilter),
    LineFormat(Template),
    LabelFormat(Vec<(String, Source)>),
    Decolorize,
    Drop(Vec<NameTest>),
    Keep(Vec<NameTest>),
}

pub(super) enum Source {
    Label(String),
    Template(Template),
}

/// See the module.
pub(crate) struct Pipeline {
    pub(super) steps: Vec<Step>,
    /// Tests of the original line; the store applies them exactly.
    pub(crate) predicates: Vec<LinePredicate>,
    captures: Vec<Captures>,
}

/// What a pipeline writes to while it runs; one per thread.
pub(crate) struct Scratch {
    pub(crate) fields: Fields,
    locations: Vec<CaptureLocations>,
}

impl Pipeline {
    /// Builds the stages.
    ///
    /// # Errors
    /// What is wrong in a stage, in Loki's words.
    pub(crate) fn new(log: &LogExpr) -> Result<Self, QueryError> {
        let mut out = Pipeline { steps: Vec::new(), predicates: Vec::new(), captures: Vec::new() };
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
            let step = out.step(stage)?;
            out.steps.push(step);
        }
        Ok(out)
    }

    /// Whether rows leave as they came.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Scratch around `fields`.
    pub(crate) fn scratch(&self, fields: Fields) -> Scratch {
        Scratch { fields, locations: self.captures.iter().map(Captures::locations).collect() }
    }

    /// Runs the row, whose labels are in the scratch, through all stages; `false` when one rejects it.
    pub(crate) fn run(&self, row: &mut Row<'_>, scratch: &mut Scratch) -> bool {
        self.steps.iter().all(|step| step.run(row, scratch))
    }

    fn step(&mut self, stage: &Stage) -> Result<Step, QueryError> {
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
            Stage::Regexp(text) => {
                let captures = Captures::new(text).map_err(|e| plain(format!("invalid regexp parser: {e}")))?;
                self.captures.push(captures.clone());
                Step::Regexp(captures, self.captures.len() - 1)
            }
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
}

fn in_stage(stage: &Stage, error: &str) -> QueryError {
    QueryError::Query(ParseError::plain(format!("stage '{stage}' : {error}")).0)
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
    fn run(&self, row: &mut Row<'_>, scratch: &mut Scratch) -> bool {
        let fields = &mut scratch.fields;
        match self {
            Step::Line(matcher) => return matcher.accepts(&row.line),
            Step::Label(filter) => return filter.accepts(fields),
            Step::Json => parse::json_all(&row.text(), fields),
            Step::JsonPaths(paths) => parse::json_some(&row.text(), paths, fields),
            Step::Logfmt { strict, keep_empty } => parse::logfmt_all(&row.text(), *strict, *keep_empty, fields),
            Step::LogfmtKeys { strict, keep_empty, keys } => {
                parse::logfmt_some(&row.text(), *strict, *keep_empty, keys, fields);
            }
            Step::Regexp(captures, at) => {
                if let Some(locations) = scratch.locations.get_mut(*at) {
                    captures.read(&row.line, locations, |name, value| fields.extract(name, &parse::lossy(value)));
                }
            }
            Step::Pattern(pattern) => {
                pattern.captures(&row.line, |name, value| fields.extract(name, &parse::lossy(value)));
            }
            Step::Unpack => {
                if let Some(line) = parse::unpack(&row.text(), fields) {
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
