//! `load` and `load_with_nhcb`: what series are given to the store.

use super::histogram::Literal;
use super::{Point, duration, labels_and_rest, points, starts};
use bramble_signal::histogram::CUSTOM_BUCKETS_SCHEMA;
use bramble_signal::{BucketSpan, Labels, METRIC_NAME, NativeHistogram, ResetHint};
use std::collections::BTreeMap;

/// One sample to load.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub time_ms: i64,
    pub value: Point,
    /// When what it counts began; 0 for not known.
    pub start_ms: i64,
}

pub(crate) type LoadedSeries = (Labels, Vec<Loaded>);

/// The series of a load command.
pub(crate) fn parse(line: &str, items: &[String]) -> Vec<LoadedSeries> {
    let step = duration(line.split_whitespace().nth(1).unwrap());
    let mut series: Vec<LoadedSeries> = Vec::new();
    let mut began: Vec<(Labels, Vec<Option<i64>>)> = Vec::new();
    for item in items {
        let (labels, rest) = labels_and_rest(item);
        if let Some(rest) = rest.strip_prefix("@st") {
            began.push((labels, starts::parse(rest)));
            continue;
        }
        let (labels, rest) = match labels.get(METRIC_NAME).and_then(|n| n.strip_suffix("@st")) {
            Some(name) => {
                began.push((Labels::from_pairs([(METRIC_NAME, name)]), starts::parse(rest)));
                continue;
            }
            None => (labels, rest),
        };
        let known = began.iter().position(|(l, _)| *l == labels).map(|at| began.remove(at).1).unwrap_or_default();
        let at = |(i, value): (usize, Point)| {
            let time_ms = i as i64 * step;
            let start_ms = known.get(i).copied().flatten().map_or(0, |s| time_ms + s);
            (value != Point::Missing).then_some(Loaded { time_ms, value, start_ms })
        };
        let mut samples: Vec<Loaded> = points(rest).into_iter().enumerate().filter_map(at).collect();
        tell_resets(&mut samples);
        if !samples.is_empty() {
            series.push((labels, samples));
        }
    }
    if line.starts_with("load_with_nhcb") {
        series.extend(converted(&series));
    }
    series
}

/// Says of histograms that follow one another without a reset that they do, as a store does that compares while it
/// appends (Prometheus' begins a chunk at each reset, and of a chunk's first histogram nothing is known).
fn tell_resets(samples: &mut [Loaded]) {
    let mut before: Option<NativeHistogram> = None;
    for sample in samples {
        let Point::Histogram(Literal { histogram, .. }) = &mut sample.value else {
            before = None;
            continue;
        };
        if histogram.reset_hint == ResetHint::Unknown
            && let Some(before) = before.as_ref().filter(|b| b.reset_hint != ResetHint::Gauge)
            && before.schema == histogram.schema
            && before.zero_threshold == histogram.zero_threshold
            && before.custom_bounds == histogram.custom_bounds
            && !histogram.detect_reset(before)
        {
            histogram.reset_hint = ResetHint::NotReset;
        }
        before = Some(histogram.clone());
    }
}

#[derive(Default)]
struct Classic {
    /// By bound, as sortable bits: cumulative counts.
    buckets: Vec<(f64, f64)>,
    sum: f64,
    count: Option<f64>,
}

/// Classic histograms as histograms with custom bounds.
fn converted(series: &[LoadedSeries]) -> Vec<LoadedSeries> {
    let mut all: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.get(METRIC_NAME).unwrap_or_default();
        let parts = ["_bucket", "_sum", "_count"].map(|end| name.strip_suffix(end).map(|base| (base, end)));
        let Some((base, end)) = parts.into_iter().flatten().next() else { continue };
        let bound = labels.get("le").and_then(super::number);
        if end == "_bucket" && bound.is_none() {
            continue;
        }
        let mut key = labels.to_builder();
        key.set("le", "");
        key.set(METRIC_NAME, base);
        let times = all.entry(key.build()).or_default();
        for sample in samples {
            let Point::Value(value) = sample.value else { continue };
            let classic = times.entry(sample.time_ms).or_default();
            match end {
                "_bucket" => classic.buckets.push((bound.unwrap(), value)),
                "_sum" => classic.sum = value,
                _ => classic.count = Some(value),
            }
        }
    }
    let at = |(time_ms, classic): (i64, Classic)| {
        let histogram = classic.convert();
        Loaded { time_ms, value: Point::Histogram(Literal { histogram, says_hint: false }), start_ms: 0 }
    };
    let of = |(labels, times): (Labels, BTreeMap<i64, Classic>)| {
        let mut samples: Vec<Loaded> = times.into_iter().map(at).collect();
        tell_resets(&mut samples);
        (labels, samples)
    };
    all.into_iter().map(of).collect()
}

impl Classic {
    fn convert(mut self) -> NativeHistogram {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Texts of the same bound: the last one counts.
        self.buckets.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = next.1;
            }
            same
        });
        let all = self.count.or(self.buckets.last().map(|b| b.1)).unwrap_or(0.0);
        self.buckets.retain(|b| b.0 != f64::INFINITY);
        let bounds: Vec<f64> = self.buckets.iter().map(|b| b.0).collect();
        let (mut counts, mut below) = (Vec::new(), 0.0);
        for count in self.buckets.iter().map(|b| b.1).chain([all]) {
            counts.push(count - below);
            below = count;
        }
        NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: all,
            sum: self.sum,
            positive_spans: vec![BucketSpan { offset: 0, length: counts.len() as u32 }],
            positive_counts: counts,
            custom_bounds: bounds,
            ..NativeHistogram::default()
        }
    }
}
