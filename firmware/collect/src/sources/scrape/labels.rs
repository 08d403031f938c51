//! What a series of a page is called: the target's labels, conflicts, rules, limits.

use super::config::ScrapeConfig;
use crate::relabel::{self, LabelPairs};
use bramble_signal::labels::{encode, is_plain_name};
use bramble_signal::{Labels, METRIC_NAME};
use bramble_wire::exposition::Pair;

/// Bramble's own bounds on labels, those of its receivers.
const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const LABELS_MAX: usize = 128;

/// What becomes of a series.
#[derive(PartialEq, Debug)]
pub(super) enum Named {
    /// It is kept, with labels encoded into the caller's buffer.
    Kept,
    /// A rule drops it.
    Dropped,
    /// It is beyond what Bramble keeps of any series: left out and counted.
    TooLarge,
}

/// Makes the labels of a series, encoded into `out`.
///
/// # Errors
/// Why the whole page is refused, in Prometheus' words.
pub(super) fn name_series(
    pairs: &[Pair<'_>],
    target: &Labels,
    config: &ScrapeConfig,
    out: &mut Vec<u8>,
) -> Result<Named, String> {
    let mut labels: LabelPairs = Vec::with_capacity(pairs.len() + 4);
    for pair in pairs {
        let name = pair.name.to_cow();
        if labels.iter().any(|(known, _)| *known == name) {
            return Err(format!("label name {name:?} is not unique: invalid sample"));
        }
        labels.push((name.into_owned(), pair.value.to_cow().into_owned()));
    }
    join_target(&mut labels, target, config.honor_labels);
    if !relabel::relabel(&mut labels, &config.metric_relabel) || labels.is_empty() {
        return Ok(Named::Dropped);
    }
    check(&labels, config)?;
    let is_large = |(name, value): &(String, String)| name.len() > NAME_BYTES_MAX || value.len() > VALUE_BYTES_MAX;
    if labels.len() > LABELS_MAX || labels.iter().any(is_large) {
        return Ok(Named::TooLarge);
    }
    let mut borrowed: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    out.clear();
    encode(&mut borrowed, out).map_err(|error| error.to_string())?;
    Ok(Named::Kept)
}

/// Adds the target's labels. Where both have one of a name, the page's wins (`honor`), or it is renamed.
fn join_target(labels: &mut LabelPairs, target: &Labels, honor: bool) {
    let mut conflicts: LabelPairs = Vec::new();
    for (name, value) in target.iter() {
        match labels.iter_mut().find(|(known, _)| known == name) {
            Some(_) if honor => {}
            Some((_, own)) => {
                let exposed = std::mem::replace(own, value.to_owned());
                if !exposed.is_empty() {
                    conflicts.push((name.to_owned(), exposed));
                }
            }
            None => labels.push((name.to_owned(), value.to_owned())),
        }
    }
    // Labels without a value are none; they counted only so far.
    labels.retain(|(_, value)| !value.is_empty());
    // Shorter names first, so that `exported_x` of a page finds another name than `x` of it.
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut renamed = format!("exported_{name}");
        while !relabel::get(labels, &renamed).is_empty() {
            renamed.insert_str(0, "exported_");
        }
        labels.push((renamed, value));
    }
}

