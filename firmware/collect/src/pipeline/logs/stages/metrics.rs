//! `metrics`: counters, gauges and histograms out of lines, shown among Bramble's own.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::{Build, duration};
use super::super::config::{MetricAction, MetricConfig, MetricType, names};
use super::super::counts::label;
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::Slot;
use parking_lot::Mutex;
use prometheus::core::Desc;
use prometheus::proto;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Label sets of one metric; lines of further ones are not counted until some are idle.
const SERIES_MAX: usize = 1000;
const IDLE_NS: i64 = 300_000_000_000;
const PREFIX: &str = "promtail_custom_";
/// Prometheus' own default bounds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Default, Debug)]
struct Series {
    value: f64,
    count: u64,
    buckets: Vec<u64>,
    last_ns: i64,
}

/// One metric with its series by encoded labels; all instances share it.
#[derive(Debug)]
pub(in super::super) struct Family {
    name: String,
    help: String,
    kind: MetricType,
    bounds: Vec<f64>,
    idle_ns: i64,
    series: Mutex<BTreeMap<Vec<u8>, Series>>,
}

struct Metric {
    family: Arc<Family>,
    source: Slot,
    wanted: Option<String>,
    action: MetricAction,
    match_all: bool,
    entry_bytes: bool,
}

/// See the module.
#[derive(Clone)]
pub(in super::super) struct Metrics {
    metrics: Arc<[Metric]>,
    labels: Vec<u8>,
}

impl Metrics {
    pub(in super::super) fn new(config: &BTreeMap<String, MetricConfig>, build: &mut Build) -> Result<Self, Fault> {
        let mut metrics = Vec::new();
        for (name, config) in config {
            metrics.push(metric(name, config, build)?);
        }
        Ok(Metrics { metrics: metrics.into(), labels: Vec::new() })
    }
}

fn metric(name: &str, config: &MetricConfig, build: &mut Build) -> Result<Metric, Fault> {
    let full = format!("{}{name}", config.prefix.as_deref().unwrap_or(PREFIX));
    if !bramble_line::name::is_plain(&full.replace(':', "_")) {
        return Err(Fault::whole(format!("not a name of a metric: {full}")));
    }
    let sources = names(config.source.as_ref());
    let source = build.slot("source", sources.first().map_or(name, String::as_str))?;
    let details = config.config.clone().unwrap_or_default();
    let (match_all, entry_bytes) = (details.match_all == Some(true), details.count_entry_bytes == Some(true));
    let action = match (config.kind, details.action) {
        (MetricType::Histogram, _) => MetricAction::Add,
        (_, Some(action)) => action,
        (_, None) => return Err(Fault::of("config.action", format!("is missing for {name}"))),
    };
    if config.kind == MetricType::Counter && !matches!(action, MetricAction::Inc | MetricAction::Add) {
        return Err(Fault::of("config.action", format!("a counter takes inc and add only: {name}")));
    }
    if match_all && details.value.is_some() {
        return Err(Fault::of("config.match_all", format!("not beside value: {name}")));
    }
    if entry_bytes && (!match_all || action != MetricAction::Add) {
        return Err(Fault::of("config.count_entry_bytes", format!("needs match_all: true and action: add: {name}")));
    }
    let bounds = if details.buckets.is_empty() { BUCKETS.to_vec() } else { details.buckets };
    if config.kind == MetricType::Histogram && (bounds.len() > 200 || !bounds.is_sorted_by(|a, b| a < b)) {
        return Err(Fault::of("config.buckets", format!("must ascend, 200 at most: {name}")));
    }
    let idle = config.max_idle_duration.as_deref();
    let family = Arc::new(Family {
        name: full,
        help: config.description.clone(),
        kind: config.kind,
        bounds,
        idle_ns: idle.map_or(Ok(IDLE_NS), |text| duration("max_idle_duration", text))?,
        series: Mutex::default(),
    });
    build.series.push(family.clone());
    Ok(Metric { family, source, wanted: details.value, action, match_all, entry_bytes })
}

