//! Prometheus remote read: requests, and answers in both of its forms.
//!
//! * [`ReadRequest::decode`] reads a decompressed `prometheus.ReadRequest`.
//! * [`SamplesWriter`] appends a `ReadResponse`, whole, to be compressed with snappy by the caller.
//! * [`ChunkWriter`] appends frames of `ChunkedReadResponse`, one series at a time, so that an answer of any size
//!   takes the memory of one frame. Samples are encoded as Prometheus' chunks: [`xor`] for floats,
//!   [`histogram_chunk`] for float histograms.
//!
//! Source: `prompb/remote.proto`, `prompb/types.proto` and the remote read page of Prometheus' documentation.

pub mod bits;
mod chunked;
pub mod histogram_chunk;
mod request;
mod samples;
#[cfg(test)]
mod tests;
pub mod xor;

pub use chunked::ChunkWriter;
pub use request::{MATCHERS_MAX, QUERIES_MAX, ReadQuery, ReadRequest, ResponseType};
pub use samples::{SamplesWriter, compressed};
