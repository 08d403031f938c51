//! What a resource gives to its series: `job` and `instance`, promoted attributes, and `target_info`.

use super::options::MetricOptions;
use super::{Metrics, SAMPLE_BYTES, SERIES_BYTES, push_attributes};
use crate::DecodeError;
use crate::label_set::LabelSet;
use crate::otlp::Scratch;
use crate::otlp::any_value::{present, push_text, text_of};
use bramble_signal::METRIC_NAME;
use bramble_signal::attributes::AttributesRef;

/// Resource attributes that `job` and `instance` are made of.
const IDENTITY: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// Distance of `target_info`'s samples where a resource's points span more: half of PromQL's default lookback, so that
/// there is one for every point.
const STEP_MS: i64 = 150_000;
/// Points further back than this before the newest have none of their own.
const SPAN_MS: i64 = 3_600_000;

/// `job` from the service's namespace and name, `instance` from its instance id.
pub(super) fn identity_labels(attributes: AttributesRef<'_>, out: &mut LabelSet) {
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

/// Attributes that become labels of every series. Of keys that become one name the first in order is meant: it is
/// pushed last.
pub(super) fn promoted_labels(attributes: AttributesRef<'_>, options: &MetricOptions, out: &mut LabelSet) {
    out.clear();
    let mut promoted: Vec<_> = attributes.iter().filter(|(key, _)| options.promotion.promotes(key)).collect();
    promoted.sort_by(|(a, _), (b, _)| b.cmp(a));
    for (key, value) in promoted {
        out.push_with(
            |text| super::names::push_label_name(text, key, options.translation),
            |text| push_text(text, value),
        );
    }
}

impl Metrics<'_> {
    /// One series with the resource's attributes, when it has an identity and says more than that.
    pub(super) fn target_info(&mut self, of_resource: AttributesRef<'_>, position: usize) -> Result<(), DecodeError> {
        let Scratch { base, labels, .. } = &mut *self.scratch;
        let has_more = of_resource.iter().any(|(key, _)| !IDENTITY.contains(&key));
        let Some((oldest_ms, newest_ms)) = self.times_ms.filter(|_| has_more && base.len() > 0) else { return Ok(()) };
        let keep_all = self.options.keep_identifying_resource_attributes;
        labels.clear();
        let keep = |key: &str| keep_all || !IDENTITY.contains(&key);
        push_attributes(of_resource, labels, self.limits.series_labels_max, self.options.translation, keep);
        labels.extend(base);
        labels.push(METRIC_NAME, "target_info");
        if let Err(reason) = labels.check(self.limits, self.limits.series_labels_max) {
            self.decoded.rejected.add(reason, 1, || "target_info".to_owned());
            return Ok(());
        }
        let encoded = labels.encode_last_wins();
        self.meter.add(SERIES_BYTES + encoded.as_bytes().len(), position)?;
        self.decoded.batch.start_series_encoded(encoded);
        let mut at_ms = oldest_ms.max(newest_ms.saturating_sub(SPAN_MS));
        while at_ms < newest_ms {
            self.meter.add(SAMPLE_BYTES, position)?;
            self.decoded.batch.push_sample(at_ms, 1.0);
            at_ms = at_ms.saturating_add(STEP_MS);
        }
        self.meter.add(SAMPLE_BYTES, position)?;
        self.decoded.batch.push_sample(newest_ms, 1.0);
        Ok(())
    }
}
