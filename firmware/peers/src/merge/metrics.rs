//! Metrics of all hubs.

use super::series::SeriesMerge;
use super::union;
use crate::asked::Asked;
use crate::frame::SERIES;
use crate::peer::Peers;
use crate::request::{Metrics, Question};
use crate::series::SeriesFrame;
use bramble_signal::{Exemplar, Labels, MetricMetadata, SeriesExemplars};
use bramble_storage::{Cardinality, MetricSelect, MetricSource, QueryContext, ReadError, SeriesCursor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Metrics of this hub and of others.
pub struct MergedMetrics {
    local: Arc<dyn MetricSource>,
    peers: Arc<Peers>,
}

impl MergedMetrics {
    /// What `local` and the hubs have.
    pub fn new(local: Arc<dyn MetricSource>, peers: Arc<Peers>) -> Self {
        MergedMetrics { local, peers }
    }

    /// A list of this hub and the lists of the others.
    fn lists(
        &self,
        question: &Question,
        context: &QueryContext,
        local: impl FnOnce() -> Result<Vec<String>, ReadError>,
    ) -> Result<Vec<String>, ReadError> {
        let mut asked = self.peers.ask(question, context);
        let mut lists = vec![local()?];
        for peer in &mut asked {
            lists.push(peer.list(context)?);
        }
        Ok(union(lists))
    }
}

/// Shows `each` the frames of series; what cannot be read is lost.
fn each_frame(
    peer: &mut Asked,
    context: &QueryContext,
    each: &mut dyn FnMut(&SeriesFrame) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    while let Some((kind, payload)) = peer.next(context)? {
        match SeriesFrame::read(&payload) {
            Ok(frame) if kind == SERIES => each(&frame)?,
            Ok(_) => peer.lose("it sent what was not asked for", context),
            Err(why) => peer.lose(&why, context),
        }
    }
    Ok(())
}

impl MetricSource for MergedMetrics {
    fn select<'a>(
        &'a self,
        select: &MetricSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SeriesCursor + 'a>, ReadError> {
        let asked = self.peers.ask(&Question::Samples(Metrics::of(select)), context);
        let local = self.local.select(select, context)?;
        if asked.is_empty() {
            return Ok(local);
        }
        Ok(Box::new(SeriesMerge::new(local, asked, context)))
    }

    fn series(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<Labels>, ReadError> {
        let mut asked = self.peers.ask(&Question::Series(Metrics::of(select)), context);
        let mut lists = vec![self.local.series(select, context)?];
        for peer in &mut asked {
            each_frame(peer, context, &mut |frame| {
                context.reserve(frame.memory_bytes())?;
                lists.push(frame.label_sets().collect());
                Ok(())
            })?;
        }
        Ok(union(lists))
    }

    fn label_names(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let local = || self.local.label_names(select, context);
        self.lists(&Question::LabelNames(Metrics::of(select)), context, local)
    }

    fn label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        context: &QueryContext,
    ) -> Result<Vec<String>, ReadError> {
        let question = Question::LabelValues { name: name.to_owned(), limit: None, of: Metrics::of(select) };
        self.lists(&question, context, || self.local.label_values(name, select, context))
    }

    fn some_label_values(
        &self,
        name: &str,
        select: &MetricSelect<'_>,
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<String>, bool), ReadError> {
        let question = Question::LabelValues { name: name.to_owned(), limit: Some(limit), of: Metrics::of(select) };
        let mut asked = self.peers.ask(&question, context);
        let (values, mut more) = self.local.some_label_values(name, select, limit, context)?;
        let mut lists = vec![values];
        for peer in &mut asked {
            lists.push(peer.list(context)?);
            more |= peer.more;
        }
        let mut values = union(lists);
        more |= values.len() > limit;
        values.truncate(limit);
        Ok((values, more))
    }

    fn metadata(&self) -> Vec<MetricMetadata> {
        let mut families: BTreeMap<String, MetricMetadata> = BTreeMap::new();
        if let Some(context) = self.peers.own_context() {
            for mut peer in self.peers.ask(&Question::Metadata, &context) {
                let mut found = Vec::new();
                let read = each_frame(&mut peer, &context, &mut |frame| {
                    context.reserve(frame.memory_bytes())?;
                    found.extend(frame.batch.metadata.iter().cloned());
                    Ok(())
                });
                if let Err(error) = read {
                    tracing::warn!(peer = peer.peer.name, %error, "metadata of another hub is missing");
                }
                families.extend(found.into_iter().map(|family| (family.name.clone(), family)));
            }
        }
        families.extend(self.local.metadata().into_iter().map(|family| (family.name.clone(), family)));
        families.into_values().collect()
    }

    fn exemplars(&self, select: &MetricSelect<'_>, context: &QueryContext) -> Result<Vec<SeriesExemplars>, ReadError> {
        let mut asked = self.peers.ask(&Question::Exemplars(Metrics::of(select)), context);
        let local = self.local.exemplars(select, context)?;
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = local.into_iter().map(|s| (s.labels, s.exemplars)).collect();
        for peer in &mut asked {
            each_frame(peer, context, &mut |frame| {
                context.reserve(frame.memory_bytes())?;
                for (entry, labels) in frame.label_sets().enumerate() {
                    let exemplars = found.entry(labels).or_default();
                    for exemplar in frame.batch.exemplars(entry) {
                        if !exemplars.contains(exemplar) {
                            exemplars.push(exemplar.clone());
                        }
                    }
                }
                Ok(())
            })?;
        }
        let sorted = |(labels, mut exemplars): (Labels, Vec<Exemplar>)| {
            exemplars.sort_by_key(|exemplar| exemplar.timestamp_ms);
            SeriesExemplars { labels, exemplars }
        };
        Ok(found.into_iter().map(sorted).collect())
    }

    fn rolled_up_before_ms(&self) -> i64 {
        let known = self.peers.known().into_iter().map(|hello| hello.rolled_up_before_ms);
        known.fold(self.local.rolled_up_before_ms(), i64::max)
    }

    fn cardinality(&self, limit: usize) -> Cardinality {
        self.local.cardinality(limit)
    }
}
