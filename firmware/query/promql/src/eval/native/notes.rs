//! What there is to say about an operation on histograms.

use crate::eval::evaluator::Evaluator;
use crate::syntax::Span;

/// Something that a user should know of histograms that met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Noted {
    /// Numbers and histograms in one range.
    MixedRange,
    /// Numbers and histograms in one group.
    MixedGroup,
    /// Histograms left out of a range of numbers.
    IgnoredInRange,
    /// A gauge where a counter is wanted.
    NotCounter,
    /// A counter where a gauge is wanted.
    NotGauge,
    /// Exponential and custom bounds.
    MixedSchemas,
    /// Custom bounds differ, and only Prometheus after 3.5 reconciles them.
    IncompatibleBounds,
    /// Custom bounds were reconciled.
    Reconciled(Operation),
    /// One was reset, another not.
    ResetCollision(Operation),
    /// Counts overlap in time.
    Overlap,
    /// Classic and native histogram of one name.
    ClassicAndNative,
}

/// What was being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Addition => "addition",
            Operation::Subtraction => "subtraction",
            Operation::Aggregation => "aggregation",
        }
    }
}

impl Evaluator<'_> {
    /// Tells the user of it; `metric` is the metric's name.
    pub(crate) fn note(&self, noted: Noted, metric: &str, span: Span) {
        match noted {
            Noted::MixedRange => {
                self.warn(span, format!("encountered a mix of histograms and floats for metric name {metric:?}"))
            }
            Noted::MixedGroup => {
                self.warn(span, "encountered a mix of histograms and floats for aggregation");
            }
            Noted::IgnoredInRange => self.info(
                span,
                format!(
                    "ignored histograms in a range containing both floats and histograms for metric name {metric:?}"
                ),
            ),
            Noted::NotCounter => {
                self.warn(span, format!("this native histogram metric is not a counter: {metric:?}"));
            }
            Noted::NotGauge => self.warn(span, format!("this native histogram metric is not a gauge: {metric:?}")),
            Noted::MixedSchemas => self.warn(
                span,
                format!(
                    "vector contains a mix of histograms with exponential and custom buckets schemas for metric name \
                     {metric:?}"
                ),
            ),
            Noted::IncompatibleBounds => self.warn(
                span,
                format!("vector contains histograms with incompatible custom buckets for metric name {metric:?}"),
            ),
            // Prometheus up to 3.5 says nothing of these.
            Noted::Reconciled(operation) => {
                let text = format!("mismatched custom buckets were reconciled during {}", operation.as_str());
                self.info(span, text);
            }
            Noted::ResetCollision(_) if !self.options.newer_than_3_5 => {}
            Noted::ResetCollision(operation) => {
                let text = format!("conflicting counter resets during histogram {}", operation.as_str());
                self.warn(span, text);
            }
            Noted::Overlap => self.warn(
                span,
                format!("sample has start time that overlaps with previous sample timestamp for metric {metric:?}"),
            ),
            Noted::ClassicAndNative => {
                let name = crate::eval::annotations::for_metric(metric);
                self.warn(span, format!("vector contains a mix of classic and native histograms{name}"));
            }
        }
    }
}
