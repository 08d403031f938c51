//! Native histograms in evaluation: what functions, aggregations and operators do with them.

mod arithmetic;
mod extended;
mod fraction;
mod notes;
mod over_time;
mod quantile;
mod range;
mod rate;
mod resets;
mod sums;
mod trim;
mod values;

pub(crate) use arithmetic::{Operands, Refusal, operate};
pub(crate) use extended::{Edges, interpolate, window as extended_window};
pub(crate) use fraction::fraction;
pub(crate) use notes::Noted;
pub(crate) use quantile::{Nans, quantile};
pub(crate) use range::{Element, window};
pub(crate) use rate::Kind;
pub(crate) use resets::tell_resets;
pub(crate) use sums::HistogramSum;
pub(crate) use values::{negated, number_of};
