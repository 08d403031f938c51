//! Answers.

mod aggregate;
mod binary;
pub mod detect;
mod fields;
mod ip;
mod label_test;
mod labels;
mod line_filter;
mod line_tests;
mod log;
mod over_time;
mod parse;
mod pipeline;
mod plan;
mod range;
mod rows;
mod sample;
mod tail;
mod tally;
mod template;
mod window;

pub use binary::number;
pub use labels::LabelSet;
pub use line_tests::line_tests;
pub use log::{LogParams, log};
pub use tail::{EntryTest, Tail};
pub use template::TextTemplate;

use crate::syntax::{Expr, Sample};
use bramble_runtime::OverBudget;
use bramble_storage::{LogSource, QueryContext, ReadError};
use sample::{Grid, evaluate};

/// Why a query has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// The query cannot work: a bad expression in a stage, an error in the pipeline. Loki's text.
    #[error("{0}")]
    Query(String),
    /// Two sides of an operator do not fit together. Loki's text.
    #[error("{0}")]
    Execution(String),
    /// Reading stopped.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<OverBudget> for QueryError {
    fn from(error: OverBudget) -> Self {
        QueryError::Read(error.into())
    }
}

/// A line of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The line after its pipeline; not always UTF-8.
    pub line: Vec<u8>,
    /// Structured metadata, if labels are to be kept apart by origin; else empty.
    pub metadata: LabelSet,
    /// Parsed labels, likewise.
    pub parsed: LabelSet,
}

/// Lines that share their labels, in the order asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// Labels: all, or only the stream's own if labels are kept apart by origin.
    pub labels: LabelSet,
    /// Lines.
    pub entries: Vec<Entry>,
}

/// Samples that share their labels, ascending in time.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// Labels.
    pub labels: LabelSet,
    /// (nanoseconds since the epoch, value)
    pub points: Vec<(i64, f64)>,
}

/// What a query gives.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// Lines by stream, streams ascending by labels.
    Streams(Vec<Stream>),
    /// One sample per series, in an order that may mean something (`sort`, `topk`).
    Vector(Vec<Series>),
    /// Samples by series, ascending by labels.
    Matrix(Vec<Series>),
    /// A number.
    Scalar {
        /// When, nanoseconds since the epoch.
        time_ns: i64,
        /// The number.
        value: f64,
    },
}

/// When a metric query is to be evaluated: at `start_ns`, and then every `step_ns` up to and including `end_ns`.
#[derive(Clone, Copy, Debug)]
pub struct RangeParams {
    /// First time.
    pub start_ns: i64,
    /// Last time, at the latest.
    pub end_ns: i64,
    /// Positive.
    pub step_ns: i64,
}

/// A metric query at one time.
///
/// # Errors
/// [`QueryError`].
pub fn instant(
    source: &dyn LogSource,
    sample: &Sample,
    time_ns: i64,
    context: &QueryContext,
) -> Result<Answer, QueryError> {
    if let Sample::Literal(value) = sample {
        return Ok(Answer::Scalar { time_ns, value: *value });
    }
    let grid = Grid { start_ns: time_ns, step_ns: 1, count: 1 };
    let rows = evaluate(source, sample, &grid, context)?;
    Ok(Answer::Vector(rows.into_iter().map(|row| row.into_series(&grid)).collect()))
}

/// A metric query over a range of times.
///
/// # Errors
/// [`QueryError`].
pub fn range(
    source: &dyn LogSource,
    sample: &Sample,
    params: &RangeParams,
    context: &QueryContext,
) -> Result<Answer, QueryError> {
    let span = params.end_ns.saturating_sub(params.start_ns).max(0);
    let grid = Grid {
        start_ns: params.start_ns,
        step_ns: params.step_ns.max(1),
        count: (span / params.step_ns.max(1)) as usize + 1,
    };
    let mut rows = evaluate(source, sample, &grid, context)?;
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Answer::Matrix(rows.into_iter().map(|row| row.into_series(&grid)).collect()))
}

/// Checks what only shows when stages are built: expressions, patterns, templates.
///
/// # Errors
/// [`QueryError::Query`] in Loki's words.
pub fn check(expr: &Expr) -> Result<(), QueryError> {
    match expr {
        Expr::Log(log) => pipeline::Pipeline::new(log).map(|_| ()),
        Expr::Sample(sample) => check_sample(sample),
    }
}

fn check_sample(sample: &Sample) -> Result<(), QueryError> {
    match sample {
        Sample::Literal(_) | Sample::Vector(_) => Ok(()),
        Sample::Range(range) => pipeline::Pipeline::new(&range.log).map(|_| ()),
        Sample::Aggregate { inner, .. } | Sample::LabelReplace { inner, .. } => check_sample(inner),
        Sample::Binary { left, right, .. } => check_sample(left).and_then(|()| check_sample(right)),
    }
}
