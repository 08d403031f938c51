//! Logs of all hubs.

use super::entries::EntryMerge;
use super::{log_lists, union};
use crate::digest::{self, Digests, width_ns};
use crate::frame::ENTRIES;
use crate::peer::Peers;
use crate::request::{Logs, Question};
use crate::rows;
use bramble_signal::{Labels, Matcher};
use bramble_storage::{
    Direction, LogCursor, LogRows, LogSelect, LogSource, MetadataWanted, QueryContext, ReadError, StreamSteps,
    StreamTotals, TallyRun, TallyVisitor, TemplateCounts,
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

/// Shows `each` the entries of rows.
fn each_run(
    rows: &LogRows,
    metadata: MetadataWanted<'_>,
    line_bytes: bool,
    each: &mut TallyVisitor<'_>,
) -> Result<(), ReadError> {
    let mut kept = Vec::new();
    for stream in rows.batch.streams() {
        for entry in stream.entries() {
            let metadata = metadata.keep(entry.metadata, &mut kept);
            let bytes = [entry.line.len() as u32];
            let line_bytes = if line_bytes { &bytes[..] } else { &[] };
            each(&TallyRun { labels: stream.labels(), metadata, timestamps_ns: &[entry.timestamp_ns], line_bytes })?;
        }
    }
    Ok(())
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

    /// By way of rows: what is on several hubs counts once, which only its lines tell. What is here counts in any case; of others'
    /// entries those travel that lie in stretches of time in which the hubs have not the same.
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
        let select = LogSelect { direction: Direction::Forward, rows_hint: None, ..select.clone() };
        let (whole, width_ns) = ((select.start_ns, select.end_ns), width_ns(select.start_ns, select.end_ns));
        let mut asked = self.peers.ask(&Question::Digests { of: Logs::of(&select), width_ns }, context);
        let (mut rows, mut ours) = (LogRows::default(), Digests::default());
        let mut cursor = self.local.select(&select, context)?;
        while cursor.next(&mut rows)? {
            ours.add(&rows, select.start_ns, width_ns);
            each_run(&rows, metadata, line_bytes, each)?;
        }
        drop(cursor);
        let mut theirs = Vec::new();
        for peer in &mut asked {
            theirs.push(Digests::of_list(peer.list(context)?));
        }
        drop(asked);
        for range in digest::ranges(&ours.differing(&theirs), whole, width_ns) {
            let select = LogSelect { start_ns: range.start, end_ns: range.end, ..select.clone() };
            let asked = self.peers.ask(&Question::Entries(Logs::of(&select)), context);
            let local = self.local.select(&select, context)?;
            let mut more = EntryMerge::new(local, asked, Direction::Forward, context).others_only();
            while more.next(&mut rows)? {
                each_run(&rows, metadata, line_bytes, each)?;
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