impl Stage for Metrics {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        self.labels.clear();
        for metric in self.metrics.iter() {
            let Some(amount) = metric.amount(entry, context) else { continue };
            if self.labels.is_empty() {
                entry.labels.encode(&mut self.labels);
            }
            if !metric.family.record(&self.labels, metric.action, amount, context.now_ns) {
                context.failed = true;
            }
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

impl Metric {
    /// What the line adds; `None` when it is not meant.
    fn amount(&self, entry: &Entry, context: &mut Context<'_>) -> Option<f64> {
        if self.entry_bytes {
            return Some(entry.line.len() as f64);
        }
        if self.match_all && matches!(self.action, MetricAction::Inc | MetricAction::Dec) {
            return Some(1.0);
        }
        let value = entry.value(self.source)?;
        if self.wanted.as_ref().is_some_and(|wanted| wanted != value) {
            return None;
        }
        if matches!(self.action, MetricAction::Inc | MetricAction::Dec) {
            return Some(1.0);
        }
        let number = value.trim().parse().ok().filter(|n: &f64| n.is_finite());
        // A duration counts in seconds.
        let seconds =
            || bramble_query_logql::syntax::parse_duration(value.trim(), false).ok().map(|ns| ns as f64 / 1e9);
        let amount = number.or_else(seconds);
        context.failed |= amount.is_none();
        amount
    }
}

impl Family {
    /// Counts; `false` when there are too many series already.
    fn record(&self, labels: &[u8], action: MetricAction, amount: f64, now_ns: i64) -> bool {
        let mut all = self.series.lock();
        if !all.contains_key(labels) {
            if all.len() >= SERIES_MAX {
                all.retain(|_, series| now_ns.saturating_sub(series.last_ns) < self.idle_ns);
            }
            if all.len() >= SERIES_MAX {
                return false;
            }
            all.insert(labels.to_vec(), Series { buckets: vec![0; self.bounds.len()], ..Series::default() });
        }
        let Some(series) = all.get_mut(labels) else { return false };
        series.last_ns = now_ns;
        if self.kind == MetricType::Histogram {
            series.value += amount;
            series.count += 1;
            // Buckets count what is not above their bound.
            for (count, bound) in series.buckets.iter_mut().zip(&self.bounds) {
                *count += u64::from(amount <= *bound);
            }
            return true;
        }
        match action {
            // A counter does not go down.
            MetricAction::Add if self.kind == MetricType::Counter && amount < 0.0 => return false,
            MetricAction::Inc | MetricAction::Add => series.value += amount,
            MetricAction::Dec | MetricAction::Sub => series.value -= amount,
            MetricAction::Set => series.value = amount,
        }
        true
    }

    pub(in super::super) fn describe(&self, pipeline: &str) -> Option<Desc> {
        // Its labels are those of lines: it is the name that must not be another's.
        let constant = HashMap::from([("pipeline".to_owned(), pipeline.to_owned())]);
        let help = if self.help.is_empty() { "Out of log lines." } else { &self.help };
        Desc::new(self.name.clone(), help.to_owned(), Vec::new(), constant).ok()
    }

    pub(in super::super) fn collect(&self) -> Option<proto::MetricFamily> {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.name.clone());
        family.set_help(if self.help.is_empty() { "Out of log lines.".to_owned() } else { self.help.clone() });
        family.set_field_type(match self.kind {
            MetricType::Counter => proto::MetricType::COUNTER,
            MetricType::Gauge => proto::MetricType::GAUGE,
            MetricType::Histogram => proto::MetricType::HISTOGRAM,
        });
        let mut all = self.series.lock();
        let newest = all.values().map(|series| series.last_ns).max()?;
        all.retain(|_, series| newest.saturating_sub(series.last_ns) < self.idle_ns);
        let metrics = all.iter().map(|(labels, series)| self.one(labels, series)).collect::<Vec<_>>();
        family.set_metric(metrics);
        Some(family)
    }

    fn one(&self, labels: &[u8], series: &Series) -> proto::Metric {
        let mut metric = proto::Metric::default();
        let labels = bramble_signal::LabelsRef::from_encoded(labels);
        metric.set_label(labels.iter().map(|(name, value)| label(name, value)).collect());
        match self.kind {
            MetricType::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(series.value);
                metric.set_counter(counter);
            }
            MetricType::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(series.value);
                metric.set_gauge(gauge);
            }
            MetricType::Histogram => {
                let mut histogram = proto::Histogram::default();
                histogram.set_sample_sum(series.value);
                histogram.set_sample_count(series.count);
                let bucket = |(count, bound): (&u64, &f64)| {
                    let mut bucket = proto::Bucket::default();
                    bucket.set_cumulative_count(*count);
                    bucket.set_upper_bound(*bound);
                    bucket
                };
                histogram.set_bucket(series.buckets.iter().zip(&self.bounds).map(bucket).collect());
                metric.set_histogram(histogram);
            }
        }
        metric
    }
}
