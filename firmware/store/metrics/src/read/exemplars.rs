//! Exemplars of heads and blocks.

use crate::block::Block;
use crate::head::Generation;
use crate::pairs::matching;
use crate::read::Reading;
use crate::store::MetricStore;
use crate::tombstones::hides;
use bramble_signal::{Exemplar, Labels, LabelsRef, SeriesExemplars};
use bramble_storage::{MetricSelect, QueryContext, ReadError};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a query found so far, counted against its memory.
struct Found<'a> {
    series: BTreeMap<Labels, Vec<Exemplar>>,
    select: &'a MetricSelect<'a>,
    context: &'a QueryContext,
    full: Result<(), ReadError>,
}

impl Found<'_> {
    fn add(&mut self, labels: LabelsRef<'_>, exemplar: Exemplar) {
        let within = (self.select.start_ms..=self.select.end_ms).contains(&exemplar.timestamp_ms);
        if !within || self.full.is_err() {
            return;
        }
        let bytes = labels.as_bytes().len() + exemplar.labels.as_bytes().len() + size_of::<Exemplar>() + 64;
        self.full = self.context.reserve(bytes).map_err(ReadError::from);
        self.series.entry(labels.to_labels()).or_default().push(exemplar);
    }

    fn matches(&self, labels: LabelsRef<'_>) -> bool {
        self.select.matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or("")))
    }
}

impl MetricStore {
    /// As `MetricSource::exemplars`.
    pub(crate) fn read_exemplars(
        &self,
        select: &MetricSelect<'_>,
        context: &QueryContext,
    ) -> Result<Vec<SeriesExemplars>, ReadError> {
        context.check()?;
        let mut found = Found { series: BTreeMap::new(), select, context, full: Ok(()) };
        let deletions = self.deletions();
        let blocks = self.exemplars_of_head(&mut found);
        let reading = Reading { context: Some(context), keep_going: None, damage: None, counters: &self.counters };
        for block in blocks {
            context.check()?;
            // Neighbours in a page are of one series: matched once.
            let mut last: Option<(Labels, bool)> = None;
            let read = block.exemplars(select.start_ms, select.end_ms, &mut |labels, exemplar| {
                let known =
                    last.as_ref().filter(|(own, _)| own.as_bytes() == labels.as_bytes()).map(|(_, known)| *known);
                let matches = known.unwrap_or_else(|| found.matches(labels));
                if known.is_none() {
                    last = Some((labels.to_labels(), matches));
                }
                if matches && !hides(&deletions, block.id(), labels, exemplar.timestamp_ms) {
                    found.add(labels, exemplar);
                }
            });
            if let Err(error) = read {
                reading.damaged(block.id(), error)?;
            }
        }
        found.full?;
        Ok(found.series.into_iter().map(|(labels, own)| SeriesExemplars { labels, exemplars: ordered(own) }).collect())
    }

    /// Adds those of the head, and says which blocks may have more.
    fn exemplars_of_head(&self, found: &mut Found<'_>) -> Vec<Arc<Block>> {
        let index = self.index.read();
        let (generations, blocks) = {
            let tip = self.tip.read();
            let frozen = tip.frozen.as_ref().map(|frozen| frozen.generation.clone());
            let (start_ms, end_ms) = (found.select.start_ms, found.select.end_ms);
            let may = |b: &&Arc<Block>| b.exemplar_range.is_some_and(|(min, max)| min <= end_ms && max >= start_ms);
            let blocks: Vec<_> = tip.blocks.iter().filter(may).cloned().collect();
            (frozen.into_iter().chain([tip.active.clone()]).collect::<Vec<Arc<RwLock<Generation>>>>(), blocks)
        };
        let mut labels = Vec::new();
        for generation in generations {
            let generation = generation.read();
            if generation.exemplars.is_empty() {
                continue;
            }
            let with: RoaringBitmap = generation.exemplars.iter().map(|(series, _)| *series).collect();
            let Ok(wanted) = matching(&*index, found.select.matchers);
            for series in with & wanted {
                labels.clear();
                index.labels(series, &mut labels);
                for exemplar in generation.exemplars.of(&series) {
                    found.add(LabelsRef::from_encoded(&labels), exemplar.clone());
                }
            }
        }
        blocks
    }
}

/// By time, each once: what was flushed and what came again in the journal's replay or from a sender are the same.
fn ordered(mut own: Vec<Exemplar>) -> Vec<Exemplar> {
    let key = |e: &Exemplar| (e.timestamp_ms, e.value.to_bits());
    own.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.labels.cmp(&b.labels)));
    own.dedup_by(|a, b| key(a) == key(b) && a.labels == b.labels);
    own
}
