//! The rules of OpenMetrics 1.0 about families as a whole, which Prometheus does not look at: for those who want to
//! know whether an exporter is right, not for scraping.
//!
//! On top of the grammar: metadata once per family and before its samples, no two families that share a sample's name,
//! groups in one piece with times that do not go back, values and labels that the type allows, histograms that are
//! whole, exemplars only where they may be and not longer than 128 characters. Times are compared in milliseconds.
//!
//! Memory: eight bytes per sample name of a family and per group of the current family, so less than the document.

use super::entry::{Entry, Pair, SeriesEntry, Text};
use super::error::ExpositionError;
use super::histogram_rules::HistogramRules;
use super::open_metrics::OpenMetricsParser;
use bramble_signal::MetricKind;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Most characters of an exemplar's label names and values together.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Checks a whole document.
///
/// # Errors
/// [`ExpositionError`] for the first line that breaks a rule; for rules about a group or family, the line after it.
pub fn check_open_metrics(document: &[u8]) -> Result<(), ExpositionError> {
    let mut parser = OpenMetricsParser::unfolded(document);
    let mut checker = Checker::default();
    loop {
        let (judged, is_over) = match parser.next()? {
            None => (checker.finish_family().and_then(|()| checker.claim()), true),
            Some(entry) => (checker.take(&entry), false),
        };
        let judged = judged.and_then(|()| match parser.has_trailing_comma() {
            true => Err("a comma after the last label".to_owned()),
            false => Ok(()),
        });
        judged.map_err(|message| parser.error_before(message))?;
        if is_over {
            return Ok(());
        }
    }
}

/// What of a family was seen.
#[derive(Default)]
struct Current {
    name: String,
    kind: Option<MetricKind>,
    has_help: bool,
    has_unit: bool,
    has_samples: bool,
    unit: String,
    group: Option<(u64, Option<i64>)>,
    groups: HashSet<u64>,
    histogram: HistogramRules,
}

#[derive(Default)]
struct Checker {
    current: Option<Current>,
    /// Hashes of all names that samples of finished families may have.
    names: HashSet<u64>,
}

type Judged = Result<(), String>;

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What the names of a family's samples end in; the name itself is always taken.
fn suffixes(kind: MetricKind) -> &'static [&'static str] {
    match kind {
        MetricKind::Counter => &["_total", "_created"],
        MetricKind::Summary => &["", "_count", "_sum", "_created"],
        MetricKind::Histogram => &["_bucket", "_count", "_sum", "_created"],
        MetricKind::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricKind::Info => &["_info"],
        MetricKind::Unknown | MetricKind::Gauge | MetricKind::StateSet => &[""],
    }
}

impl Checker {
    fn take(&mut self, entry: &Entry<'_, '_>) -> Judged {
        match entry {
            Entry::Type { metric, kind } => {
                let family = self.family_of_metadata(metric)?;
                match family.kind.replace(*kind) {
                    None => Ok(()),
                    Some(_) => Err("a second # TYPE of this metric".to_owned()),
                }
            }
            Entry::Help { metric, .. } => {
                let family = self.family_of_metadata(metric)?;
                match std::mem::replace(&mut family.has_help, true) {
                    false => Ok(()),
                    true => Err("a second # HELP of this metric".to_owned()),
                }
            }
            Entry::Unit { metric, unit } => {
                let family = self.family_of_metadata(metric)?;
                family.unit = (*unit).to_owned();
                match std::mem::replace(&mut family.has_unit, true) {
                    false => Ok(()),
                    true => Err("a second # UNIT of this metric".to_owned()),
                }
            }
            Entry::Series { series, value } => self.sample(series, *value),
            Entry::Comment(_) | Entry::Histogram { .. } => Ok(()),
        }
    }

    fn family_of_metadata(&mut self, metric: &Text<'_>) -> Result<&mut Current, String> {
        let name = metric.to_cow();
        if self.current.as_ref().is_some_and(|c| c.name == name && c.has_samples) {
            return Err("metadata after samples of the same metric".to_owned());
        }
        if self.current.as_ref().is_none_or(|c| c.name != name) {
            self.begin(name.into_owned())?;
        }
        Ok(self.current.get_or_insert_with(Current::default))
    }

    fn begin(&mut self, name: String) -> Judged {
        self.finish_family()?;
        self.claim()?;
        self.current = Some(Current { name, ..Default::default() });
        Ok(())
    }

    /// The last rules about the family that is over.
    fn finish_family(&mut self) -> Judged {
        let Some(current) = &mut self.current else { return Ok(()) };
        let no_unit = matches!(current.kind, Some(MetricKind::Info | MetricKind::StateSet));
        if no_unit && !current.unit.is_empty() {
            return Err("info and stateset metrics have no unit".to_owned());
        }
        current.histogram.finish().map_err(str::to_owned)
    }

    /// Takes the names of the family that is over.
    fn claim(&mut self) -> Judged {
        let Some(current) = self.current.take() else { return Ok(()) };
        let of_kind = suffixes(current.kind.unwrap_or(MetricKind::Unknown));
        let plain: &[&str] = if of_kind.contains(&"") { &[] } else { &[""] };
        for suffix in of_kind.iter().chain(plain) {
            if !self.names.insert(hash_of(format!("{}{suffix}", current.name))) {
                return Err(format!("the metric {:.100?} clashes with an earlier one", current.name));
            }
        }
        Ok(())
    }

