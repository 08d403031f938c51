//! Queries that are nothing but a selector and tests of the line.

use super::QueryError;
use super::pipeline::Pipeline;
use crate::syntax::LogExpr;
use bramble_storage::LinePredicate;

/// The tests of the line, if the query's pipeline is nothing else, in the form that stores apply.
///
/// # Errors
/// [`QueryError::Query`] in Loki's words.
pub fn line_tests(expr: &LogExpr) -> Result<Option<Vec<LinePredicate>>, QueryError> {
    let pipeline = Pipeline::new(expr)?;
    Ok(pipeline.is_empty().then_some(pipeline.predicates))
}
