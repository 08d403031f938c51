//! From what discovery found to what is scraped: labels before and after relabelling, URL, times.

use super::config::{PromDuration, ScrapeConfig};
use crate::discovery::TargetGroup;
use crate::relabel::{self, LabelPairs, RelabelConfig};
use bramble_signal::Labels;
use bramble_signal::hash::xxhash64;
use http::Uri;
use std::sync::Arc;

pub(super) const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";

/// Where a target was found: enough to tell its labels before relabelling whenever somebody asks.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) group: Arc<TargetGroup>,
    pub(super) index: usize,
}

/// Something to scrape.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Labels that its series get.
    pub(super) labels: Labels,
    /// What is asked.
    pub(super) uri: Uri,
    pub(super) interval: PromDuration,
    pub(super) timeout: PromDuration,
    pub(super) origin: Origin,
}

impl Target {
    /// Tells targets of a pool apart: equal labels and URL are the same target.
    pub(super) fn identity(&self) -> u64 {
        xxhash64(self.uri.to_string().as_bytes(), xxhash64(self.labels.as_bytes(), 0))
    }
}

/// Labels of a found target before relabelling, by name.
pub(super) fn discovered(config: &ScrapeConfig, origin: &Origin) -> LabelPairs {
    let own = origin.group.targets.get(origin.index).map(Vec::as_slice).unwrap_or_default();
    let mut labels: LabelPairs = Vec::with_capacity(own.len() + origin.group.labels.len() + 5);
    labels.extend(own.iter().filter(|(_, value)| !value.is_empty()).cloned());
    let add = |labels: &mut LabelPairs, name: &str, value: &str| {
        if relabel::get(labels, name).is_empty() {
            relabel::set(labels, name, value);
        }
    };
    for (name, value) in &origin.group.labels {
        // A label that the target has with an empty value stays without one.
        if !own.iter().any(|(known, _)| known == name) {
            add(&mut labels, name, value);
        }
    }
    add(&mut labels, "job", &config.job_name);
    add(&mut labels, INTERVAL, &config.interval.to_string());
    add(&mut labels, TIMEOUT, &config.timeout.to_string());
    add(&mut labels, METRICS_PATH, &config.metrics_path);
    add(&mut labels, SCHEME, &config.scheme);
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            add(&mut labels, &format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    labels.sort_unstable();
    labels
}

/// The target behind a find; `None` when a rule drops it.
///
/// # Errors
/// Why it cannot be scraped, in Prometheus' words.
pub(super) fn build(config: &ScrapeConfig, origin: Origin) -> Result<Option<Target>, String> {
    let mut labels = discovered(config, &origin);
    if !relabel::relabel(&mut labels, &config.relabel) {
        return Ok(None);
    }
    let address = relabel::get(&labels, ADDRESS).to_owned();
    if address.is_empty() {
        return Err("no address".to_owned());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let (interval, timeout) = times(&labels)?;
    labels.retain(|(name, _)| !name.starts_with(META_PREFIX));
    if relabel::get(&labels, "instance").is_empty() {
        relabel::set(&mut labels, "instance", &address);
    }
    let uri = uri_of(config, &labels, &address)?;
    labels.retain(|(name, _)| !name.starts_with("__"));
    let labels = Labels::from_pairs(labels);
    Ok(Some(Target { labels, uri, interval, timeout, origin }))
}

fn times(labels: &LabelPairs) -> Result<(PromDuration, PromDuration), String> {
    let read = |name: &str, what: &str| {
        let text = relabel::get(labels, name);
        let duration = PromDuration::parse(text).map_err(|error| format!("error parsing scrape {what}: {error}"))?;
        if duration.ms() == 0 { Err(format!("scrape {what} cannot be 0")) } else { Ok(duration) }
    };
    let (interval, timeout) = (read(INTERVAL, "interval")?, read(TIMEOUT, "timeout")?);
    if timeout > interval {
        let (timeout, interval) = (timeout.to_string(), interval.to_string());
        return Err(format!("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})"));
    }
    Ok((interval, timeout))
}

fn uri_of(config: &ScrapeConfig, labels: &LabelPairs, address: &str) -> Result<Uri, String> {
    let mut params = config.params.clone();
    for (name, value) in labels {
        if let Some(name) = name.strip_prefix(PARAM_PREFIX) {
            let values = params.entry(name.to_owned()).or_default();
            match values.first_mut() {
                Some(first) => first.clone_from(value),
                None => values.push(value.clone()),
            }
        }
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, values) in &params {
        for value in values {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let path = relabel::get(labels, METRICS_PATH);
    let mut text = format!("{}://{address}", relabel::get(labels, SCHEME));
    if !path.is_empty() && !path.starts_with('/') {
        text.push('/');
    }
    push_path(path, &mut text);
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    text.parse().map_err(|error| format!("{text:?} is no URL: {error}"))
}

/// A path with what may not stand in one as `%XX`; a question mark is part of it, as in Go.
fn push_path(path: &str, out: &mut String) {
    for byte in path.bytes() {
        let is_fine = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        match is_fine {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// What each rule makes of labels, for people who look for a mistake in their rules: the rule, the labels behind it, and
/// whether they are kept. Ends with the rule that drops them.
pub fn relabel_steps(labels: &mut LabelPairs, rules: &[RelabelConfig]) -> Vec<(RelabelConfig, LabelPairs, bool)> {
    let mut steps = Vec::new();
    for rule in rules {
        let keep = relabel::relabel(labels, std::slice::from_ref(rule));
        labels.sort_unstable();
        steps.push((rule.clone(), if keep { labels.clone() } else { Vec::new() }, keep));
        if !keep {
            break;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::super::config::PrometheusConfig;
    use super::*;
    use std::path::Path;

    fn config(yaml: &str) -> Arc<ScrapeConfig> {
        let text = format!("scrape_configs:\n- job_name: j\n{yaml}");
        PrometheusConfig::parse(&text, Path::new("p.yml")).unwrap().jobs[0].clone()
    }

    fn origin(target: &[(&str, &str)], group: &[(&str, &str)]) -> Origin {
        let owned = |pairs: &[(&str, &str)]| -> LabelPairs {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let group = TargetGroup { source: "s".into(), labels: owned(group), targets: vec![owned(target)] };
        Origin { group: Arc::new(group), index: 0 }
    }

    #[test]
    fn labels_and_url_are_made_as_prometheus_makes_them() {
        let config = config("  params: {m: [a, b], x: ['1']}\n");
        let found = origin(&[(ADDRESS, "h:1"), ("__meta_x", "y")], &[("rack", "r"), ("__param_x", "2"), ("job", "g")]);
        let target = build(&config, found.clone()).unwrap().unwrap();
        assert_eq!(target.labels.to_string(), r#"{instance="h:1", job="g", rack="r"}"#);
        assert_eq!(target.uri.to_string(), "http://h:1/metrics?m=a&m=b&x=2");
        let names: Vec<_> = discovered(&config, &found).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names.join(" "),
            "__address__ __meta_x __metrics_path__ __param_m __param_x __scheme__ __scrape_interval__ __scrape_timeout__ job rack"
        );
    }

    #[test]
    fn rules_change_the_target() {
        let config = config(
            "  relabel_configs:\n  - {target_label: __scheme__, replacement: https}\n  - {target_label: __metrics_path__, replacement: a b}\n  \
             - {target_label: __scrape_interval__, replacement: 5s}\n  - {target_label: __scrape_timeout__, replacement: 2s}\n",
        );
        let target = build(&config, origin(&[(ADDRESS, "[::1]:1")], &[])).unwrap().unwrap();
        assert_eq!(target.uri.to_string(), "https://[::1]:1/a%20b");
        assert_eq!((target.interval.ms(), target.timeout.ms()), (5_000, 2_000));
    }

    #[test]
    fn what_cannot_be_scraped_says_why() {
        let plain = config("");
        assert_eq!(
            build(&plain, origin(&[(ADDRESS, "http://h")], &[])).unwrap_err(),
            "\"http://h\" is not a valid hostname"
        );
        assert_eq!(build(&plain, origin(&[], &[])).unwrap_err(), "no address");
        let slow = config("  relabel_configs: [{target_label: __scrape_interval__, replacement: 1s}]\n");
        let error = build(&slow, origin(&[(ADDRESS, "h")], &[])).unwrap_err();
        assert_eq!(error, "scrape timeout cannot be greater than scrape interval (\"10s\" > \"1s\")");
        let dropping = config("  relabel_configs: [{action: drop}]\n");
        assert!(build(&dropping, origin(&[(ADDRESS, "h")], &[])).unwrap().is_none());
    }
}
