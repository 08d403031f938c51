//! Evaluation.

mod absent;
mod aggregate;
mod annotations;
mod arithmetic;
mod binary;
mod buckets;
mod calls;
mod dates;
mod engine;
mod evaluator;
mod extended;
mod hash;
mod histograms;
mod info;
mod invariant;
mod labels;
mod matching;
mod over_time;
mod quantiles;
mod range_calls;
mod rates;
mod rows;
mod select;
mod selection_aggregates;
mod sums;

pub use engine::{Answer, Engine, EngineOptions, QueryError, Value};
