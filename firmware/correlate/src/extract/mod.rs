//! Items out of batches: who said it, which ids it names, how serious it is.
//!
//! Ids of a log entry are those of its metadata (OTLP's own fields among them), then of its labels, then of its line; those
//! of a span are its own, then of its attributes, then of its resource. Of several ids of a kind the first counts. An
//! entry that names no id is no item; a span always names its trace.
//!
//! Left out are Bramble's own streams ([`bramble_storage::OWN_STREAM_LABEL`]), spans that were made up to connect others
//! (resource attribute `bramble.synthetic`), and what Bramble tells of its own work (service `bramble`): whoever looks at
//! correlations looks for those of his services.
//!
//! Everything that is handed out is borrowed from the batch; nothing is allocated per item.

mod exemplars;
mod ids;
mod level;
mod logs;
mod pairs;
mod spans;
#[cfg(test)]
mod tests;

pub use level::{level_of, level_of_word};
pub use logs::ids_of;

use crate::item::ItemSink;
use bramble_storage::Durable;

/// The service of our own logs and spans.
pub(crate) const OWN_SERVICE: &str = "bramble";

/// What was in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extracted {
    /// Log entries, but for our own.
    pub logs: u64,
    /// Of these, such that name no id.
    pub logs_without_ids: u64,
    /// Spans, but for made-up ones and our own.
    pub spans: u64,
    /// Spans that were made up, or are our own.
    pub spans_left_out: u64,
    /// Exemplars that name a trace.
    pub exemplars: u64,
}

/// Takes items out of batches. It keeps memory between them and nothing else.
#[derive(Default, Debug)]
pub struct Extractor {
    /// Text of a series; a few hundred bytes.
    series: String,
}

impl Extractor {
    /// An extractor.
    pub fn new() -> Extractor {
        Extractor::default()
    }

    /// Tells the sink of each item of a batch, and before that of whose they are.
    pub fn extract(&mut self, batch: Durable<'_>, sink: &mut impl ItemSink) -> Extracted {
        match batch {
            Durable::Logs(batch) => logs::extract(batch, sink),
            Durable::Spans(batch) => spans::extract(batch, sink),
            Durable::Metrics(batch) => exemplars::extract(batch, &mut self.series, sink),
        }
    }
}
