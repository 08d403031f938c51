//! What a single item may be, and the account of those that were left out.

use crate::error::{DecodeError, DecodeErrorKind};

/// Limits on items and on what one request may become. An item over a limit is rejected, the rest is kept; only
/// [`batch_bytes_max`](Self::batch_bytes_max) ends a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest name of a label or of structured metadata, in bytes. Default 1024, as Loki.
    pub label_name_bytes_max: usize,
    /// Longest value of a label of a series or stream, in bytes. Default 4096: Loki has 2048, Prometheus none.
    pub label_value_bytes_max: usize,
    /// Most labels of a series, its name included. Default 128.
    pub series_labels_max: usize,
    /// Most labels of a stream. Default 32; Loki has 15, but many agents send more.
    pub stream_labels_max: usize,
    /// Longest line of a log entry, in bytes. Default 256 KiB, as Loki.
    pub line_bytes_max: usize,
    /// Whether longer lines are cut off there and kept instead of rejected. Default no, as Loki.
    pub line_truncate: bool,
    /// Most key–values of structured metadata of an entry. Default 256; Loki has 128.
    pub metadata_count_max: usize,
    /// Most bytes of names and values of an entry's structured metadata. Default 64 KiB, as Loki.
    pub metadata_bytes_max: usize,
    /// Most memory that a batch may take, in bytes. Default 64 MiB. Small requests can ask for large batches
    /// (a resource's attributes are repeated on each of its entries), so a door sets what it has reserved.
    pub batch_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            label_name_bytes_max: 1024,
            label_value_bytes_max: 4096,
            series_labels_max: 128,
            stream_labels_max: 32,
            line_bytes_max: 256 << 10,
            line_truncate: false,
            metadata_count_max: 256,
            metadata_bytes_max: 64 << 10,
            batch_bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    /// The line as it is kept: cut to [`line_bytes_max`](Self::line_bytes_max), before a character that the cut would go
    /// through, if lines are to be cut.
    pub(crate) fn fit_line<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let Some(start) = line.get(..self.line_bytes_max).filter(|_| self.line_truncate) else { return line };
        let continues = |at: usize| line.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
        // A character has at most four bytes; what is not UTF-8 is cut where it is.
        let ends = (start.len().saturating_sub(3)..=start.len()).rev();
        let end = ends.into_iter().find(|&at| !continues(at)).unwrap_or(start.len());
        start.get(..end).unwrap_or(start)
    }
}

macro_rules! reject_reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $text:literal;)*) => {
        /// Why an item was left out.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum RejectReason {
            $($(#[$doc])* $name,)*
        }

        impl RejectReason {
            /// All reasons, in the order of their declaration.
            pub const ALL: [RejectReason; [$($word),*].len()] = [$(RejectReason::$name),*];

            /// The word used as a metric's label value.
            pub fn as_str(self) -> &'static str {
                match self { $(RejectReason::$name => $word,)* }
            }

            /// A sentence for the sender.
            pub fn describe(self) -> &'static str {
                match self { $(RejectReason::$name => $text,)* }
            }
        }
    };
}

reject_reasons! {
    /// A trace id that is not 16 bytes, or all zero.
    InvalidTraceId = "invalid_trace_id", "trace id must be 16 bytes and not all zero";
    /// A span id that is not 8 bytes, or all zero; a parent's may be zero.
    InvalidSpanId = "invalid_span_id", "span id must be 8 bytes and not all zero";
    /// Text that is not UTF-8.
    InvalidUtf8 = "invalid_utf8", "text is not UTF-8";
    /// A series or metric without a name.
    MissingName = "missing_metric_name", "metric has no name";
    /// A label with an empty name.
    EmptyLabelName = "empty_label_name", "label with an empty name";
    /// The same label name twice.
    DuplicateLabel = "duplicate_label_name", "the same label name twice";
    /// Over [`Limits::label_name_bytes_max`].
    LabelNameTooLong = "label_name_too_long", "label name is too long";
    /// Over [`Limits::label_value_bytes_max`].
    LabelValueTooLong = "label_value_too_long", "label value is too long";
    /// Over [`Limits::series_labels_max`] or [`Limits::stream_labels_max`].
    TooManyLabels = "too_many_labels", "too many labels";
    /// A stream without any label, or a label text that does not parse.
    InvalidLabels = "invalid_labels", "stream labels are missing or do not parse";
    /// Over [`Limits::line_bytes_max`].
    LineTooLong = "line_too_long", "line is too long";
    /// Over [`Limits::metadata_count_max`] or [`Limits::metadata_bytes_max`].
    MetadataTooLarge = "structured_metadata_too_large", "structured metadata is too large";
    /// A time outside what 64-bit nanoseconds or milliseconds can hold.
    InvalidTimestamp = "invalid_timestamp", "timestamp is out of range";
    /// A histogram whose buckets do not fit its bounds, or whose bounds do not ascend.
    BucketMismatch = "histogram_bucket_mismatch", "histogram bucket counts do not match its bounds";
    /// A difference that ends before another of its stream that was counted already.
    DeltaLate = "delta_late", "delta point is older than one that was counted";
    /// A difference that begins inside another of its stream that was counted already.
    DeltaOverlap = "delta_overlap", "delta point overlaps one that was counted";
    /// A metric whose temporality is not said.
    UnspecifiedTemporality = "unspecified_temporality", "aggregation temporality is not specified";
    /// An exponential histogram that is coarser than native histograms can be.
    HistogramScale = "histogram_scale", "exponential histogram has a scale below -4";
    /// A native histogram that contradicts itself.
    InvalidHistogram = "invalid_histogram", "native histogram is not valid";
    /// An exemplar that breaks its rules.
    InvalidExemplar = "invalid_exemplar", "exemplar is not valid";
    /// Remote write 2.0: a reference beyond the table of symbols, or a name without a value.
    InvalidSymbol = "invalid_symbol_reference", "label references do not fit the table of symbols";
    /// A metric or point without a value.
    NoValue = "no_value", "metric or data point has no value";
    /// A log record without a message.
    NoMessage = "no_message", "record has no message";
    /// Something else where a log record should be.
    InvalidRecord = "invalid_record", "not a record";
}

