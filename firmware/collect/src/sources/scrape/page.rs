//! One page to one batch.
//!
//! A page is taken whole or not at all: where it breaks its format or a limit, nothing of it is stored, and what the target
//! showed before ends. Counts then say how far it was read.

use super::cache::{Known, SeriesCache, key_of};
use super::config::ScrapeConfig;
use super::families::{Families, FamilyLines, SharedFamilies};
use super::labels::{Named, name_series};
use bramble_signal::stale_marker;
use bramble_signal::{Exemplar, Labels, LabelsRef, MetricBatch, NativeHistogram};
use bramble_wire::exposition::{Entry, ExpositionFormat, OpenMetricsParser, Pair, Parser, ProtobufParser, SeriesEntry};
use std::collections::HashSet;

/// Lowest resolution that native histograms are merged to.
const SCHEMA_MIN: i8 = -4;
const SCHEMA_MAX: i8 = 8;

/// What a target remembers of its pages.
#[derive(Default)]
pub(super) struct PageMemory {
    cache: SeriesCache,
    format: Option<ExpositionFormat>,
    /// Live series of a time before rules changed: they end unless they are shown again.
    orphans: Vec<Labels>,
    lines: FamilyLines,
    key: Vec<u8>,
    encoded: Vec<u8>,
}

/// What a page is read with.
pub(super) struct PageContext<'a> {
    pub(super) config: &'a ScrapeConfig,
    pub(super) labels: &'a Labels,
    /// Time of samples that say none.
    pub(super) time_ms: i64,
    /// Bytes that series of this target may take in memory.
    pub(super) cache_bytes_max: usize,
    pub(super) shared: &'a SharedFamilies,
}

/// What was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Samples on the page.
    pub(super) scraped: u64,
    /// Those that rules left.
    pub(super) kept: u64,
    /// Series that the page before did not have.
    pub(super) added: u64,
    /// Series that are too large for Bramble.
    pub(super) rejected: u64,
}

impl PageMemory {
    /// Rules or other settings changed: how series are written says nothing any more.
    pub(super) fn settings_changed(&mut self) {
        let orphans = &mut self.orphans;
        self.cache.forget(|labels| orphans.push(labels.to_labels()));
    }

