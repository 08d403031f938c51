//! Logs of all hubs.

use super::entries::EntryMerge;
use super::{log_lists, union};
use crate::frame::ENTRIES;
use crate::peer::Peers;
use crate::request::{Logs, Question};
use crate::rows;
use bramble_signal::{Labels, Matcher};
use bramble_storage::{
    LogCursor, LogRows, LogSelect, LogSource, MetadataWanted, QueryContext, ReadError, StreamSteps, StreamTotals,
    TallyRun, TallyVisitor, TemplateCounts,
};
use std::sync::Arc;

/// Logs of this hub and of others. Own streams are in it: [`bramble_storage::Visible`] goes around it.
pub struct MergedLogs {
    local: Arc<dyn LogSource>,
    peers: Arc<Peers>,
}

impl MergedLogs {
    /// What `local` and the hubs have.
    pub fn new(local: Arc<dyn LogSource>, peers: Arc<Peers>) -> Self {
        MergedLogs { local, peers }
    }
}

impl LogSource for MergedLogs {
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        let asked = self.peers.ask(&Question::Entries(Logs::of(select)), context);
        let local = self.local.select(select, context)?;
        if asked.is_empty() {
            return Ok(local);
        }
        Ok(Box::new(EntryMerge::new(local, asked, select.direction, context)))
    }

    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError> {
        let select = LogSelect { matchers, start_ns, end_ns, ..LogSelect::default() };
        let mut asked = self.peers.ask(&Question::Streams(Logs::of(&select)), context);
        let mut lists = vec![self.local.streams(matchers, start_ns, end_ns, context)?];
        for peer in &mut asked {
            while let Some((kind, payload)) = peer.next(context)? {
                match rows::read(&payload) {
                    Ok(batch) if kind == ENTRIES => {
                        context.reserve(batch.memory_bytes())?;
                        lists.push(batch.streams().map(|stream| stream.labels().to_labels()).collect());
                    }
                    Ok(_) => peer.lose("it sent what was not asked for", context),
                    Err(why) => peer.lose(&why, context),
                }
            }
        }
        Ok(union(lists))
    }

    /// By way of rows: what is on several hubs counts once, which only its lines tell. This hub alone counts as fast as ever.
    fn tally(
        &self,
        select: &LogSelect<'_>,
        metadata: MetadataWanted<'_>,
        line_bytes: bool,
        context: &QueryContext,
        each: &mut TallyVisitor<'_>,
    ) -> Result<(), ReadError> {
        if self.peers.all_gone(context) {
            return self.local.tally(select, metadata, line_bytes, context, each);
        }
        let mut cursor = self.select(select, context)?;
        let (mut rows, mut kept) = (LogRows::default(), Vec::new());
        while cursor.next(&mut rows)? {
            for stream in rows.batch.streams() {
                for entry in stream.entries() {
                    let metadata = metadata.keep(entry.metadata, &mut kept);
                    let bytes = [entry.line.len() as u32];
                    each(&TallyRun {
                        labels: stream.labels(),
                        metadata,
                        timestamps_ns: &[entry.timestamp_ns],
                        line_bytes: if line_bytes { &bytes } else { &[] },
                    })?;
                }
            }
        }
        Ok(())
    }

    fn totals(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamTotals>, ReadError> {
        if self.peers.all_gone(context) {
            return self.local.totals(matchers, start_ns, end_ns, context);
        }
        let steps = self.totals_by_step(matchers, start_ns, end_ns, log_lists::step_ns(start_ns, end_ns), context)?;
        let local = self.local.totals(matchers, start_ns, end_ns, context)?;
        Ok(log_lists::totals(steps, &local))
    }

    fn totals_by_step(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        step_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamSteps>, ReadError> {
        let select = LogSelect { matchers, start_ns, end_ns, ..LogSelect::default() };
        let question = Question::Totals { of: Logs::of(&select), step_ns: step_ns.max(1) };
        let mut asked = self.peers.ask(&question, context);
        let mut all = vec![self.local.totals_by_step(matchers, start_ns, end_ns, step_ns, context)?];
        for peer in &mut asked {
            all.push(peer.list(context)?.into_iter().map(|steps: crate::lists::Steps| steps.into()).collect());
        }
        if log_lists::can_be_counted(&all) {
            return log_lists::count(self, &select, step_ns, context);
        }
        Ok(log_lists::steps(all))
    }

    fn templates(
        &self,
        select: &LogSelect<'_>,
        step_ns: i64,
        most: usize,
        context: &QueryContext,
    ) -> Result<Vec<TemplateCounts>, ReadError> {
        let of = Logs::of(&LogSelect { fields: &[], mentions: &[], ..select.clone() });
        let mut asked = self.peers.ask(&Question::Templates { of, step_ns: step_ns.max(1), most }, context);
        let mut all = vec![self.local.templates(select, step_ns, most, context)?];
        for peer in &mut asked {
            all.push(peer.list(context)?.into_iter().map(|form: crate::lists::Template| form.into()).collect());
        }
        Ok(log_lists::templates(all, most))
    }

    fn floating_names(&self) -> Vec<String> {
        let known = self.peers.known().into_iter().map(|hello| hello.floating_names);
        union([self.local.floating_names()].into_iter().chain(known))
    }
}
