//! Fields that are to be stream labels: moved from the entries' metadata to their streams, whatever protocol they came by.
//!
//! A resource's attributes, a record's attributes and the structured metadata of a push are all metadata here, so one
//! rule serves them all. A label that the stream has already stays, and so does the field; a value that is too long for a
//! label stays a field.

use super::refusal::Refusal;
use bramble_runtime::Reservation;
use bramble_signal::labels::encode_sorted;
use bramble_signal::{LabelsRef, LogBatch, LogEntry, LogStream};
use std::collections::HashMap;

/// Which fields become stream labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promotion {
    /// Names as metadata has them, ascending.
    names: Vec<String>,
    value_bytes_max: usize,
}

impl Promotion {
    /// `names` as people write them: `http.route` is the same as `http_route`.
    pub(crate) fn new(names: &[String], value_bytes_max: usize) -> Promotion {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let mut names: Vec<String> = names.iter().map(|name| name.chars().map(plain).collect()).collect();
        names.sort();
        names.dedup();
        Promotion { names, value_bytes_max }
    }

    fn promotes(&self, labels: LabelsRef<'_>, (name, value): (&str, &str)) -> bool {
        self.names.binary_search_by(|other| other.as_str().cmp(name)).is_ok()
            && value.len() <= self.value_bytes_max
            && labels.get(name).is_none()
    }

    /// The batch with its fields moved; `held` covers the old batch and then the new one.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`].
    pub(crate) fn apply(&self, batch: LogBatch, mut held: Reservation) -> Result<(LogBatch, Reservation), Refusal> {
        let moves = |stream: &LogStream<'_>, entry: &LogEntry<'_>| {
            entry.metadata.iter().any(|pair| self.promotes(stream.labels(), pair))
        };
        if self.names.is_empty() || !batch.streams().any(|stream| stream.entries().any(|e| moves(&stream, &e))) {
            return Ok((batch, held));
        }
        // Labels of a stream may be repeated for each of its entries.
        let labels: usize = batch.streams().map(|s| s.labels().as_bytes().len() * s.len()).sum();
        held.grow(batch.memory_bytes() + labels + batch.entry_count() * 32)?;
        let mut out = LogBatch::new();
        for stream in batch.streams() {
            self.split(&stream, &mut out);
        }
        drop(batch);
        held.force_resize(out.memory_bytes());
        Ok((out, held))
    }

    /// Appends a stream's entries, gathered by what their labels become.
    fn split(&self, stream: &LogStream<'_>, out: &mut LogBatch) {
        let labels = stream.labels();
        let entries: Vec<LogEntry<'_>> = stream.entries().collect();
        let (mut streams, mut found) = (Vec::<(Vec<u8>, Vec<usize>)>::new(), HashMap::<Vec<u8>, usize>::new());
        for (at, entry) in entries.iter().enumerate() {
            let promoted = entry.metadata.iter().filter(|&pair| self.promotes(labels, pair));
            let mut pairs: Vec<(&str, &str)> = labels.iter().chain(promoted).collect();
            pairs.sort_unstable();
            let mut encoded = Vec::new();
            encode_sorted(pairs, &mut encoded);
            let next = streams.len();
            let stream = *found.entry(encoded).or_insert_with_key(|encoded| {
                streams.push((encoded.clone(), Vec::new()));
                next
            });
            if let Some((_, members)) = streams.get_mut(stream) {
                members.push(at);
            }
        }
        let mut metadata = Vec::new();
        for (encoded, members) in &streams {
            out.start_stream_encoded(LabelsRef::from_encoded(encoded));
            for entry in members.iter().filter_map(|&at| entries.get(at)) {
                metadata.clear();
                encode_sorted(entry.metadata.iter().filter(|&pair| !self.promotes(labels, pair)), &mut metadata);
                out.push_entry_encoded(entry.timestamp_ns, entry.line, LabelsRef::from_encoded(&metadata));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    fn promoted(names: &[&str]) -> Vec<String> {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("app", "web"), ("tenant_id", "of the stream")]).unwrap();
        batch.push_entry(1, b"a", &mut [("http_route", "/x"), ("tenant_id", "t1"), ("z", "1")]).unwrap();
        batch.push_entry(2, b"b", &mut [("http_route", "/y")]).unwrap();
        batch.push_entry(3, b"c", &mut [("http_route", "/x")]).unwrap();
        batch.push_entry(4, b"d", &mut [("http_route", "/far/too/long")]).unwrap();
        batch.push_entry(5, b"e", &mut []).unwrap();
        let budget = Budget::standalone(BudgetName::Receive, 1 << 20);
        let held = budget.reserve(batch.memory_bytes()).unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let (batch, held) = Promotion::new(&names, 10).apply(batch, held).unwrap();
        assert_eq!(held.bytes(), batch.memory_bytes());
        for stream in batch.streams() {
            assert!(LabelsRef::parse(stream.labels().as_bytes()).is_some());
        }
        let lines = |s: LogStream<'_>| {
            let lines = s.entries().map(|e| format!("{}{}", String::from_utf8_lossy(e.line), e.metadata));
            format!("{} {}", s.labels(), lines.collect::<Vec<_>>().join(" "))
        };
        batch.streams().map(lines).collect()
    }

    #[test]
    fn fields_become_labels_of_their_streams() {
        let tenant = r#"tenant_id="of the stream""#;
        assert_eq!(
            promoted(&["http.route", "tenant_id", "absent"]),
            [
                format!(r#"{{app="web", http_route="/x", {tenant}}} a{{tenant_id="t1", z="1"}} c{{}}"#),
                format!(r#"{{app="web", http_route="/y", {tenant}}} b{{}}"#),
                format!(r#"{{app="web", {tenant}}} d{{http_route="/far/too/long"}} e{{}}"#),
            ]
        );
        assert_eq!(promoted(&[]).len(), 1);
        assert_eq!(promoted(&["absent"]).len(), 1);
    }
}
