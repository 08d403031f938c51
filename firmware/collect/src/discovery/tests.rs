//! Mechanisms end to end.
