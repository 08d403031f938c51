//! What is said about streams and entries that are refused: in Loki's words, which senders' logs and people's alerts know.
//!
//! Source: Loki's `pkg/validation`.

use super::Oversize;
use crate::label_set::LabelSet;
use crate::{DecodeError, Limits, RejectReason};
use std::fmt::Write;

/// A request without streams.
pub(super) const NO_STREAMS: &str = "error at least one valid stream is required for ingestion";
/// A stream without labels.
pub(super) const NO_LABELS: &str = "error at least one label pair is required per stream";

/// So much of labels, a name or a value is told, in bytes.
const TOLD_BYTES_MAX: usize = 1024;

/// Labels that do not parse. Positions are line and column, as Prometheus counts them.
pub(super) fn unparsed(error: &DecodeError) -> String {
    let column = error.position().unwrap_or(0) + 1;
    format!("couldn't parse labels: 1:{column}: parse error: {}", error.message())
}

/// A stream whose labels break a rule.
pub(super) fn stream(reason: RejectReason, labels: &LabelSet, limits: &Limits) -> String {
    let shown = shown(labels);
    let found = |test: &dyn Fn(&str, &str) -> bool| labels.iter().find(|(name, value)| test(name, value));
    match reason {
        RejectReason::TooManyLabels => {
            format!("entry for stream '{shown}' has {} label names; limit {}", labels.len(), limits.stream_labels_max)
        }
        RejectReason::LabelNameTooLong => {
            let name = found(&|name, _| name.len() > limits.label_name_bytes_max).map_or("", |(name, _)| name);
            format!("stream '{shown}' has label name too long: '{}'", cut(name))
        }
        RejectReason::LabelValueTooLong => {
            let value = found(&|_, value| value.len() > limits.label_value_bytes_max).map_or("", |(_, value)| value);
            format!("stream '{shown}' has label value too long: '{}'", cut(value))
        }
        RejectReason::DuplicateLabel => {
            let twice = |name: &str, _: &str| labels.iter().filter(|(other, _)| *other == name).count() > 1;
            let name = found(&twice).map_or("", |(name, _)| name);
            format!("stream '{shown}' has duplicate label name: '{name}'")
        }
        _ => format!("stream '{shown}': {}", reason.describe()),
    }
}

/// An entry that breaks a rule.
pub(super) fn entry(reason: RejectReason, labels: &LabelSet, size: Oversize, limits: &Limits) -> String {
    let shown = shown(labels);
    let advice =
        |limit: &str| format!("Please see `limits_config.{limit}` or contact your Loki administrator to increase it.");
    match reason {
        RejectReason::LineTooLong => format!(
            "Max entry size '{}' bytes exceeded for stream '{shown}' while adding an entry with length '{}' bytes",
            limits.line_bytes_max, size.line_bytes
        ),
        RejectReason::MetadataTooLarge if size.metadata_bytes > limits.metadata_bytes_max => format!(
            "stream '{shown}' has structured metadata too large: '{}' bytes, limit: '{}' bytes. {}",
            size.metadata_bytes,
            limits.metadata_bytes_max,
            advice("max_structured_metadata_size")
        ),
        RejectReason::MetadataTooLarge => format!(
            "stream '{shown}' has too many structured metadata labels: '{}', limit: '{}'. {}",
            size.metadata_count,
            limits.metadata_count_max,
            advice("max_structured_metadata_entries_count")
        ),
        _ => format!("entry for stream '{shown}': {}", reason.describe()),
    }
}

/// Labels as Loki prints them, in order of their names.
fn shown(labels: &LabelSet) -> String {
    let mut pairs: Vec<_> = labels.iter().collect();
    pairs.sort();
    let mut text = String::from("{");
    for (at, (name, value)) in pairs.into_iter().enumerate() {
        if text.len() > TOLD_BYTES_MAX {
            break;
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{}={:?}", if at == 0 { "" } else { ", " }, cut(name), cut(value));
    }
    text.push('}');
    text
}

fn cut(text: &str) -> &str {
    let end = (0..=TOLD_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}
