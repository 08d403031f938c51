//! What the correlator hands over to be written.

use crate::correlation::Correlation;
use crate::row::{Marker, put_marker, put_row};
use crate::span::{SpanWritten, put_span};
use bramble_signal::{LogBatch, SpanBatch};
use bramble_storage::Sequence;
use std::sync::Arc;

/// A correlation that is to be written.
#[derive(Clone, Debug)]
pub struct Published {
    /// What.
    pub correlation: Arc<Correlation>,
    /// Whether its row is to be written: not when only its span is.
    pub write_row: bool,
    /// Whether a synthetic span is to be written: with the first revision, and once more when there is no other to come,
    /// if there were any since.
    pub span: Option<SpanWritten>,
    /// How long ago its window closed, nanoseconds; 0 for revisions.
    pub latency_ns: u64,
    /// First sequence of what it is made of: the journal keeps it until this is written.
    pub(crate) first_sequence: Sequence,
}

/// What is to be written at one moment; at most some hundred correlations.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// Which one; for [`Correlator::settle`](crate::Correlator::settle).
    pub round: u64,
    /// Correlations: first revisions, and later ones.
    pub correlations: Vec<Published>,
    /// To be written with the rows, if there is one.
    pub marker: Option<Marker>,
    /// Whether there is more to publish at once.
    pub more: bool,
}

impl Publication {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.correlations.is_empty() && self.marker.is_none()
    }

    /// Those with a row: new, or newer than what was written before.
    pub fn fresh(&self) -> impl Iterator<Item = &Arc<Correlation>> {
        self.correlations.iter().filter(|published| published.write_row).map(|published| &published.correlation)
    }

    /// Rows and the marker, to be written together. Empty when there are none.
    pub fn log_batch(&self) -> LogBatch {
        let mut batch = LogBatch::new();
        // Two streams, each started once.
        for has_error in [false, true] {
            self.fresh().filter(|c| c.has_error() == has_error).for_each(|c| put_row(c, &mut batch));
        }
        if let Some(marker) = &self.marker {
            put_marker(marker, &mut batch);
        }
        batch
    }

    /// Synthetic spans. Empty when there are none.
    pub fn span_batch(&self) -> SpanBatch {
        let mut batch = SpanBatch::new();
        for published in &self.correlations {
            if let Some(written) = published.span {
                put_span(&published.correlation, written, &mut batch);
            }
        }
        batch
    }
}
