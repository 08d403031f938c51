//! Evaluation.

mod absent;
mod aggregate;
mod annotations;
mod arithmetic;
mod binary;
mod buckets;
mod calls;
mod counting;
mod dates;
mod engine;
mod evaluator;
mod extended;
mod groups;
mod hash;
mod histograms;
mod info;
mod invariant;
mod labels;
mod matching;
mod names;
mod native;
mod over_time;
mod quantiles;
mod range_calls;
mod rate_rows;
mod rates;
mod reading;
mod rollups;
mod rows;
mod select;
mod selection_aggregates;
mod sorting;
mod sums;
mod window;

pub use engine::{Answer, Engine, EngineOptions, QueryError, SampleStats, Value};
