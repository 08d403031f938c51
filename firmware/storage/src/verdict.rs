//! What happened to each item of a batch.

use std::fmt;

/// Why an item was not stored. Permanent: sending it again changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum RejectReason {
    /// Timestamp before what this store still takes.
    TooOld,
    /// Timestamp too far ahead of the clock.
    TooFarInFuture,
    /// Labels that break the protocol's rules.
    InvalidLabels,
    /// More distinct series or streams than the limit.
    SeriesLimit,
    /// Line, value or attribute larger than the limit.
    TooLarge,
    /// An id that is missing or malformed.
    InvalidId,
    /// The same series and timestamp with another value.
    Conflict,
    /// A form of data that is not supported.
    Unsupported,
    /// Anything else that is wrong with the item itself.
    Malformed,
}

impl RejectReason {
    /// All reasons, for registering counters.
    pub const ALL: [RejectReason; 9] = [
        RejectReason::TooOld,
        RejectReason::TooFarInFuture,
        RejectReason::InvalidLabels,
        RejectReason::SeriesLimit,
        RejectReason::TooLarge,
        RejectReason::InvalidId,
        RejectReason::Conflict,
        RejectReason::Unsupported,
        RejectReason::Malformed,
    ];

    /// The word used as a label value in `bramble_ingest_rejected_total{reason}`.
    pub fn as_str(self) -> &'static str {
        match self {
            RejectReason::TooOld => "too_old",
            RejectReason::TooFarInFuture => "too_far_in_future",
            RejectReason::InvalidLabels => "invalid_labels",
            RejectReason::SeriesLimit => "series_limit",
            RejectReason::TooLarge => "too_large",
            RejectReason::InvalidId => "invalid_id",
            RejectReason::Conflict => "conflict",
            RejectReason::Unsupported => "unsupported",
            RejectReason::Malformed => "malformed",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The fate of one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Stored.
    Stored,
    /// There already, exactly the same: success for the sender, nothing to store.
    Duplicate,
    /// Not stored, for good.
    Rejected(RejectReason),
}

/// Rejected items of a batch: counts per reason and the first item's story of each, which is what senders log.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Rejections {
    counts: heapless::Vec<(RejectReason, u64), { RejectReason::ALL.len() }>,
    /// As many as `counts`.
    stories: Vec<String>,
}

impl Rejections {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `count` items; `describe` is called only for the first item of its reason.
    pub fn add(&mut self, reason: RejectReason, count: u64, describe: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        match self.counts.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, n)) => *n += count,
            None => {
                // One slot per reason there is, so this always fits.
                let _ = self.counts.push((reason, count));
                self.stories.push(describe());
            }
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Rejections) {
        for ((reason, count), story) in other.counts.into_iter().zip(other.stories) {
            self.add(reason, count, || story);
        }
    }

    /// Number of rejected items.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, n)| n).sum()
    }

    /// Whether nothing was rejected.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Counts per reason.
    pub fn by_reason(&self) -> &[(RejectReason, u64)] {
        &self.counts
    }

    /// What was wrong with the first rejected item; empty when there is none.
    pub fn first(&self) -> &str {
        self.stories.first().map_or("", String::as_str)
    }

    /// Reasons with their counts and what was wrong with the first item of each, in the order in which they came up.
    pub fn stories(&self) -> impl Iterator<Item = (RejectReason, u64, &str)> {
        self.counts.iter().zip(&self.stories).map(|(&(reason, count), story)| (reason, count, story.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_story_is_kept() {
        let mut all = Rejections::new();
        all.add(RejectReason::TooOld, 0, || unreachable!());
        all.add(RejectReason::TooOld, 2, || "old".into());
        let mut more = Rejections::new();
        more.add(RejectReason::TooOld, 1, || "older".into());
        more.add(RejectReason::Conflict, 1, || "first of its kind".into());
        all.merge(more);
        assert_eq!((all.total(), all.first()), (4, "old"));
        assert_eq!(all.by_reason(), &[(RejectReason::TooOld, 3), (RejectReason::Conflict, 1)]);
        let stories: Vec<_> = all.stories().collect();
        assert_eq!(stories, [(RejectReason::TooOld, 3, "old"), (RejectReason::Conflict, 1, "first of its kind")]);
    }
}
