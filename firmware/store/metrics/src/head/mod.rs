//! What is in memory: the series index, which all generations share, and samples by generation.

mod cardinality;
mod chain;
mod directory;
mod generation;
mod index;
mod side;

pub(crate) use generation::Generation;
pub(crate) use index::{LABELS_MAX, SeriesIndex};
