//! Exposition formats: what `/metrics` pages say. Prometheus text, OpenMetrics text and protobuf, read and written.
//!
//! A [`Parser`] gives a document's statements one by one, borrowed from the document: a sample costs no allocation, a
//! document a handful of vectors that stay small (the labels of one sample). Text errors carry line and column, and
//! the parser goes on at the next line for those who want the rest. [`Collector`] makes a batch of the statements.
//! [`check_open_metrics`] is the judge of whole OpenMetrics documents. Printers append to a byte vector.
//!
//! ```
//! use bramble_wire::exposition::{Entry, ExpositionFormat, Parser};
//! let mut parser = Parser::new(ExpositionFormat::Text, b"up{job=\"a\"} 1 1000\n");
//! let Some(Entry::Series { series, value }) = parser.next()? else { panic!("a sample") };
//! assert_eq!((series.labels.len(), series.timestamp_ms, value), (2, Some(1000), 1.0));
//! # Ok::<(), bramble_wire::exposition::ExpositionError>(())
//! ```

mod collect;
mod cursor;
mod entry;
mod error;
mod family;
mod float;
mod histogram_rules;
mod native;
mod negotiate;
mod open_metrics;
mod print;
mod protobuf;
mod strict;
#[cfg(test)]
mod tests;
mod text;

pub use collect::{CollectOptions, Collector, collect};
pub use entry::{Entry, ExemplarEntry, Exemplars, Pair, SeriesEntry, Text};
pub use error::ExpositionError;
pub use negotiate::{ExpositionFormat, negotiate};
pub use open_metrics::OpenMetricsParser;
pub use print::{FamilyHeader, Printer};
pub use protobuf::ProtobufParser;
pub use strict::check_open_metrics;
pub use text::TextParser;

/// Reads one document of any format.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one per document, on the stack")]
pub enum Parser<'a> {
    /// Prometheus text.
    Text(TextParser<'a>),
    /// OpenMetrics text.
    OpenMetrics(OpenMetricsParser<'a>),
    /// Protobuf.
    Protobuf(ProtobufParser<'a>),
}

impl<'a> Parser<'a> {
    /// A parser at the start of `document`.
    pub fn new(format: ExpositionFormat, document: &'a [u8]) -> Self {
        match format {
            ExpositionFormat::Text => Parser::Text(TextParser::new(document)),
            ExpositionFormat::OpenMetrics => Parser::OpenMetrics(OpenMetricsParser::new(document)),
            ExpositionFormat::Protobuf => Parser::Protobuf(ProtobufParser::new(document)),
        }
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// [`ExpositionError`]; of text the next call goes on behind the line that is wrong.
    #[expect(clippy::should_implement_trait, reason = "entries borrow the parser")]
    pub fn next(&mut self) -> Result<Option<Entry<'_, 'a>>, ExpositionError> {
        match self {
            Parser::Text(parser) => parser.next(),
            Parser::OpenMetrics(parser) => parser.next(),
            Parser::Protobuf(parser) => parser.next(),
        }
    }
}
