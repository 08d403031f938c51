//! The engine: queries in, answers out.

use super::evaluator::Evaluator;
use super::rows::{Grid, Row, is_absent};
use crate::syntax::{Expr, Level, ParseError, ValueType, check_level, parse};
use bramble_signal::{Labels, SeriesSamples};
use bramble_storage::{MetricSource, QueryContext, ReadError};
use std::sync::Arc;

/// How an engine evaluates.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How far back an instant selector looks, milliseconds.
    pub lookback_ms: i64,
    /// Samples a query may hold at once.
    pub max_samples: u64,
    /// Metric names go at the end of the query instead of with each operation.
    pub delayed_name_removal: bool,
    /// Functions and aggregations that Prometheus keeps behind `promql-experimental-functions`.
    pub experimental: bool,
    /// What Prometheus learned after 3.5: `anchored` and `smoothed`, `step()` and other new functions, start times in
    /// rates, custom buckets that are reconciled. Off, such queries are answered, or fail, as by Prometheus 3.5; but
    /// `fill` is always understood.
    pub newer_than_3_5: bool,
    /// Resolution of subqueries that name none, milliseconds.
    pub default_subquery_step_ms: i64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            lookback_ms: 300_000,
            max_samples: 50_000_000,
            delayed_name_removal: false,
            experimental: true,
            newer_than_3_5: false,
            default_subquery_step_ms: 60_000,
        }
    }
}

/// A query's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar {
        /// Evaluation time.
        time_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// Evaluation time.
        time_ms: i64,
        /// The text.
        value: String,
    },
    /// Series of one sample each, in the order of the answer.
    Vector(Vec<SeriesSamples>),
    /// Series, ascending by labels.
    Matrix(Vec<SeriesSamples>),
}

/// A result and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// Warnings, ready to show.
    pub warnings: Vec<String>,
    /// Infos, ready to show.
    pub infos: Vec<String>,
    /// How many samples it took.
    pub stats: SampleStats,
}

/// How many samples a query took, as Prometheus counts them: each step counts every sample that it looks at, a histogram
/// for as many samples as it has the size of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SampleStats {
    /// `totalQueryableSamples`
    pub total_queryable: u64,
    /// `peakSamples`: most samples held at once.
    pub peak: u64,
    /// `totalQueryableSamplesPerStep`: time in milliseconds and samples of each step.
    pub queryable_per_step: Vec<(i64, u64)>,
}

/// Why there is no answer. The doc of each variant names Prometheus' `errorType`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no query (`bad_data`).
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// A query of the wrong type, or with parameters that make no sense (`bad_data`).
    #[error("{0}")]
    Type(String),
    /// Evaluation failed (`execution`).
    #[error("{0}")]
    Execution(String),
    /// The time limit passed (`timeout`).
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The client went away (`canceled`).
    #[error("query was canceled in expression evaluation")]
    Cancelled,
    /// The sample limit (`execution`).
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The memory budget (`execution`).
    #[error("{0}")]
    OverBudget(String),
    /// The store failed (`internal`).
    #[error("{0}")]
    Storage(String),
}

impl QueryError {
    /// Prometheus' `errorType`.
    pub fn error_type(&self) -> &'static str {
        match self {
            QueryError::Parse(_) | QueryError::Type(_) => "bad_data",
            QueryError::Timeout => "timeout",
            QueryError::Cancelled => "canceled",
            QueryError::Storage(_) => "internal",
            QueryError::Execution(_) | QueryError::TooManySamples | QueryError::OverBudget(_) => "execution",
        }
    }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Cancelled => QueryError::Cancelled,
            ReadError::Timeout => QueryError::Timeout,
            ReadError::OverBudget(_) => QueryError::OverBudget(error.to_string()),
            ReadError::Limit(text) => QueryError::Execution(text),
            ReadError::Storage(_) => QueryError::Storage(error.to_string()),
        }
    }
}

/// Evaluates queries over a source.
pub struct Engine {
    source: Arc<dyn MetricSource>,
    options: EngineOptions,
}

