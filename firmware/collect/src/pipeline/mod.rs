//! What happens to batches between a receiver and the write path: writers that wrap a writer.

pub mod sampling;
