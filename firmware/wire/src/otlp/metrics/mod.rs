//! `ExportMetricsServiceRequest` to a [`MetricBatch`], in Prometheus' terms.
//!
//! Gauges and sums become one series each; histograms `_bucket` (cumulative, by `le`), `_sum` and `_count`, or, if
//! wanted, native histograms with custom bounds; exponential histograms native ones; summaries their quantiles, `_sum`
//! and `_count`. What comes with delta temporality is first added up ([`DeltaStreams`]). Every series has the point's
//! attributes, the promoted attributes of the resource, if wanted the scope's as `otel_scope_*`, and `job` and
//! `instance`; the resource's other attributes are labels of one `target_info` series. Names and what else can be
//! chosen: [`MetricOptions`].

mod delta;
mod exemplars;
mod exponential;
mod histograms;
mod names;
mod options;
mod points;
mod target;

pub use delta::DeltaStreams;
pub(super) use exponential::Exponential;
pub(super) use names::Names;
pub use options::{MetricOptions, Promotion, Translation};

use super::Scratch;
use super::any_value::{push_text, put_key_value};
use super::logs::resource;
use crate::label_set::{LabelSet, Mark};
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::histogram::HistogramError;
use bramble_signal::{MetricBatch, MetricKind, MetricMetadata};
use delta::Streams;
use names::push_label_name;
use std::sync::MutexGuard;
use target::{identity_labels, promoted_labels};

/// Memory of a series in the batch beside its labels: two ranges and a start; and of a sample.
const SERIES_BYTES: usize = 24;
const SAMPLE_BYTES: usize = 16;

struct Metrics<'a> {
    limits: &'a Limits,
    options: &'a MetricOptions,
    streams: &'a DeltaStreams,
    /// Held from the first delta point on.
    locked: Option<MutexGuard<'a, Streams>>,
    scratch: &'a mut Scratch,
    meter: Meter,
    decoded: Decoded<MetricBatch>,
    /// Oldest and newest point of the resource at hand, in milliseconds since the Unix epoch.
    times_ms: Option<(i64, i64)>,
    /// What was wrong with the histogram rejected last.
    histogram_error: Option<HistogramError>,
}

pub(super) fn decode(
    body: &[u8],
    limits: &Limits,
    (options, streams): (&MetricOptions, &DeltaStreams),
    scratch: &mut Scratch,
) -> Result<Decoded<MetricBatch>, DecodeError> {
    scratch.families.clear();
    let meter = Meter::new(limits.batch_bytes_max);
    let mut metrics = Metrics {
        limits,
        options,
        streams,
        locked: None,
        scratch,
        meter,
        decoded: Decoded::default(),
        times_ms: None,
        histogram_error: None,
    };
    let walked = metrics.request(Reader::new(body));
    if let Some(mut streams) = metrics.locked.take() {
        match &walked {
            Ok(()) => streams.commit(),
            Err(_) => streams.rollback(),
        }
    }
    walked.map(|()| metrics.decoded)
}

/// A metric's fields, borrowed from the request.
#[derive(Default)]
struct Metric<'a> {
    name: &'a str,
    description: &'a str,
    unit: &'a str,
    /// The field with its points.
    data: Option<Field<'a>>,
}