impl Engine {
    /// An engine over `source`.
    pub fn new(source: Arc<dyn MetricSource>, options: EngineOptions) -> Self {
        Engine { source, options }
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates at one time. `lookback` overrides the engine's, in milliseconds.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn instant(
        &self,
        query: &str,
        time_ms: i64,
        lookback: Option<i64>,
        context: &QueryContext,
    ) -> Result<Answer, QueryError> {
        let expr = self.check(query)?;
        let grid = Grid::once(time_ms);
        let evaluator = self.evaluator(query, grid, lookback, context);
        let value = match expr.value_type() {
            ValueType::Scalar => {
                Value::Scalar { time_ms, value: evaluator.scalar(&expr, grid)?.first().copied().unwrap_or(f64::NAN) }
            }
            ValueType::String => Value::String { time_ms, value: evaluator.text(&expr)? },
            ValueType::Matrix => Value::Matrix(evaluator.raw_matrix(&expr, grid)?),
            ValueType::Vector => {
                let rows = evaluator.collect(&expr, grid)?;
                let rows = evaluator.finish(rows.take())?;
                Value::Vector(rows.into_iter().map(|row| to_series(row, grid)).collect())
            }
        };
        answer(value, evaluator)
    }

    /// Evaluates at `start_ms`, `start_ms + step_ms`, … up to `end_ms`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn range(
        &self,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        lookback: Option<i64>,
        context: &QueryContext,
    ) -> Result<Answer, QueryError> {
        if step_ms <= 0 {
            return Err(QueryError::Type(
                "zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned(),
            ));
        }
        if end_ms < start_ms {
            return Err(QueryError::Type("end timestamp must not be before start time".to_owned()));
        }
        let expr = self.check(query)?;
        let grid = Grid::between(start_ms, end_ms, step_ms);
        let evaluator = self.evaluator(query, grid, lookback, context);
        drop(evaluator.admit(grid)?);
        let rows = match expr.value_type() {
            ValueType::Vector => {
                let rows = evaluator.collect(&expr, grid)?;
                let mut rows = evaluator.finish(rows.take())?;
                rows.sort_by(|a, b| a.labels.cmp(&b.labels));
                rows
            }
            ValueType::Scalar => {
                vec![Row::floats(Labels::empty(), false, evaluator.scalar(&expr, grid)?)]
            }
            other => {
                return Err(QueryError::Type(format!(
                    "invalid expression type \"{other}\" for range query, must be Scalar or instant Vector"
                )));
            }
        };
        let series = rows.into_iter().map(|row| to_series(row, grid)).filter(|s| !s.values.is_empty()).collect();
        answer(Value::Matrix(series), evaluator)
    }

    fn evaluator<'a>(
        &'a self,
        query: &'a str,
        grid: Grid,
        lookback: Option<i64>,
        context: &'a QueryContext,
    ) -> Evaluator<'a> {
        Evaluator::new(&*self.source, &self.options, query, grid, lookback.unwrap_or(self.options.lookback_ms), context)
    }

    /// Parses without evaluating, and refuses what the options exclude.
    ///
    /// # Errors
    /// [`QueryError::Parse`].
    pub fn check(&self, query: &str) -> Result<Expr, QueryError> {
        let expr = parse(query)?;
        check_level(
            query,
            &expr,
            Level { experimental: self.options.experimental, newer: self.options.newer_than_3_5 },
        )?;
        Ok(expr)
    }
}

/// An answer, unless the query was to stop: then something may be missing.
fn answer(value: Value, evaluator: Evaluator<'_>) -> Result<Answer, QueryError> {
    evaluator.context.check()?;
    let stats = evaluator.sample_stats();
    let (warnings, infos) = evaluator.annotations.finish();
    Ok(Answer { value, warnings, infos, stats })
}

fn to_series(row: Row, grid: Grid) -> SeriesSamples {
    let there = row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v));
    let (timestamps_ms, values) = there.map(|(i, v)| (grid.at(i), *v)).unzip();
    SeriesSamples { labels: row.labels, timestamps_ms, values, histograms: row.histograms, ..SeriesSamples::default() }
}

/// An execution error.
pub(crate) fn failed<T>(text: impl Into<String>) -> Result<T, QueryError> {
    Err(QueryError::Execution(text.into()))
}
