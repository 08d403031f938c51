//! Tests over both halves.