/// The account of items left out of a request.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Rejected {
    count: u64,
    by_reason: [u64; RejectReason::ALL.len()],
    /// The first item's story of each reason, in the order in which they came up.
    stories: Vec<(RejectReason, String)>,
}

impl Rejected {
    /// Items left out.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first reason met and a message with its details, for the answer.
    pub fn first_reason(&self) -> Option<(RejectReason, &str)> {
        self.stories.first().map(|(reason, text)| (*reason, text.as_str()))
    }

    /// Reasons with their counts and a message about the first item of each, in the order in which they came up.
    pub fn stories(&self) -> impl Iterator<Item = (RejectReason, u64, &str)> {
        let count = |reason: RejectReason| self.by_reason.get(reason as usize).copied().unwrap_or(0);
        self.stories.iter().map(move |(reason, text)| (*reason, count(*reason), text.as_str()))
    }

    /// Reasons and how many items each has cost, for metrics; only those that occurred.
    pub fn by_reason(&self) -> impl Iterator<Item = (RejectReason, u64)> + '_ {
        RejectReason::ALL.into_iter().zip(self.by_reason.iter().copied()).filter(|&(_, count)| count > 0)
    }

    /// Counts `count` items; `detail` is asked only for the first of its reason.
    pub fn add(&mut self, reason: RejectReason, count: u64, detail: impl FnOnce() -> String) {
        self.add_told(reason, count, || {
            let detail = detail();
            match detail.is_empty() {
                true => reason.describe().to_owned(),
                false => format!("{}: {detail}", reason.describe()),
            }
        });
    }

    /// Counts `count` items; `story`, asked only for the first of its reason, is the whole message.
    pub fn add_told(&mut self, reason: RejectReason, count: u64, story: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        self.count += count;
        if let Some(slot) = self.by_reason.get_mut(reason as usize) {
            *slot += count;
        }
        if self.stories.iter().all(|(other, _)| *other != reason) {
            self.stories.push((reason, story()));
        }
    }

    /// Adds another account to this one, for batches that are judged in several places.
    pub fn merge(&mut self, other: &Rejected) {
        self.count += other.count;
        for (ours, theirs) in self.by_reason.iter_mut().zip(other.by_reason) {
            *ours += theirs;
        }
        for (reason, text) in &other.stories {
            if self.stories.iter().all(|(ours, _)| ours != reason) {
                self.stories.push((*reason, text.clone()));
            }
        }
    }
}

/// Counts the memory of a growing batch against its limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    used_bytes: usize,
    limit_bytes: usize,
}

impl Meter {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Meter { used_bytes: 0, limit_bytes }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Adds `bytes`; called before they are written.
    pub(crate) fn add(&mut self, bytes: usize, position: usize) -> Result<(), DecodeError> {
        self.used_bytes = self.used_bytes.saturating_add(bytes);
        if self.used_bytes <= self.limit_bytes {
            return Ok(());
        }
        let message = format!("request needs more memory than the limit of {} bytes", self.limit_bytes);
        Err(DecodeError::new(DecodeErrorKind::TooLarge, message, position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_keeps_the_first_reason() {
        let mut rejected = Rejected::default();
        rejected.add(RejectReason::LineTooLong, 0, || "not counted".into());
        assert!(rejected.is_empty() && rejected.first_reason().is_none());
        rejected.add(RejectReason::DuplicateLabel, 2, || "\"a\"".into());
        rejected.add(RejectReason::DuplicateLabel, 0, || unreachable!("nothing to describe"));
        rejected.add_told(RejectReason::MissingName, 1, || "no name".into());
        assert_eq!(rejected.count(), 3);
        assert_eq!(rejected.first_reason(), Some((RejectReason::DuplicateLabel, "the same label name twice: \"a\"")));
        assert_eq!(
            rejected.by_reason().collect::<Vec<_>>(),
            [(RejectReason::MissingName, 1), (RejectReason::DuplicateLabel, 2)]
        );
        let stories: Vec<_> = rejected.stories().map(|(_, count, text)| (count, text)).collect();
        assert_eq!(stories, [(2, "the same label name twice: \"a\""), (1, "no name")]);
    }

    #[test]
    fn words_are_unique() {
        let words: std::collections::HashSet<_> = RejectReason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(words.len(), RejectReason::ALL.len());
    }
}
