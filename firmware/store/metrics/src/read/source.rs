//! The reading side.

use super::{BlockSeries, Cursor, HeadSeries, Origin, Reading};
use crate::block::{Block, BlockPairs, Footer};
use crate::head::{Generation, SeriesIndex};
use crate::pairs::matching;
use crate::postings::add_encoded;
use crate::rollup::Tiers;
use crate::store::MetricStore;
use crate::tombstones::{Cuts, cut};
use bramble_disk::DiskError;
use bramble_signal::{Labels, LabelsRef, MetricMetadata, SeriesExemplars};
use bramble_storage::{Cardinality, Deletion, MetricSelect, MetricSource, QueryContext, ReadError, SeriesCursor};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What one query sees.
struct Snapshot {
    generations: Vec<Arc<RwLock<Generation>>>,
    blocks: Vec<Arc<Block>>,
    /// Days that are answered from rollups.
    cold_days: Arc<[i32]>,
}

/// What a cursor is made of.
struct Streams {
    origins: Vec<Origin>,
    cold_days: Arc<[i32]>,
}

impl MetricStore {
    fn reading<'a>(&'a self, context: &'a QueryContext) -> Reading<'a> {
        Reading { context: Some(context), keep_going: None, damage: None, counters: &self.counters }
    }

    fn snapshot(&self, select: &MetricSelect<'_>) -> Snapshot {
        let (start, end) = (select.start_ms, select.end_ms);
        let tip = self.tip.read();
        let frozen = tip.frozen.as_ref().map(|frozen| frozen.generation.clone());
        // Older first: what was written last wins.
        let generations = frozen.into_iter().chain([tip.active.clone()]);
        let tiers = Tiers::of(&tip.blocks);
        let served = |b: &&Arc<Block>| b.overlaps(start, end) && tiers.serves(b);
        Snapshot {
            generations: generations.filter(|g| g.read().overlaps(start, end)).collect(),
            blocks: tip.blocks.iter().filter(served).cloned().collect(),
            cold_days: tiers.cold_days,
        }
    }

    fn streams(&self, select: &MetricSelect<'_>, reading: &Reading<'_>) -> Result<Streams, ReadError> {
        let mut streams = Vec::new();
        if select.start_ms > select.end_ms {
            return Ok(Streams { origins: streams, cold_days: Arc::from([]) });
        }
        let deletions = self.deletions();
        // The index first: a series that the snapshot's generations hold cannot leave it in between.
        let index = self.index.read();
        let snapshot = self.snapshot(select);
        let head = head_series(&index, snapshot.generations, select, reading)?;
        drop(index);
        for block in snapshot.blocks {
            reading.check()?;
            reading.count(|s| &s.blocks, 1);
            match block_series(&block, select, &deletions) {
                Ok((_, found, _)) if found.is_empty() => {}
                Ok((footer, found, cuts)) => {
                    reading.reserve(found.len() as usize * 4)?;
                    let series = found.iter().collect();
                    let series = BlockSeries::new(block, footer, series).cutting(cuts);
                    streams.push(Origin::Block(Box::new(series.keeping(self.open_pages.clone()))));
                }
                Err(error) => reading.damaged(block.id(), error)?,
            }
        }
        if !head.series.is_empty() {
            streams.push(Origin::Head(head));
        }
        Ok(Streams { origins: streams, cold_days: snapshot.cold_days })
    }
}

