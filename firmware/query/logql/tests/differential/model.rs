//! LogQL as its documentation tells it, over maps and strings.

mod lines;
mod metrics;
mod rows;

pub(crate) use metrics::sample;
pub(crate) use rows::{Row, run};