    fn sample(&mut self, series: &SeriesEntry<'_, '_>, value: f64) -> Judged {
        let name = series.labels.first().map(|pair| pair.value.to_cow()).unwrap_or_default();
        let is_its = self.current.as_ref().is_some_and(|current| {
            let suffix = name.strip_prefix(current.name.as_str());
            suffix.is_some_and(|s| suffixes(current.kind.unwrap_or(MetricKind::Unknown)).contains(&s))
        });
        if !is_its {
            self.begin(name.clone().into_owned())?;
        }
        let current = self.current.get_or_insert_with(Current::default);
        current.has_samples = true;
        let suffix = name.get(current.name.len()..).unwrap_or_default();
        let kind = current.kind.unwrap_or(MetricKind::Unknown);
        labels_are_right(kind, suffix, &current.name, series.labels)?;
        let group = current.enter_group(kind, series)?;
        value_is_right(kind, suffix, value)?;
        exemplar_is_right(kind, suffix, series)?;
        if matches!(kind, MetricKind::Histogram | MetricKind::GaugeHistogram) {
            let bound = label(series.labels, "le").and_then(|le| le.as_number());
            current.histogram.sample(group, suffix, bound, value).map_err(str::to_owned)?;
        }
        Ok(())
    }
}

impl Current {
    /// Judges where the sample stands; returns a hash of its group and time.
    fn enter_group(&mut self, kind: MetricKind, series: &SeriesEntry<'_, '_>) -> Result<u64, String> {
        let inner = match kind {
            MetricKind::Histogram | MetricKind::GaugeHistogram => "le",
            MetricKind::Summary => "quantile",
            MetricKind::StateSet => self.name.as_str(),
            _ => "",
        };
        // A sum, so that the order of labels does not matter.
        let mut group = 0u64;
        for pair in series.labels.iter().skip(1) {
            let (name, value) = (pair.name.to_cow(), pair.value.to_cow());
            if name != inner {
                group = group.wrapping_add(hash_of((name, value)));
            }
        }
        match self.group {
            Some((last, time)) if last == group => match (time, series.timestamp_ms) {
                (Some(_), None) | (None, Some(_)) => {
                    return Err("samples with and without timestamp in one group".to_owned());
                }
                (Some(last), Some(now)) if last > now && kind != MetricKind::Info => {
                    return Err("timestamps go back within a group".to_owned());
                }
                _ => {}
            },
            _ if self.groups.contains(&group) => return Err("a group's samples are not in one piece".to_owned()),
            _ => {}
        }
        self.group = Some((group, series.timestamp_ms));
        self.groups.insert(group);
        Ok(hash_of((group, series.timestamp_ms)))
    }
}

fn label<'a>(labels: &[Pair<'a>], name: &str) -> Option<Text<'a>> {
    labels.iter().skip(1).find(|pair| pair.name.to_cow() == name).map(|pair| pair.value)
}

fn labels_are_right(kind: MetricKind, suffix: &str, family: &str, labels: &[Pair<'_>]) -> Judged {
    for (at, pair) in labels.iter().enumerate().skip(1) {
        let name = pair.name.to_cow();
        if labels.iter().skip(at + 1).any(|other| other.name.to_cow() == name) {
            return Err(format!("the label {name:.60?} is there twice"));
        }
    }
    if suffix == "_bucket" {
        let bound = label(labels, "le").ok_or("a bucket without le")?;
        let number = bound.as_number().filter(|n| !n.is_nan()).ok_or("le is not a number")?;
        if number.is_infinite() && bound.raw() != "+Inf" {
            return Err("le is not written as a number or +Inf".to_owned());
        }
    }
    if kind == MetricKind::Summary && suffix.is_empty() {
        let quantile = label(labels, "quantile").and_then(|q| q.as_number()).unwrap_or(f64::NAN);
        if !(0.0..=1.0).contains(&quantile) {
            return Err("quantile is missing or not between 0 and 1".to_owned());
        }
    }
    if kind == MetricKind::StateSet && label(labels, family).is_none() {
        return Err("a stateset's sample without the label of its metric's name".to_owned());
    }
    Ok(())
}

fn value_is_right(kind: MetricKind, suffix: &str, value: f64) -> Judged {
    let counts = matches!(suffix, "_total" | "_sum" | "_count" | "_bucket" | "_gcount" | "_gsum");
    let whole = matches!(suffix, "_count" | "_bucket" | "_gcount");
    let wrong = match kind {
        MetricKind::StateSet if value != 0.0 && value != 1.0 => "a stateset's value is 0 or 1",
        MetricKind::Info if value != 1.0 => "an info's value is 1",
        MetricKind::Summary if suffix.is_empty() && value < 0.0 => "a quantile's value is not negative",
        _ if counts && value.is_nan() => "a counter's value is a number",
        _ if counts && suffix != "_gsum" && value < 0.0 => "a counter's value is not negative",
        _ if whole && value.fract() != 0.0 => "a count is a whole number",
        _ => return Ok(()),
    };
    Err(wrong.to_owned())
}

fn exemplar_is_right(kind: MetricKind, suffix: &str, series: &SeriesEntry<'_, '_>) -> Judged {
    let Some(exemplar) = series.exemplars.iter().next() else { return Ok(()) };
    let allowed = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => suffix == "_bucket",
        MetricKind::Counter => suffix == "_total",
        _ => false,
    };
    if !allowed {
        return Err("an exemplar where none may be: only buckets and counters have them".to_owned());
    }
    let chars = |text: &Text<'_>| text.to_cow().chars().count();
    let length: usize = exemplar.labels.iter().map(|pair| chars(&pair.name) + chars(&pair.value)).sum();
    match length > EXEMPLAR_CHARS_MAX {
        true => Err(format!("an exemplar's labels have {length} characters, at most {EXEMPLAR_CHARS_MAX} are allowed")),
        false => Ok(()),
    }
}
