//! `/federate`: the newest sample of each series that matches, for another Prometheus to scrape.
//!
//! As Prometheus: samples older than the lookback and series that ended are left out; families are sorted by name and
//! of type `untyped`, since a single sample says nothing of its metric's type; a series without `instance` gets an empty
//! one, so that the scraper does not put its own there; native histograms are told in protobuf alone. OpenMetrics,
//! which Prometheus does not offer here, is answered to those who prefer it.
//!
//! Memory: labels and one sample per series, from the query budget, since the order of the answer is not the store's.

use super::asked::selectors_of;
use super::bulk::{self, BulkError, Pieces};
use crate::api::text;
use crate::params::Params;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_signal::{
    Labels, METRIC_NAME, Matcher, MetricKind, NativeHistogram, ResetHint, SeriesSamples, is_stale_marker,
};
use bramble_storage::{MetricSelect, MetricSource, QueryContext, ReadError};
use bramble_wire::exposition::{ExpositionFormat, FamilyHeader, Printer, negotiate};
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;

/// The label that says where a sample comes from.
const INSTANCE: &str = "instance";

pub(super) async fn federate(State(state): State<Arc<ApiState>>, headers: HeaderMap, params: Params) -> Response {
    let selectors = match selectors_of(&params) {
        Ok(selectors) => selectors,
        Err(message) => return text(StatusCode::BAD_REQUEST, format!("{message}\n")),
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (format, utf8_names) = negotiate(accept);
    let now_ms = state.clock.wall_ms();
    let external = state.scraping.external_labels();
    let work = move |state: &Arc<ApiState>, context: &QueryContext, pieces: &mut Pieces<'_>| {
        let lookback_ms = state.promql.options().lookback_ms;
        let newest = newest_samples(&*state.metrics, &selectors, (now_ms - lookback_ms, now_ms), context)?;
        print(&newest, &external, Printer::new(format, utf8_names), pieces)
    };
    bulk::answer(&state, format.content_type(utf8_names), work).await.unwrap_or_else(BulkError::into_text)
}

/// The newest sample of a series.
struct Newest {
    labels: Labels,
    timestamp_ms: i64,
    value: f64,
    histogram: Option<Box<NativeHistogram>>,
}

impl Newest {
    fn of(series: &SeriesSamples) -> Option<Self> {
        let (timestamp_ms, value) = (*series.timestamps_ms.last()?, *series.values.last()?);
        if is_stale_marker(value) {
            return None;
        }
        let histogram = series.histogram(value).map(|histogram| Box::new(histogram.clone()));
        Some(Newest { labels: series.labels.clone(), timestamp_ms, value, histogram })
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.labels.as_bytes().len() + 16 + self.histogram.as_ref().map_or(0, |h| h.memory_bytes())
    }

    fn name(&self) -> &str {
        self.labels.get(METRIC_NAME).unwrap_or("")
    }

    /// What family it belongs to: name, and type where it has one.
    fn family(&self) -> (&str, MetricKind) {
        let kind = match &self.histogram {
            None => MetricKind::Unknown,
            Some(histogram) if histogram.reset_hint == ResetHint::Gauge => MetricKind::GaugeHistogram,
            Some(_) => MetricKind::Histogram,
        };
        (self.name(), kind)
    }
}

/// By name, then by labels; each series once, however many selectors find it.
fn newest_samples(
    source: &dyn MetricSource,
    selectors: &[Vec<Matcher>],
    (start_ms, end_ms): (i64, i64),
    context: &QueryContext,
) -> Result<Vec<Newest>, ReadError> {
    let mut found: Vec<Newest> = Vec::new();
    let mut series = SeriesSamples::default();
    for matchers in selectors {
        let mut cursor = source.select(&MetricSelect { matchers, start_ms, end_ms }, context)?;
        while cursor.next(&mut series)? {
            if let Some(newest) = Newest::of(&series) {
                context.reserve(newest.memory_bytes())?;
                found.push(newest);
            }
        }
    }
    found.sort_by(|a, b| a.name().cmp(b.name()).then_with(|| a.labels.cmp(&b.labels)));
    found.dedup_by(|a, b| a.labels == b.labels);
    Ok(found)
}

/// Labels that a series gets on its way out: those of this server where it has none of the name, and an `instance`, so that
/// the scraper does not put its own there.
fn added<'a>(labels: &Labels, external: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    let own = |name: &str| labels.get(name).is_some();
    let instance = (!own(INSTANCE) && !external.iter().any(|(name, _)| name == INSTANCE)).then_some((INSTANCE, ""));
    let external = external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    instance.into_iter().chain(external.filter(|(name, _)| !own(name))).collect()
}

fn print(
    newest: &[Newest],
    external: &[(String, String)],
    mut printer: Printer,
    pieces: &mut Pieces<'_>,
) -> Result<(), BulkError> {
    let can_histograms = printer.format() == ExpositionFormat::Protobuf;
    let mut family: Option<(&str, MetricKind)> = None;
    for sample in newest {
        let is_left_out = sample.name().is_empty() || (sample.histogram.is_some() && !can_histograms);
        if is_left_out {
            continue;
        }
        if family != Some(sample.family()) {
            let (name, kind) = sample.family();
            printer.family(FamilyHeader { name, help: "", kind }, &mut pieces.buffer);
            family = Some((name, kind));
        }
        let added = added(&sample.labels, external);
        match &sample.histogram {
            None => {
                let (labels, out) = (sample.labels.as_ref(), &mut pieces.buffer);
                printer.sample(labels, &added, sample.value, sample.timestamp_ms, out);
            }
            Some(histogram) => {
                printer.histogram(sample.labels.as_ref(), &added, histogram, sample.timestamp_ms);
            }
        }
        if printer.pending_bytes() >= bulk::PIECE_BYTES {
            // A family may come in several messages; readers see one type and name in each.
            family = None;
        }
        pieces.item_done()?;
    }
    printer.finish(&mut pieces.buffer);
    Ok(())
}
