//! `ExportMetricsServiceRequest` to a [`MetricBatch`], in Prometheus' terms.
//!
//! Gauges and cumulative sums become one series each; histograms `_bucket` (cumulative, by `le`), `_sum` and
//! `_count`; summaries their quantiles, `_sum` and `_count`. Every series has the point's attributes, the
//! scope's as `otel_scope_*`, and `job` and `instance` from the resource; the resource's other attributes are
//! labels of one `target_info` series. Not supported, and rejected as such: delta temporality, exponential
//! histograms.

mod names;
mod points;

pub(super) use names::Names;

use super::Scratch;
use super::any_value::{present, push_text, put_key_value, text_of};
use super::logs::resource;
use crate::label_set::{LabelSet, Mark};
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{METRIC_NAME, MetricBatch, MetricKind, MetricMetadata};
use names::push_label_name;

/// Resource attributes that are the target's identity and therefore not in `target_info`.
const IDENTITY: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// Memory of a series in the batch beside its labels: two ranges; and of a sample.
const SERIES_BYTES: usize = 16;
const SAMPLE_BYTES: usize = 16;

struct Metrics<'a> {
    limits: &'a Limits,
    scratch: &'a mut Scratch,
    meter: Meter,
    decoded: Decoded<MetricBatch>,
    /// Newest point of the resource at hand, in milliseconds since the Unix epoch.
    newest_ms: Option<i64>,
}

pub(super) fn decode(body: &[u8], limits: &Limits, scratch: &mut Scratch) -> Result<Decoded<MetricBatch>, DecodeError> {
    scratch.families.clear();
    let meter = Meter::new(limits.batch_bytes_max);
    let mut metrics = Metrics { limits, scratch, meter, decoded: Decoded::default(), newest_ms: None };
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            metrics.resource_metrics(field.message()?)?;
        }
    }
    Ok(metrics.decoded)
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
        self.newest_ms = None;
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

    fn target_info(&mut self, of_resource: AttributesRef<'_>, position: usize) -> Result<(), DecodeError> {
        let Scratch { base, labels, .. } = &mut *self.scratch;
        let has_more = of_resource.iter().any(|(key, _)| !IDENTITY.contains(&key));
        let Some(newest_ms) = self.newest_ms.filter(|_| has_more && base.len() > 0) else { return Ok(()) };
        labels.clear();
        push_attributes(of_resource, labels, self.limits.series_labels_max, |key| !IDENTITY.contains(&key));
        labels.extend(base);
        labels.push(METRIC_NAME, "target_info");
        if let Err(reason) = labels.check(self.limits, self.limits.series_labels_max) {
            self.decoded.rejected.add(reason, 1, || "target_info".to_owned());
            return Ok(());
        }
        let encoded = labels.encode_last_wins();
        self.meter.add(SERIES_BYTES + SAMPLE_BYTES + encoded.as_bytes().len(), position)?;
        self.decoded.batch.start_series_encoded(encoded);
        self.decoded.batch.push_sample(newest_ms, 1.0);
        Ok(())
    }

    fn scope_metrics(&mut self, message: Reader<'_>) -> Result<(), DecodeError> {
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                self.scope(field.message()?)?;
            }
        }
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.metric(&field)?;
            }
        }
        Ok(())
    }

    fn scope(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        let Scratch { inner, base, .. } = &mut *self.scratch;
        inner.clear();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => base.push("otel_scope_name", field.text()?),
                2 => base.push("otel_scope_version", field.text()?),
                3 => put_key_value(inner, &field)?,
                _ => {}
            }
        }
        for (key, value) in AttributesRef::from_encoded(inner).iter() {
            let name = |text: &mut String| {
                text.push_str("otel_scope_");
                crate::label_set::push_sanitized(text, key);
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
        self.scratch.names.translate(metric.name, metric.unit, kind);
        if self.scratch.names.name.is_empty() {
            return self.reject_metric(RejectReason::MissingName, field);
        }
        self.metadata(&metric, kind, field.position)?;
        match metric.data {
            Some(data) => self.points(&data),
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

/// `job` from the service's namespace and name, `instance` from its instance id.
fn identity_labels(attributes: AttributesRef<'_>, out: &mut LabelSet) {
    out.clear();
    if let Some(name) = text_of(attributes, "service.name") {
        out.push_with(
            |text| text.push_str("job"),
            |text| {
                if let Some(namespace) = text_of(attributes, "service.namespace") {
                    text.push_str(namespace);
                    text.push('/');
                }
                text.push_str(name);
            },
        );
    }
    if let Some(value) = present(attributes, "service.instance.id") {
        out.push_with(|text| text.push_str("instance"), |text| push_text(text, value));
    }
}

/// Pushes attributes as labels. Where keys become the same name, values are joined with `;` in the order of
/// the keys; not done for more than `labels_max`, which are rejected anyway.
fn push_attributes(attributes: AttributesRef<'_>, out: &mut LabelSet, labels_max: usize, keep: impl Fn(&str) -> bool) {
    let start = out.mark();
    let push = |out: &mut LabelSet, key: &str, value: AttributeValue<'_>| {
        out.push_with(|text| push_label_name(text, key), |text| push_text(text, value));
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
