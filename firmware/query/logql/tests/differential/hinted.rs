//! A store that hands over rows in small batches and leaves out all that the contract lets it leave out.

use super::data::Entry;
use bramble_signal::{FLOATING_MARK, Labels, LogBatch, LogEntry, Matcher, floating_label};
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{LogCursor, LogRows, LogSelect, LogSink, LogSource, Mention, QueryContext, ReadError};

pub(crate) struct Hinted {
    logs: MemoryLogs,
    batch_rows: usize,
}

impl Hinted {
    pub(crate) fn new(entries: &[Entry], batch_rows: usize) -> Self {
        let logs = MemoryLogs::new();
        logs.replay(&batch(entries), 1);
        Hinted { logs, batch_rows }
    }
}

/// The entries as a door hands them over.
pub(crate) fn batch(entries: &[Entry]) -> LogBatch {
    let mut batch = LogBatch::new();
    for e in entries {
        let mut stream: Vec<(&str, &str)> = e.stream.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        batch.start_stream(&mut stream).unwrap();
        let floating = e.floating.iter().map(|(n, v)| (format!("{FLOATING_MARK}{n}"), v.clone()));
        let metadata: Vec<(String, String)> =
            floating.chain(e.metadata.iter().map(|(n, v)| (n.clone(), v.clone()))).collect();
        let mut metadata: Vec<(&str, &str)> = metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        batch.push_entry(e.time, &e.line, &mut metadata).unwrap();
    }
    batch
}

/// What the entry has under a name, as the contract says.
fn has<'a>(labels: &'a Labels, entry: &LogEntry<'a>, name: &str) -> &'a str {
    let floating = entry.metadata.iter().find(|(n, _)| floating_label(n) == Some(name)).map(|(_, v)| v);
    labels.get(name).or(floating).or_else(|| entry.metadata.get(name)).unwrap_or("")
}

fn kept(labels: &Labels, entry: &LogEntry<'_>, fields: &[Matcher], mentions: &[(String, String)]) -> bool {
    let mentioned = |(name, text): &(String, String)| Mention { name, text }.accepts(labels.as_ref(), entry);
    fields.iter().all(|m| m.matches(has(labels, entry, &m.name))) && mentions.iter().all(mentioned)
}

struct Batches {
    rows: LogRows,
    at: usize,
    batch_rows: usize,
    fields: Vec<Matcher>,
    mentions: Vec<(String, String)>,
}

impl LogCursor for Batches {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        out.clear();
        let end = (self.at + self.batch_rows).min(self.rows.order.len());
        for (stream, index) in &self.rows.order[self.at..end] {
            let stream = self.rows.batch.stream(*stream as usize);
            let (labels, entry) = (stream.labels().to_labels(), stream.entries().nth(*index as usize).unwrap());
            if kept(&labels, &entry, &self.fields, &self.mentions) {
                out.order.push((out.batch.stream_count() as u32, 0));
                out.batch.start_stream_encoded(stream.labels());
                out.batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            }
        }
        let more = self.at < self.rows.order.len();
        self.at = end;
        Ok(more)
    }
}

impl LogSource for Hinted {
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        let mut rows = LogRows::default();
        self.logs.select(select, context)?.next(&mut rows)?;
        let fields = select.fields.to_vec();
        let mentions = select.mentions.iter().map(|m| (m.name.to_owned(), m.text.to_owned())).collect();
        Ok(Box::new(Batches { rows, at: 0, batch_rows: self.batch_rows, fields, mentions }))
    }

    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError> {
        self.logs.streams(matchers, start_ns, end_ns, context)
    }
}
