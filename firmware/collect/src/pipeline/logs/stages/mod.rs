//! The stages, a few per file.

pub(super) mod drop;
pub(super) mod fields;
mod held;
pub(super) mod json;
pub(super) mod labels;
pub(super) mod limit;
pub(super) mod line;
pub(super) mod matching;
pub(super) mod metrics;
pub(super) mod multiline;
pub(super) mod replace;
pub(super) mod runtime;
pub(super) mod template;
pub(super) mod timestamp;