fn never<T>(result: Result<T, std::convert::Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// The head's matching series that have samples in the given generations.
fn head_matches(
    index: &SeriesIndex,
    generations: &[Arc<RwLock<Generation>>],
    select: &MetricSelect<'_>,
) -> RoaringBitmap {
    if generations.is_empty() {
        return RoaringBitmap::new();
    }
    let mut present = RoaringBitmap::new();
    for generation in generations {
        present |= generation.read().series();
    }
    if select.matchers.is_empty() { present } else { present & never(matching(index, select.matchers)) }
}

fn head_series(
    index: &SeriesIndex,
    generations: Vec<Arc<RwLock<Generation>>>,
    select: &MetricSelect<'_>,
    reading: &Reading<'_>,
) -> Result<HeadSeries, ReadError> {
    let mut series: Vec<u32> = head_matches(index, &generations, select).iter().collect();
    let bytes: usize = series.iter().map(|&s| index.labels_len(s)).sum();
    reading.reserve(bytes + series.len() * 8)?;
    series.sort_unstable_by(|&a, &b| index.compare(a, b));
    let (mut labels, mut ends) = (Vec::with_capacity(bytes), Vec::with_capacity(series.len()));
    for &number in &series {
        index.labels(number, &mut labels);
        ends.push(labels.len() as u32);
    }
    Ok(HeadSeries { generations, series, labels, ends })
}

fn block_series(
    block: &Arc<Block>,
    select: &MetricSelect<'_>,
    deletions: &[Deletion],
) -> Result<(Arc<Footer>, RoaringBitmap, Cuts), DiskError> {
    let footer = block.footer()?;
    let mut found = matching(&BlockPairs { block, footer: &footer }, select.matchers)?;
    let cuts = cut(deletions, block, &footer, &mut found)?;
    Ok((footer, found, cuts))
}

impl MetricSource for MetricStore {
    fn select<'a>(
        &'a self,
        select: &MetricSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SeriesCursor + 'a>, ReadError> {
        context.check()?;
        let reading = self.reading(context);
        let streams = self.streams(select, &reading)?;
        let cursor = Cursor::new(reading, streams.origins, select.start_ms, select.end_ms);
        Ok(Box::new(cursor.folding(streams.cold_days)))
    }

    fn series(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<Labels>, ReadError> {
        context.check()?;
        let reading = self.reading(context);
        let streams = self.streams(select, &reading)?;
        let mut all = Vec::new();
        Cursor::new(reading, streams.origins, select.start_ms, select.end_ms).for_each_labels(&mut |labels| {
            context.reserve(labels.len() + 32)?;
            all.push(LabelsRef::from_encoded(labels).to_labels());
            Ok(())
        })?;
        Ok(all)
    }

    fn label_names(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        self.for_pairs(select, context, None, &mut |name, _| insert(&mut names, name, context))?;
        Ok(texts(names))
    }

    fn label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, ReadError> {
        let mut values = BTreeSet::new();
        self.for_pairs(select, context, Some(name), &mut |_, value| insert(&mut values, value, context))?;
        Ok(texts(values))
    }

    fn some_label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<String>, bool), ReadError> {
        let (mut values, mut more) = (BTreeSet::new(), false);
        let read = self.for_pairs(select, context, Some(name), &mut |_, value| {
            if values.len() >= limit && !values.contains(value) {
                more = true;
                return Err(ReadError::Limit("enough values".to_owned()));
            }
            insert(&mut values, value, context)
        });
        if !more {
            read?;
        }
        Ok((texts(values), more))
    }

    fn metadata(&self) -> Vec<MetricMetadata> {
        self.metadata.lock().all()
    }

    fn exemplars(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<SeriesExemplars>, ReadError> {
        self.read_exemplars(select, context)
    }

    fn rolled_up_before_ms(&self) -> i64 {
        self.cold_before_ms()
    }

    fn cardinality(&self, limit: usize) -> Cardinality {
        let mut out = self.index.read().cardinality(limit);
        let tip = self.tip.read();
        (out.min_ms, out.max_ms) = (i64::MAX, i64::MIN);
        for generation in tip.frozen.iter().map(|frozen| &frozen.generation).chain([&tip.active]) {
            let generation = generation.read();
            out.samples += generation.items;
            out.min_ms = out.min_ms.min(generation.min_ms);
            out.max_ms = out.max_ms.max(generation.max_ms);
        }
        out
    }
}

fn insert(set: &mut BTreeSet<Box<[u8]>>, text: &[u8], context: &QueryContext) -> Result<(), ReadError> {
    if !set.contains(text) {
        context.reserve(text.len() + 48)?;
        set.insert(text.into());
    }
    Ok(())
}

fn texts(set: BTreeSet<Box<[u8]>>) -> Vec<String> {
    set.into_iter().filter_map(|text| String::from_utf8(text.into()).ok()).collect()
}

type EachPair<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), ReadError>;

impl MetricStore {
    /// Calls `each` for the label pairs of matching series, of one name or of all.
    fn for_pairs(
        &self,
        select: &MetricSelect<'_>,
        context: &QueryContext,
        name: Option<&str>,
        each: EachPair<'_>,
    ) -> Result<(), ReadError> {
        context.check()?;
        if select.start_ms > select.end_ms {
            return Ok(());
        }
        let deletions = self.deletions();
        let index = self.index.read();
        let snapshot = self.snapshot(select);
        let found = head_matches(&index, &snapshot.generations, select);
        if !found.is_empty() {
            head_pairs(&index, &found, name, each)?;
        }
        drop(index);
        let reading = self.reading(context);
        for block in &snapshot.blocks {
            context.check()?;
            let read = block_series(block, select, &deletions).and_then(|(footer, found, _)| {
                if found.is_empty() { Ok(Ok(())) } else { block_pairs(block, &footer, &found, name, each) }
            });
            match read {
                Ok(result) => result?,
                Err(error) => reading.damaged(block.id(), error)?,
            }
        }
        Ok(())
    }
}

fn head_pairs(
    index: &SeriesIndex,
    found: &RoaringBitmap,
    name: Option<&str>,
    each: EachPair<'_>,
) -> Result<(), ReadError> {
    for (own, ids) in index.pairs.names() {
        if name.is_some_and(|name| name.as_bytes() != own) {
            continue;
        }
        for id in ids {
            let mut series = RoaringBitmap::new();
            if let Some(postings) = index.pairs.postings(id) {
                postings.add_to(&mut series);
            }
            if !series.is_disjoint(found) {
                each(own, index.pairs.name_value(id).1)?;
                if name.is_none() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn block_pairs(
    block: &Block,
    footer: &Footer,
    found: &RoaringBitmap,
    name: Option<&str>,
    each: EachPair<'_>,
) -> Result<Result<(), ReadError>, DiskError> {
    let all = found.len() == u64::from(footer.series);
    let mut result = Ok(());
    let mut done: Vec<u8> = Vec::new();
    block.pairs_from(footer, name.unwrap_or_default().as_bytes(), &[], &mut |own, value, encoded| {
        if name.is_some_and(|name| name.as_bytes() != own) {
            return false;
        }
        if name.is_none() && done == own {
            return true;
        }
        let mut series = RoaringBitmap::new();
        if !all {
            add_encoded(encoded, &mut series);
        }
        if all || !series.is_disjoint(found) {
            result = each(own, value);
            done.clear();
            done.extend_from_slice(own);
        }
        result.is_ok()
    })?;
    Ok(result)
}
