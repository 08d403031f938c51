//! Datadog: logs (v2) and series (v2), JSON.
//!
//! Counters are sent as counts since the sample before, which is remembered per series: the first sample of a series and the
//! one after a reset give nothing and the value itself. Histograms are not sent, since Datadog's sketches cannot be made of
//! them; they count as rejected.
//!
//! Source: Datadog API reference, "Send logs" (`/api/v2/logs`: at most 1000 entries, 5 MB) and "Submit metrics"
//! (`/api/v2/series`: at most 512 KB compressed, 5 MB uncompressed; types 1 = count, 3 = gauge).

use super::http_post::{Post, gzip};
use super::{Attempt, Outcome, Transport};
use crate::config::DestinationConfig;
use crate::item::{Item, decode_batch};
use bramble_signal::{LabelsRef, LogBatch, METRIC_NAME, MetricBatch, floating_label, hash, is_stale_marker};
use bramble_storage::Batch;
use http::Uri;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const LOGS_PER_REQUEST_MAX: usize = 1000;
const BODY_BYTES_MAX: usize = 4_500_000;
/// Series of counters that are remembered: 24 bytes each.
const COUNTERS_MAX: usize = 200_000;

/// A Datadog site.
pub(super) struct Datadog {
    post: Post,
    logs: Uri,
    series: Uri,
    /// By the hash of labels: timestamp and value of the last sample that was sent.
    counters: Mutex<HashMap<u64, (i64, f64)>>,
    counter_names: Mutex<HashSet<String>>,
    /// Items that are to be tried again.
    progress: Mutex<Vec<Begun>>,
}

/// An item of which requests were made: a retry goes on behind those that were taken.
struct Begun {
    payload: bytes::Bytes,
    bodies: Arc<Vec<Vec<u8>>>,
    done: usize,
    rejected: u64,
}

/// Items that are remembered so; a few are under way at a time, and what was given up is pushed out.
const BEGUN_MAX: usize = 8;

impl Datadog {
    pub(super) fn new(config: &DestinationConfig) -> Result<Self, String> {
        let mut post = Post::new(config)?;
        let key = match &config.api_key {
            Some(key) => key.expose().to_owned(),
            None => std::fs::read_to_string(&config.api_key_file)
                .map_err(|error| format!("api_key_file {:?}: {error}", config.api_key_file))?,
        };
        post.header("dd-api-key", key.trim())?;
        post.header("content-type", "application/json")?;
        post.header("content-encoding", "gzip")?;
        let of = |host: &str, path: &str| {
            let base = match config.endpoint.trim_end_matches('/') {
                "" => format!("https://{host}.{}", config.site),
                endpoint => endpoint.to_owned(),
            };
            format!("{base}{path}").parse::<Uri>().map_err(|error| error.to_string())
        };
        let (logs, series) = (of("http-intake.logs", "/api/v2/logs")?, of("api", "/api/v2/series")?);
        let (counters, counter_names, progress) = Default::default();
        Ok(Datadog { post, logs, series, counters, counter_names, progress })
    }

    async fn submit(&self, item: &Item) -> Outcome {
        let begun = {
            let mut progress = self.progress.lock();
            let at = progress.iter().position(|begun| begun.payload == item.payload);
            at.map(|at| progress.swap_remove(at))
        };
        let (bodies, is_series, mut done, rejected) = match (begun, decode_batch(item.signal, &item.payload)) {
            (Some(Begun { bodies, done, rejected, .. }), Ok(batch)) => {
                (bodies, matches!(batch, Batch::Metrics(_)), done, rejected)
            }
            (None, Ok(Batch::Logs(batch))) => (Arc::new(log_bodies(&batch)), false, 0, 0),
            (None, Ok(Batch::Metrics(batch))) => {
                let (bodies, rejected) = self.series_bodies(&batch);
                (Arc::new(bodies), true, 0, rejected)
            }
            (_, Ok(_)) => return Outcome::Refused("Datadog is sent no traces".into()),
            (_, Err(error)) => return Outcome::undecodable(&error),
        };
        let uri = if is_series { &self.series } else { &self.logs };
        while let Some(body) = bodies.get(done) {
            match self.post.send(uri, gzip(body), &[]).await {
                Ok(_) => done += 1,
                Err(outcome @ (Outcome::Later { .. } | Outcome::Away(_))) => {
                    // Differences were taken; they must not be taken again.
                    let mut progress = self.progress.lock();
                    if progress.len() >= BEGUN_MAX {
                        progress.remove(0);
                    }
                    progress.push(Begun { payload: item.payload.clone(), bodies: bodies.clone(), done, rejected });
                    return outcome;
                }
                // Our pieces are below Datadog's limits: halves of the batch would be refused as well.
                Err(Outcome::TooLarge(why)) => return Outcome::Refused(why),
                Err(outcome) => return outcome,
            }
        }
        Outcome::Taken { rejected, why: "histograms are not sent to Datadog".into() }
    }

