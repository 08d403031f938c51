//! Type, unit and help, which 1.0 sends per family and 2.0 with every series.

use crate::DecodeError;
use crate::limits::Meter;
use bramble_signal::{MetricBatch, MetricKind, MetricMetadata};
use std::collections::HashSet;

/// Memory of a family's metadata beside its texts: vectors, headers and the entry in the set of those seen.
const METADATA_BYTES: usize = 160;

/// `MetricMetadata.MetricType` and `Metadata.MetricType`.
pub(super) fn kind(code: u64) -> MetricKind {
    match code {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

/// The family that the series `name` belongs to.
pub(super) fn family(name: &str, kind: MetricKind) -> &str {
    let suffixes: &[&str] = match kind {
        MetricKind::Histogram => &["_bucket", "_sum", "_count"],
        MetricKind::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricKind::Summary => &["_sum", "_count"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// Adds the metadata of a family that the request has not said before.
pub(super) fn push(
    batch: &mut MetricBatch,
    families: &mut HashSet<Box<str>>,
    meter: &mut Meter,
    (name, kind, help, unit): (&str, MetricKind, &str, &str),
    position: usize,
) -> Result<(), DecodeError> {
    if families.contains(name) {
        return Ok(());
    }
    meter.add(2 * name.len() + help.len() + unit.len() + METADATA_BYTES, position)?;
    families.insert(name.into());
    batch.metadata.push(MetricMetadata { name: name.to_owned(), kind, help: help.to_owned(), unit: unit.to_owned() });
    Ok(())
}
