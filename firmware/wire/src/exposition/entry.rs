//! What a document says, entry by entry: all of it borrowed from the document or the parser's scratch memory.

use super::float::{parse_float, push_open_metrics};
use bramble_signal::{MetricKind, NativeHistogram};
use std::borrow::Cow;

/// A piece of text as it stands in a document; [`push_to`](Self::push_to) gives what it means.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Text<'a> {
    /// Means itself.
    Plain(&'a str),
    /// Holds `\\`, `\n` or `\"`; any other backslash means itself.
    Escaped(&'a str),
    /// Help of Prometheus text: holds `\\` or `\n`; a quote is never escaped.
    EscapedHelp(&'a str),
    /// A bound or quantile, written as OpenMetrics does: `1.0`, `+Inf`.
    Number(f64),
    /// A family's name and the suffix of one of its series.
    Joined(&'a str, &'static str),
}

impl<'a> Text<'a> {
    /// Text between quotes, or help of OpenMetrics.
    pub(crate) fn of_quoted(raw: &'a str) -> Self {
        if raw.contains('\\') { Text::Escaped(raw) } else { Text::Plain(raw) }
    }

    /// Appends what the text means. Allocates only what `out` needs to grow.
    pub fn push_to(&self, out: &mut String) {
        match *self {
            Text::Plain(text) => out.push_str(text),
            Text::Escaped(text) => unescape(text, true, out),
            Text::EscapedHelp(text) => unescape(text, false, out),
            Text::Number(number) => push_open_metrics(number, out),
            Text::Joined(name, suffix) => {
                out.push_str(name);
                out.push_str(suffix);
            }
        }
    }

    /// What the text means, borrowed where it means itself.
    pub fn to_cow(&self) -> Cow<'a, str> {
        match *self {
            Text::Plain(text) => Cow::Borrowed(text),
            _ => {
                let mut out = String::new();
                self.push_to(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        matches!(self, Text::Plain("") | Text::Joined("", ""))
    }

    /// The characters as they stand, for comparisons within one document.
    pub(crate) fn raw(&self) -> &'a str {
        match *self {
            Text::Plain(text) | Text::Escaped(text) | Text::EscapedHelp(text) | Text::Joined(text, _) => text,
            Text::Number(_) => "",
        }
    }

    /// The same value as a number, where it reads as one.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match *self {
            Text::Plain(text) => parse_float(text.as_bytes()).ok(),
            Text::Number(number) => Some(number),
            _ => None,
        }
    }
}

fn unescape(text: &str, quotes: bool, out: &mut String) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let meant = match after.as_bytes().first() {
            Some(b'\\') => Some('\\'),
            Some(b'n') => Some('\n'),
            Some(b'"') if quotes => Some('"'),
            _ => None,
        };
        out.push(meant.unwrap_or('\\'));
        rest = if meant.is_some() { after.get(1..).unwrap_or_default() } else { after };
    }
    out.push_str(rest);
}

/// A label of a series or exemplar.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pair<'a> {
    /// Name.
    pub name: Text<'a>,
    /// Value, may be empty.
    pub value: Text<'a>,
}

/// An example behind a sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ExemplarEntry<'p, 'a> {
    /// Labels in the order of the document; may be empty, may repeat.
    pub labels: &'p [Pair<'a>],
    /// The value observed.
    pub value: f64,
    /// Milliseconds since the Unix epoch, where it is said.
    pub timestamp_ms: Option<i64>,
}

/// Where an exemplar's labels are in the parser's scratch memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExemplarSpan {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
}

/// Exemplars of one entry, in the order of the document.
#[derive(Clone, Copy, Debug)]
pub struct Exemplars<'p, 'a> {
    pub(super) spans: &'p [ExemplarSpan],
    pub(super) labels: &'p [Pair<'a>],
}

impl<'p, 'a> Exemplars<'p, 'a> {
    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = ExemplarEntry<'p, 'a>> + use<'p, 'a> {
        let labels = self.labels;
        self.spans.iter().map(move |span| ExemplarEntry {
            labels: labels.get(span.first..span.end).unwrap_or_default(),
            value: span.value,
            timestamp_ms: span.timestamp_ms,
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// What series and histogram entries have in common.
#[derive(Clone, Copy, Debug)]
pub struct SeriesEntry<'p, 'a> {
    /// Name and labels as they stand in the document; empty for protobuf.
    pub raw: &'a str,
    /// The metric's name as `__name__`, then labels in the order of the document; may repeat. Bounds of histograms
    /// (`le`) and quantiles of summaries are [`Text::Number`] when they are numbers.
    pub labels: &'p [Pair<'a>],
    /// Milliseconds since the Unix epoch, where it is said.
    pub timestamp_ms: Option<i64>,
    /// When counting began, milliseconds since the Unix epoch, where it is said.
    pub start_timestamp_ms: Option<i64>,
    /// Its exemplars.
    pub exemplars: Exemplars<'p, 'a>,
}

/// One statement of a document.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'p, 'a> {
    /// What a family counts.
    Type {
        /// The family.
        metric: Text<'a>,
        /// Its type.
        kind: MetricKind,
    },
    /// A family's description.
    Help {
        /// The family.
        metric: Text<'a>,
        /// Free text, may be empty.
        help: Text<'a>,
    },
    /// A family's unit.
    Unit {
        /// The family.
        metric: Text<'a>,
        /// Suffix of the family's name, may be empty.
        unit: &'a str,
    },
    /// A line that means nothing, with its `#`; bytes, since nothing says what it is written in.
    Comment(&'a [u8]),
    /// A sample.
    Series {
        /// Whose.
        series: SeriesEntry<'p, 'a>,
        /// Its value. NaN is never the staleness marker.
        value: f64,
    },
    /// A native histogram.
    Histogram {
        /// Whose.
        series: SeriesEntry<'p, 'a>,
        /// Not checked: see [`NativeHistogram::validate`].
        histogram: &'p NativeHistogram,
    },
}