    fn series_bodies(&self, batch: &MetricBatch) -> (Vec<Vec<u8>>, u64) {
        let mut names = self.counter_names.lock();
        for metadata in &batch.metadata {
            if metadata.kind == bramble_signal::MetricKind::Counter {
                names.insert(metadata.name.clone());
            }
        }
        let mut counters = self.counters.lock();
        if counters.len() > COUNTERS_MAX {
            counters.clear();
        }
        let (mut bodies, mut rejected) = (Bodies::new("{\"series\":[", "]}", usize::MAX), 0);
        for (labels, samples) in batch.iter() {
            let name = labels.get(METRIC_NAME).unwrap_or_default();
            let is_counter = names.contains(name)
                || name.strip_suffix("_total").is_some_and(|family| names.contains(family))
                || ["_total", "_bucket", "_count"].iter().any(|suffix| name.ends_with(suffix));
            let mut points = Vec::new();
            for sample in samples {
                if batch.histogram(sample.value).is_some() {
                    rejected += 1;
                    continue;
                }
                if is_stale_marker(sample.value) || !sample.value.is_finite() {
                    continue;
                }
                let mut value = sample.value;
                if is_counter {
                    let key = hash::xxhash64(labels.as_bytes(), 0);
                    let before = counters.insert(key, (sample.timestamp_ms, value));
                    match before {
                        Some((at, old)) if at < sample.timestamp_ms => {
                            value = if value >= old { value - old } else { value }
                        }
                        Some(newer) => {
                            counters.insert(key, newer);
                            continue;
                        }
                        None => continue,
                    }
                }
                points.push(json!({ "timestamp": sample.timestamp_ms.div_euclid(1000), "value": value }));
            }
            if points.is_empty() {
                continue;
            }
            let own = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
            let tags: Vec<String> = own.map(|(label, value)| format!("{label}:{value}")).collect();
            let mut series = json!({
                "metric": name, "type": if is_counter { 1 } else { 3 }, "points": points, "tags": tags,
            });
            if let Some(host) = labels.get("host").or_else(|| labels.get("instance")) {
                series["resources"] = json!([{ "type": "host", "name": host }]);
            }
            bodies.push(&series);
        }
        (bodies.finish(), rejected)
    }
}

impl Transport for Datadog {
    fn send<'a>(&'a self, item: &'a Item, _late: bool) -> Attempt<'a> {
        Box::pin(self.submit(item))
    }
}

