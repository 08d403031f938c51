//! The protocol buffers wire format, read and written by hand: no generated message trees, since a tree of
//! small allocations per request is what the batches exist to avoid.
//!
//! [`Reader`] walks a message's fields without copying and knows where it is in the body; [`Writer`] appends
//! fields to a byte vector. Groups, deprecated before proto3, are refused.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

mod reader;
mod writer;

pub use reader::{Field, Reader, Value, unzigzag};
pub use writer::{Writer, zigzag};