fn check(labels: &LabelPairs, config: &ScrapeConfig) -> Result<(), String> {
    let metric = relabel::get(labels, METRIC_NAME);
    if metric.is_empty() {
        return Err("missing metric name (__name__ label)".to_owned());
    }
    if !config.utf8_names {
        let is_metric_name = |name: &str| is_plain_name(&name.replace(':', "_"));
        if !is_metric_name(metric) || !labels.iter().all(|(name, _)| is_plain_name(name)) {
            let shown = Labels::from_pairs(labels.iter().map(|(n, v)| (n, v)));
            return Err(format!("invalid metric name or label names: {shown}"));
        }
    }
    let limits = &config.limits;
    if limits.labels > 0 && labels.len() as u64 > limits.labels {
        let count = labels.len();
        return Err(format!(
            "label_limit exceeded (metric: {metric:.50}, number of labels: {count}, limit: {})",
            limits.labels
        ));
    }
    for (name, value) in labels {
        if limits.label_name_bytes > 0 && name.len() as u64 > limits.label_name_bytes {
            return Err(format!(
                "label_name_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, length: {}, limit: {})",
                name.len(),
                limits.label_name_bytes
            ));
        }
        if limits.label_value_bytes > 0 && value.len() as u64 > limits.label_value_bytes {
            return Err(format!(
                "label_value_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, value: {value:.50?}, length: {}, limit: {})",
                value.len(),
                limits.label_value_bytes
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::config::PrometheusConfig;
    use super::*;
    use bramble_signal::LabelsRef;
    use bramble_wire::exposition::Text;
    use std::path::Path;

    fn named(yaml: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
        let text = format!("scrape_configs:\n- job_name: j\n{yaml}");
        let config = PrometheusConfig::parse(&text, Path::new("p.yml")).unwrap().jobs[0].clone();
        let target = Labels::from_pairs([("instance", "h:1"), ("job", "j")]);
        let pairs: Vec<Pair<'_>> =
            pairs.iter().map(|(name, value)| Pair { name: Text::Plain(name), value: Text::Plain(value) }).collect();
        let mut out = Vec::new();
        Ok(match name_series(&pairs, &target, &config, &mut out)? {
            Named::Kept => LabelsRef::from_encoded(&out).to_string(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn labels_of_page_and_target_are_joined() {
        let page = [("__name__", "m"), ("job", "inner"), ("exported_job", "e"), ("empty", "")];
        let expected = r#"{__name__="m", exported_exported_job="inner", exported_job="e", instance="h:1", job="j"}"#;
        assert_eq!(named("", &page).unwrap(), expected);
        let honored = r#"{__name__="m", exported_job="e", instance="h:1", job="inner"}"#;
        assert_eq!(named("  honor_labels: true\n", &page).unwrap(), honored);
        let without = named("  honor_labels: true\n", &[("__name__", "m"), ("instance", "")]).unwrap();
        assert_eq!(without, r#"{__name__="m", job="j"}"#, "an empty label keeps the target's away");
    }

    #[test]
    fn pages_that_break_a_rule_are_refused() {
        let page = [("__name__", "metric"), ("a", "12345")];
        for (yaml, expected) in [
            ("  label_limit: 3\n", "label_limit exceeded (metric: metric, number of labels: 4, limit: 3)"),
            (
                "  label_name_length_limit: 7\n",
                "label_name_length_limit exceeded (metric: metric, label name: __name__, length: 8, limit: 7)",
            ),
            (
                "  label_value_length_limit: 5\n",
                "label_value_length_limit exceeded (metric: metric, label name: __name__, value: \"metric\", length: 6, limit: 5)",
            ),
            (
                "  metric_relabel_configs: [{regex: __name__, action: labeldrop}]\n",
                "missing metric name (__name__ label)",
            ),
        ] {
            assert_eq!(named(yaml, &page).unwrap_err(), expected);
        }
        let twice = named("", &[("__name__", "m"), ("a", "1"), ("a", "2")]).unwrap_err();
        assert_eq!(twice, "label name \"a\" is not unique: invalid sample");
        let legacy = "  metric_name_validation_scheme: legacy\n";
        assert!(named(legacy, &[("__name__", "a.b")]).is_err() && named(legacy, &[("__name__", "a:b")]).is_ok());
    }

    #[test]
    fn rules_drop_and_what_is_too_large_is_left_out() {
        let dropping = "  metric_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]\n";
        assert_eq!(named(dropping, &[("__name__", "go_x")]).unwrap(), "Dropped");
        assert_eq!(named("", &[("__name__", "m"), ("a", &"x".repeat(5000))]).unwrap(), "TooLarge");
    }
}
