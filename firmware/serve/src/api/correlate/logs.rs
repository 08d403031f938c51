//! `GET /api/logs`: the newest log records, in the shape in which they are posted.
//!
//! A record's ids are found as the correlator finds them: in stream labels, metadata and lines, under any of their usual
//! spellings. The store is asked once for each way to name the id that is asked for; it must be written as it is asked
//! for, in lower case for a trace.

use super::Here;
use super::answer::warnings;
use super::asked::{Asked, shown};
use super::record::{OfService, Record, WantedIds, of_service};
use super::refusal::Refusal;
use crate::api::stream::{Parts, streamed};
use crate::params::Params;
use crate::run::run_holding;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_correlate::Level;
use bramble_correlate::extract::level_of_word;
use bramble_signal::{LabelsRef, Matcher};
use bramble_storage::{
    Direction, LinePredicate, LogRows, LogSelect, LogSource, OWN_STREAM_LABEL, QueryContext, ReadError,
};
use std::sync::Arc;

/// How far back records are looked for when neither a time nor an id says more.
const LOOK_BACK_NS: i64 = 24 * 3_600_000_000_000;

/// Rows between two looks at the clock.
const CHECK_EVERY: usize = 1024;

/// What is asked for.
struct Wanted {
    asked: Asked,
    level: Option<Level>,
    /// All of these must be among an entry's ids.
    ids: WantedIds,
    since_ns: i64,
    until_ns: i64,
}

impl Wanted {
    fn read(params: &Params, now_ns: i64) -> Result<Self, Refusal> {
        let asked = Asked::read(params, now_ns)?;
        let level = params.get("severity").or_else(|| params.get("level")).map(severity).transpose()?;
        let ids = WantedIds::new(&asked);
        let until_ns = asked.until_ns.unwrap_or(i64::MAX);
        // What pages say of ids makes a search through everything cheap; nothing else does.
        let from = until_ns.min(now_ns).saturating_sub(LOOK_BACK_NS);
        let since_ns = asked.since_ns.unwrap_or(if ids.is_empty() { from } else { i64::MIN });
        Ok(Wanted { asked, level, ids, since_ns, until_ns })
    }

    /// The matcher that leaves only streams of the service; `None` where there are none. A service goes by one of several
    /// labels: where streams differ in that, each entry is looked at.
    fn matchers(
        &self,
        service: &str,
        logs: &dyn LogSource,
        context: &QueryContext,
    ) -> Result<Option<Vec<Matcher>>, ReadError> {
        let streams = logs.streams(&[], self.since_ns, self.until_ns, context)?;
        let mut ways = streams.iter().filter_map(|labels| of_service(labels.as_ref(), service));
        Ok(match ways.next() {
            None => None,
            Some(way @ OfService::Label(name)) if ways.all(|other| other == way) => {
                Some(vec![Matcher::equal(name, service)])
            }
            Some(_) => Some(Vec::new()),
        })
    }

    /// The newest records, newest first.
    fn find(&self, logs: &dyn LogSource, context: &QueryContext) -> Result<Vec<Record>, ReadError> {
        let mut matchers = Vec::new();
        if let Some(service) = &self.asked.service {
            let Some(of_service) = self.matchers(service, logs, context)? else { return Ok(Vec::new()) };
            matchers = of_service;
        }
        let select = LogSelect {
            matchers: &matchers,
            start_ns: self.since_ns,
            end_ns: self.until_ns,
            direction: Direction::Backward,
            rows_hint: Some(self.asked.limit),
            ..LogSelect::default()
        };
        let Some(id) = self.ids.first() else { return self.pass(&select, logs, context) };
        // The newest of all are among the newest of each way to name the id.
        let lines = [LinePredicate::Contains(id.value.as_bytes().to_vec())];
        let mut found = self.pass(&LogSelect { lines: &lines, ..select.clone() }, logs, context)?;
        for name in id.names(&logs.floating_names()) {
            let fields = [Matcher::equal(name, id.value)];
            found.extend(self.pass(&LogSelect { fields: &fields, ..select.clone() }, logs, context)?);
            let bytes = bytes_of(&found);
            found.sort_by(Record::newest_first);
            found.dedup();
            found.truncate(self.asked.limit);
            context.release(bytes - bytes_of(&found));
        }
        Ok(found)
    }

    /// The newest records of what the store finds, newest first.
    fn pass(
        &self,
        select: &LogSelect<'_>,
        logs: &dyn LogSource,
        context: &QueryContext,
    ) -> Result<Vec<Record>, ReadError> {
        let (mut cursor, mut rows, mut found) = (logs.select(select, context)?, LogRows::default(), Vec::new());
        while cursor.next(&mut rows)? {
            context.check()?;
            // Entries of a batch are counted over all of its streams.
            let before = rows.batch.streams().scan(0, |sum, stream| Some(std::mem::replace(sum, *sum + stream.len())));
            let before: Vec<usize> = before.collect();
            for (n, &(stream, entry)) in rows.order.iter().enumerate() {
                if n % CHECK_EVERY == CHECK_EVERY - 1 {
                    context.check()?;
                }
                let stream = stream as usize;
                let Some(at) = before.get(stream).map(|before| before + entry as usize) else { continue };
                if let Some(record) = self.record(rows.batch.stream(stream).labels(), &rows.batch.entry(at)) {
                    context.reserve(record.bytes())?;
                    found.push(record);
                }
                if found.len() >= self.asked.limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The record of an entry, if it is one that is asked for.
    fn record(&self, labels: LabelsRef<'_>, entry: &bramble_signal::LogEntry<'_>) -> Option<Record> {
        if labels.get(OWN_STREAM_LABEL).is_some() {
            return None;
        }
        if !self.ids.is_empty() && !self.ids.are_named_by(labels, entry) {
            return None;
        }
        let record = Record::new(labels, entry);
        let fits = self.asked.service.as_ref().is_none_or(|service| record.service == *service)
            && self.level.is_none_or(|level| record.level == level);
        fits.then_some(record)
    }
}

fn bytes_of(records: &[Record]) -> usize {
    records.iter().map(Record::bytes).sum()
}

fn severity(text: &str) -> Result<Level, Refusal> {
    let level = level_of_word(text).filter(|level| *level != Level::Unknown);
    let names = "debug, info, warn, error or fatal";
    level.ok_or_else(|| Refusal::bad("severity", format!("severity is {names}, not {}", shown(text))))
}

/// `GET /api/logs`
pub(super) async fn logs(State(here): State<Here>, params: Params) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&params, here.now_ns())?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| wanted.find(&*state.logs, context);
    let (found, held) = run_holding(&here.state, None, work).await?;
    let found = found?;
    let tail = format!("],\"count\":{}{}}}", found.len(), warnings(&held));
    Ok(streamed(RecordParts { head: Some("{\"logs\":["), rest: found.into_iter(), tail }, held))
}

struct RecordParts {
    /// What comes before the first.
    head: Option<&'static str>,
    rest: std::vec::IntoIter<Record>,
    tail: String,
}

impl Parts for RecordParts {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let (head, next) = (self.head.take(), self.rest.next());
        out.extend_from_slice(head.unwrap_or(if next.is_some() { "," } else { "" }).as_bytes());
        match next {
            Some(record) => out.extend_from_slice(record.json().to_string().as_bytes()),
            None => out.extend_from_slice(self.tail.as_bytes()),
        }
        !out.ends_with(self.tail.as_bytes())
    }
}
