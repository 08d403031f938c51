//! The family that the last `# TYPE` announced, and which samples are its.

use super::entry::{Pair, Text};
use bramble_signal::MetricKind;

/// A family: its name as it stands in the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) kind: MetricKind,
}

impl Default for Family<'_> {
    fn default() -> Self {
        Family { name: "", kind: MetricKind::Unknown }
    }
}

/// The end of a sample's name that says which part of its family it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A value, bucket, sum, count or quantile.
    Value,
    /// When counting began.
    Created,
}

impl Family<'_> {
    /// Whether `sample` is of this family, which must be of a type that has a beginning; and which part.
    pub(super) fn part_with_start(&self, sample: &str) -> Option<Part> {
        let suffix = sample.strip_prefix(self.name).filter(|_| !self.name.is_empty())?;
        match (self.kind, suffix) {
            (MetricKind::Counter | MetricKind::Histogram | MetricKind::Summary, "_created") => Some(Part::Created),
            (MetricKind::Counter, "_total")
            | (MetricKind::Histogram, "_bucket" | "_count" | "_sum")
            | (MetricKind::Summary, "" | "_count" | "_sum") => Some(Part::Value),
            _ => None,
        }
    }

    /// The label that tells samples of one group apart.
    pub(super) fn inner_label(&self) -> &'static str {
        match self.kind {
            MetricKind::Histogram => "le",
            MetricKind::Summary => "quantile",
            _ => "",
        }
    }
}

/// Makes numbers of a histogram's bounds and a summary's quantiles, so that `1` and `1.0` are one series.
pub(super) fn normalize_bounds<'a>(family: &Family<'a>, sample: Text<'a>, labels: &mut [Pair<'a>]) {
    let inner = family.inner_label();
    if inner.is_empty() || !sample.raw().starts_with(family.name) {
        return;
    }
    for pair in labels.iter_mut().filter(|pair| pair.name == Text::Plain(inner)) {
        if let Some(number) = pair.value.as_number() {
            pair.value = Text::Number(number);
        }
    }
}