impl Metrics<'_> {
    fn request(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                self.resource_metrics(field.message()?)?;
            }
        }
        Ok(())
    }

    fn resource_metrics(&mut self, message: Reader<'_>) -> Result<(), DecodeError> {
        let mut attributes = std::mem::take(&mut self.scratch.attributes);
        attributes.clear();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                resource(field.message()?, &mut attributes)?;
            }
        }
        let of_resource = AttributesRef::from_encoded(&attributes);
        self.times_ms = None;
        promoted_labels(of_resource, self.options, &mut self.scratch.promoted);
        identity_labels(of_resource, &mut self.scratch.base);
        let identity = self.scratch.base.mark();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.scratch.base.rewind(identity);
                self.scope_metrics(field.message()?)?;
            }
        }
        self.scratch.base.rewind(identity);
        self.target_info(of_resource, message.position())?;
        self.scratch.attributes = attributes;
        Ok(())
    }

    fn scope_metrics(&mut self, message: Reader<'_>) -> Result<(), DecodeError> {
        if self.options.promote_scope_metadata {
            self.scope(message)?;
        }
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.metric(&field)?;
            }
        }
        Ok(())
    }

    /// Pushes the scope's labels, when it has a name.
    fn scope(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        let Scratch { inner, base, .. } = &mut *self.scratch;
        inner.clear();
        let (mut name, mut version, mut schema_url) = ("", "", "");
        while let Some(field) = reader.next()? {
            match field.number {
                1 => {
                    let mut reader = field.message()?;
                    while let Some(field) = reader.next()? {
                        match field.number {
                            1 => name = field.text()?,
                            2 => version = field.text()?,
                            3 => put_key_value(inner, &field)?,
                            _ => {}
                        }
                    }
                }
                3 => schema_url = field.text()?,
                _ => {}
            }
        }
        if name.is_empty() {
            return Ok(());
        }
        base.push("otel_scope_name", name);
        base.push("otel_scope_version", version);
        base.push("otel_scope_schema_url", schema_url);
        for (key, value) in AttributesRef::from_encoded(inner).iter() {
            let name = |text: &mut String| {
                text.push_str("otel_scope_");
                match self.options.translation.escapes() {
                    true => crate::label_set::push_sanitized(text, key),
                    false => text.push_str(key),
                }
            };
            base.push_with(name, |text| push_text(text, value));
        }
        Ok(())
    }

    fn metric(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let metric = match read_metric(field.message()?) {
            Ok(metric) => metric,
            Err(error) => {
                return match crate::error::ItemError::from(error) {
                    crate::error::ItemError::Reject(reason) => self.reject_metric(reason, field),
                    crate::error::ItemError::Fatal(error) => Err(error),
                };
            }
        };
        let kind = match metric.data {
            Some(data) => points::kind(&data)?,
            None => Err(RejectReason::NoValue),
        };
        let kind = match kind {
            Ok(kind) => kind,
            Err(reason) => return self.reject_metric(reason, field),
        };
        self.scratch.names.translate(metric.name, metric.unit, kind.ending, self.options.translation);
        if self.scratch.names.name.is_empty() {
            return self.reject_metric(RejectReason::MissingName, field);
        }
        self.metadata(&metric, kind.metadata, field.position)?;
        match metric.data {
            Some(data) => self.points(&data, kind.delta),
            None => Ok(()),
        }
    }

    /// Counts a metric's points as rejected; a metric without points, which cannot be sent, as one.
    fn reject_metric(&mut self, reason: RejectReason, field: &Field<'_>) -> Result<(), DecodeError> {
        let (mut reader, mut count, mut name) = (field.message()?, 0, "");
        while let Some(field) = reader.next()? {
            match field.number {
                1 => name = field.text().unwrap_or_default(),
                5 | 7 | 9 | 10 | 11 => {
                    let mut reader = field.message()?;
                    while let Some(field) = reader.next()? {
                        count += u64::from(field.number == 1);
                    }
                }
                _ => {}
            }
        }
        let detail = || format!("metric {:?} at byte {}", name.chars().take(100).collect::<String>(), field.position);
        self.decoded.rejected.add(reason, count.max(1), detail);
        Ok(())
    }

    /// Adds the family's metadata, once a request.
    fn metadata(&mut self, metric: &Metric<'_>, kind: MetricKind, position: usize) -> Result<(), DecodeError> {
        let Scratch { names, families, .. } = &mut *self.scratch;
        if families.contains(names.name.as_str()) {
            return Ok(());
        }
        // The name is kept twice; 160 is what the vectors and headers around the texts take.
        self.meter.add(2 * names.name.len() + metric.description.len() + names.unit.len() + 160, position)?;
        families.insert(names.name.as_str().into());
        self.decoded.batch.metadata.push(MetricMetadata {
            name: names.name.clone(),
            kind,
            help: metric.description.to_owned(),
            unit: names.unit.clone(),
        });
        Ok(())
    }
}

fn read_metric(mut reader: Reader<'_>) -> Result<Metric<'_>, DecodeError> {
    let mut metric = Metric::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => metric.name = field.text()?,
            2 => metric.description = field.text()?,
            3 => metric.unit = field.text()?,
            5 | 7 | 9 | 10 | 11 => metric.data = Some(field),
            _ => {}
        }
    }
    Ok(metric)
}

/// Pushes attributes as labels. Where keys become the same name, values are joined with `;` in the order of
/// the keys; not done for more than `labels_max`, which are rejected anyway.
fn push_attributes(
    attributes: AttributesRef<'_>,
    out: &mut LabelSet,
    labels_max: usize,
    translation: Translation,
    keep: impl Fn(&str) -> bool,
) {
    let start = out.mark();
    let push = |out: &mut LabelSet, key: &str, value: AttributeValue<'_>| {
        out.push_with(|text| push_label_name(text, key, translation), |text| push_text(text, value));
    };
    let kept = || attributes.iter().filter(|(key, _)| keep(key));
    kept().for_each(|(key, value)| push(out, key, value));
    if out.len() <= labels_max && out.has_duplicates(start) {
        let mut by_key: Vec<_> = kept().collect();
        by_key.sort_by_key(|&(key, _)| key);
        out.rewind(start);
        by_key.into_iter().for_each(|(key, value)| push(out, key, value));
        out.join_duplicates(start);
    }
}

/// Where a point's series differ: after its common labels.
#[derive(Clone, Copy)]
struct PointLabels(Mark);

#[cfg(test)]
mod tests;