/// JSON values in bodies below Datadog's limits.
struct Bodies {
    open: &'static str,
    close: &'static str,
    most: usize,
    count: usize,
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl Bodies {
    fn new(open: &'static str, close: &'static str, most: usize) -> Self {
        Bodies { open, close, most, count: 0, done: Vec::new(), current: Vec::new() }
    }

    fn push(&mut self, value: &Value) {
        let text = value.to_string();
        if self.count >= self.most || self.current.len() + text.len() > BODY_BYTES_MAX {
            self.end();
        }
        self.current.extend_from_slice(if self.current.is_empty() { self.open.as_bytes() } else { b"," });
        self.current.extend_from_slice(text.as_bytes());
        self.count += 1;
    }

    fn end(&mut self) {
        if !self.current.is_empty() {
            self.current.extend_from_slice(self.close.as_bytes());
            self.done.push(std::mem::take(&mut self.current));
        }
        self.count = 0;
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        self.end();
        self.done
    }
}

fn log_bodies(batch: &LogBatch) -> Vec<Vec<u8>> {
    let mut bodies = Bodies::new("[", "]", LOGS_PER_REQUEST_MAX);
    for stream in batch.streams() {
        let labels = stream.labels();
        let service = ["service", "service_name", "app", "job"].iter().find_map(|name| labels.get(name));
        let host = ["host", "hostname", "node", "instance"].iter().find_map(|name| labels.get(name));
        let tags = tags(labels);
        for entry in stream.entries() {
            let mut object = serde_json::Map::new();
            for (name, value) in entry.metadata.iter() {
                object.insert(floating_label(name).unwrap_or(name).to_owned(), value.into());
            }
            if let Some(level) = entry.metadata.get("severity_text").or_else(|| entry.metadata.get("detected_level")) {
                object.insert("status".into(), level.into());
            }
            object.insert("message".into(), String::from_utf8_lossy(entry.line).into());
            object.insert("timestamp".into(), entry.timestamp_ns.div_euclid(1_000_000).into());
            object.insert("ddsource".into(), labels.get("source").unwrap_or("bramble").into());
            object.insert("ddtags".into(), tags.clone().into());
            for (name, value) in [("service", service), ("hostname", host)] {
                if let Some(value) = value {
                    object.insert(name.into(), value.into());
                }
            }
            bodies.push(&Value::Object(object));
        }
    }
    bodies.finish()
}

fn tags(labels: LabelsRef<'_>) -> String {
    labels.iter().map(|(name, value)| format!("{name}:{}", value.replace(',', "_"))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    fn datadog() -> Datadog {
        let api_key = serde_json::from_value(json!("secret")).unwrap();
        let config =
            DestinationConfig { kind: Some(Kind::Datadog), api_key: Some(api_key), ..DestinationConfig::default() };
        Datadog::new(&config).unwrap()
    }

    fn points(datadog: &Datadog, at_ms: i64, value: f64) -> Vec<Value> {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "requests_total"), ("host", "pi")]).unwrap();
        batch.push_sample(at_ms, value);
        let bodies = datadog.series_bodies(&batch).0;
        bodies.iter().map(|body| serde_json::from_slice::<Value>(body).unwrap()["series"][0].clone()).collect()
    }

    #[tokio::test]
    async fn counters_become_differences() {
        let datadog = datadog();
        assert_eq!(points(&datadog, 1000, 5.0), [] as [Value; 0]);
        let second = points(&datadog, 2000, 7.0).remove(0);
        assert_eq!((&second["points"][0], &second["type"]), (&json!({"timestamp": 2, "value": 2.0}), &json!(1)));
        assert_eq!(points(&datadog, 1500, 6.0), [] as [Value; 0], "too late to be a difference");
        assert_eq!(points(&datadog, 3000, 1.0)[0]["points"][0]["value"], json!(1.0), "a reset");
        assert_eq!(datadog.logs.to_string(), "https://http-intake.logs.datadoghq.com/api/v2/logs");
    }

    #[test]
    fn logs_are_cut_at_a_thousand() {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", "web"), ("env", "a,b")]).unwrap();
        (0..2100).for_each(|at| batch.push_entry(at * 1_000_000, b"hello", &mut [("k", "v")]).unwrap());
        let bodies = log_bodies(&batch);
        let counts: Vec<usize> =
            bodies.iter().map(|body| serde_json::from_slice::<Vec<Value>>(body).unwrap().len()).collect();
        assert_eq!(counts, [1000, 1000, 100]);
        let first = &serde_json::from_slice::<Vec<Value>>(&bodies[0]).unwrap()[1];
        let expected = json!({"message": "hello", "timestamp": 1, "service": "web", "k": "v", "ddsource": "bramble",
            "ddtags": "env:a_b,service:web"});
        assert_eq!(*first, expected);
    }
}