    /// Memory held, in bytes, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.cache.memory_bytes()
    }

    /// Reads a page into `batch`, which is empty. On an error the batch holds the ends of series, and metadata.
    pub(super) fn read(
        &mut self,
        page: &[u8],
        format: ExpositionFormat,
        context: &PageContext<'_>,
        families: &mut Families,
        batch: &mut MetricBatch,
    ) -> (Counts, Result<(), String>) {
        if self.format.replace(format).is_some_and(|before| before != format) {
            self.settings_changed();
        }
        self.cache.begin();
        families.begin();
        let mut counts = Counts::default();
        let mut outcome = self.read_entries(page, format, context, families, batch, &mut counts);
        families.finish();
        if outcome.is_ok() && context.config.limits.samples > 0 && counts.kept > context.config.limits.samples {
            outcome = Err("sample limit exceeded".to_owned());
        }
        match &outcome {
            Ok(()) => self.succeed(context.time_ms, batch),
            Err(_) => self.fail(context.time_ms, batch),
        }
        (counts, outcome)
    }

    fn read_entries(
        &mut self,
        page: &[u8],
        format: ExpositionFormat,
        context: &PageContext<'_>,
        families: &mut Families,
        batch: &mut MetricBatch,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let config = context.config;
        let mut parser = match format {
            // Without native ones, histograms are what classic buckets say.
            ExpositionFormat::Protobuf => {
                let classic = config.classic_histograms_too || !config.native_histograms;
                Parser::Protobuf(ProtobufParser::new(page).with_classic(classic))
            }
            ExpositionFormat::OpenMetrics => Parser::OpenMetrics(OpenMetricsParser::new(page).with_created()),
            ExpositionFormat::Text => Parser::new(format, page),
        };
        let mut lines = std::mem::take(&mut self.lines);
        let outcome = loop {
            let entry = match parser.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            };
            let taken = match &entry {
                Entry::Comment(_) => Ok(()),
                Entry::Type { metric, kind } => {
                    lines
                        .of(&metric.to_cow(), |done| {
                            families.take(done, context.shared, |f| batch.metadata.push(f.clone()))
                        })
                        .set_kind(*kind);
                    Ok(())
                }
                Entry::Help { metric, help } => {
                    let lines = lines.of(&metric.to_cow(), |done| {
                        families.take(done, context.shared, |f| batch.metadata.push(f.clone()));
                    });
                    help.push_to(lines.help());
                    Ok(())
                }
                Entry::Unit { metric, unit } => {
                    let lines = lines.of(&metric.to_cow(), |done| {
                        families.take(done, context.shared, |f| batch.metadata.push(f.clone()));
                    });
                    lines.set_unit(unit);
                    Ok(())
                }
                Entry::Series { series, value } => self.sample(series, Value::Number(*value), context, batch, counts),
                Entry::Histogram { .. } if !config.native_histograms => Ok(()),
                Entry::Histogram { series, histogram } => {
                    self.sample(series, Value::Histogram(histogram), context, batch, counts)
                }
            };
            if let Err(error) = taken {
                break Err(error);
            }
        };
        lines.close(|done| families.take(done, context.shared, |f| batch.metadata.push(f.clone())));
        self.lines = lines;
        outcome
    }

    fn sample(
        &mut self,
        series: &SeriesEntry<'_, '_>,
        value: Value<'_>,
        context: &PageContext<'_>,
        batch: &mut MetricBatch,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let config = context.config;
        counts.scraped += 1;
        let limit = config.limits.samples;
        if limit > 0 && counts.kept > limit {
            // The page is refused already; what follows is counted, and costs neither memory nor rules.
            counts.kept += 1;
            return Ok(());
        }
        let said = series.timestamp_ms.filter(|_| config.honor_timestamps);
        let tracked = said.is_none() || config.track_timestamps_staleness;
        let key = self.key(series);
        let place = match self.cache.find(key, tracked) {
            Known::Kept(place) => place,
            Known::Dropped => return Ok(()),
            Known::New => {
                let named = name_series(series.labels, context.labels, config, &mut self.encoded)?;
                if !self.cache.has_room() || self.cache.memory_bytes() > context.cache_bytes_max {
                    return Err(format!(
                        "series of this target take more memory than there is for them ({} bytes); a sample_limit or metric_relabel_configs make it fewer",
                        context.cache_bytes_max
                    ));
                }
                if named != Named::Kept {
                    counts.rejected += u64::from(named == Named::TooLarge);
                    self.cache.insert(key, LabelsRef::EMPTY, false);
                    return Ok(());
                }
                counts.added += 1;
                self.cache.insert(key, LabelsRef::from_encoded(&self.encoded), tracked)
            }
        };
        counts.kept += 1;
        let time_ms = said.unwrap_or(context.time_ms);
        let labels = self.cache.labels(place);
        let start = |batch: &mut MetricBatch| {
            batch.start_series_encoded(labels);
            if let Some(start_ms) = series.start_timestamp_ms {
                batch.set_start(start_ms);
            }
        };
        match value {
            Value::Number(number) => {
                start(batch);
                batch.push_sample(time_ms, number);
            }
            Value::Histogram(histogram) => {
                histogram.validate().map_err(|error| error.to_string())?;
                let histogram = merged(histogram, config)?;
                start(batch);
                batch.push_histogram(time_ms, histogram);
            }
        }
        for exemplar in series.exemplars.iter() {
            let pairs = exemplar.labels.iter().map(|Pair { name, value }| (name.to_cow(), value.to_cow()));
            let labels = Labels::from_pairs(pairs.filter(|(name, _)| !name.is_empty()));
            let timestamp_ms = exemplar.timestamp_ms.unwrap_or(time_ms);
            batch.push_exemplar(Exemplar { labels, value: exemplar.value, timestamp_ms });
        }
        Ok(())
    }

    /// How the page writes the series; protobuf has no such text, so that one is made.
    fn key(&mut self, series: &SeriesEntry<'_, '_>) -> u128 {
        if !series.raw.is_empty() {
            return key_of(series.raw.as_bytes());
        }
        let mut text = String::from_utf8(std::mem::take(&mut self.key)).unwrap_or_default();
        text.clear();
        for pair in series.labels {
            pair.name.push_to(&mut text);
            // No name or value has a NUL on its own page's terms that another spelling could not also be told by.
            text.push('\0');
            pair.value.push_to(&mut text);
            text.push('\0');
        }
        let key = key_of(text.as_bytes());
        self.key = text.into_bytes();
        key
    }

    fn succeed(&mut self, time_ms: i64, batch: &mut MetricBatch) {
        let orphans = std::mem::take(&mut self.orphans);
        let gone: Vec<Labels> = match orphans.is_empty() {
            true => Vec::new(),
            false => {
                let shown: HashSet<&[u8]> = batch.iter().map(|(labels, _)| labels.as_bytes()).collect();
                orphans.into_iter().filter(|labels| !shown.contains(labels.as_bytes())).collect()
            }
        };
        self.cache.finish(|labels| end(labels, time_ms, batch));
        for labels in &gone {
            end(labels.as_ref(), time_ms, batch);
        }
    }

    fn fail(&mut self, time_ms: i64, batch: &mut MetricBatch) {
        let metadata = std::mem::take(&mut batch.metadata);
        // The memory of a page that was refused is not kept until the next one.
        *batch = MetricBatch::new();
        batch.metadata = metadata;
        self.end_all(time_ms, batch);
    }

    /// Ends all series: the scrape failed or the target is gone.
    pub(super) fn end_all(&mut self, time_ms: i64, batch: &mut MetricBatch) {
        self.cache.fail(|labels| end(labels, time_ms, batch));
        for labels in std::mem::take(&mut self.orphans) {
            end(labels.as_ref(), time_ms, batch);
        }
    }
}

/// What a sample is.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(f64),
    Histogram(&'a NativeHistogram),
}

fn end(labels: LabelsRef<'_>, time_ms: i64, batch: &mut MetricBatch) {
    batch.start_series_encoded(labels);
    batch.push_sample(time_ms, stale_marker());
}

/// A histogram at the resolution that the limits allow.
fn merged(histogram: &NativeHistogram, config: &ScrapeConfig) -> Result<NativeHistogram, String> {
    let mut merged = histogram.clone();
    if merged.has_custom_bounds() {
        let limit = config.limits.histogram_buckets;
        return if limit > 0 && merged.bucket_count() as u64 > limit { Err(too_many_buckets()) } else { Ok(merged) };
    }
    if config.limits.min_bucket_factor > 1.0 {
        let finest = -config.limits.min_bucket_factor.log2().log2();
        let schema = (finest.floor() as i8).clamp(SCHEMA_MIN, SCHEMA_MAX);
        if merged.schema > schema {
            merged.reduce_resolution(schema);
        }
    }
    let limit = config.limits.histogram_buckets;
    while limit > 0 && merged.bucket_count() as u64 > limit {
        if merged.schema <= SCHEMA_MIN {
            return Err(too_many_buckets());
        }
        merged.reduce_resolution(merged.schema - 1);
    }
    Ok(merged)
}

fn too_many_buckets() -> String {
    "histogram bucket limit exceeded".to_owned()
}
