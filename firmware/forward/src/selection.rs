//! What of a batch goes to a destination, and what is added to it.

use crate::config::DestinationConfig;
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{LabelsRef, LogBatch, MatchOp, Matcher, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Batch, Durable};
use std::collections::BTreeMap;

/// Matchers of which all must match.
type Selector = Vec<Matcher>;

/// Which items of which signal, and the labels that they get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    wanted: Vec<Signal>,
    /// By signal; none: everything.
    selectors: [Vec<Selector>; Signal::ALL.len()],
    external: Vec<(String, String)>,
}

impl Selection {
    /// That of a destination.
    ///
    /// # Errors
    /// A text: a signal or selector that cannot be read.
    pub(crate) fn new(config: &DestinationConfig) -> Result<Self, String> {
        let mut selectors: [Vec<Selector>; Signal::ALL.len()] = Default::default();
        for (word, texts) in &config.matches {
            let signal = Signal::ALL.into_iter().find(|signal| signal.as_str() == word);
            let signal = signal.ok_or_else(|| format!("match: {word:?} is no signal"))?;
            for text in texts {
                let selector = parse(text).map_err(|why| format!("match: {text:?}: {why}"))?;
                selectors[signal as usize].push(selector);
            }
        }
        let external = config.external_labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Selection { wanted: config.wanted(), selectors, external })
    }

    /// Whether anything of the signal is sent.
    pub(crate) fn wants(&self, signal: Signal) -> bool {
        self.wanted.contains(&signal)
    }

    /// Whether batches of the signal are sent as they are: such an encoding is shared among destinations.
    pub(crate) fn is_whole(&self, signal: Signal) -> bool {
        self.wants(signal) && self.selectors[signal as usize].is_empty() && self.external.is_empty()
    }

    /// What of the batch is sent; `None` for nothing.
    pub(crate) fn select(&self, batch: Durable<'_>) -> Option<Batch> {
        if !self.wants(batch.signal()) {
            return None;
        }
        let selected = match batch {
            Durable::Metrics(batch) => Batch::Metrics(self.metrics(batch)),
            Durable::Logs(batch) => Batch::Logs(self.logs(batch)),
            Durable::Spans(batch) => Batch::Spans(self.spans(batch)),
        };
        (!selected.is_empty()).then_some(selected)
    }

    fn matches<'a>(&self, signal: Signal, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        let selectors = &self.selectors[signal as usize];
        let all = |s: &Selector| s.iter().all(|matcher| matcher.matches(get(&matcher.name).unwrap_or_default()));
        selectors.is_empty() || selectors.iter().any(all)
    }

    /// The labels with the external ones among them.
    fn labelled(&self, labels: LabelsRef<'_>, out: &mut Vec<u8>) {
        let mut pairs: BTreeMap<&str, &str> = self.external.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pairs.extend(labels.iter());
        out.clear();
        bramble_signal::labels::encode_sorted(pairs, out);
    }

    fn metrics(&self, batch: &MetricBatch) -> MetricBatch {
        let mut out = MetricBatch::new();
        let mut encoded = Vec::new();
        for (index, (labels, samples)) in batch.iter().enumerate() {
            if !self.matches(Signal::Metrics, |name| labels.get(name)) {
                continue;
            }
            if self.external.is_empty() {
                out.start_series_encoded(labels);
            } else {
                self.labelled(labels, &mut encoded);
                out.start_series_encoded(LabelsRef::from_encoded(&encoded));
            }
            out.set_start(batch.start_ms(index));
            samples.iter().for_each(|&sample| out.push_sample_of(batch, sample));
            out.push_exemplars_of(batch, index);
        }
        if out.series_count() > 0 {
            out.metadata.clone_from(&batch.metadata);
        }
        out.backfill = batch.backfill;
        out
    }

    fn logs(&self, batch: &LogBatch) -> LogBatch {
        let mut out = LogBatch::new();
        let mut encoded = Vec::new();
        for stream in batch.streams() {
            if !self.matches(Signal::Logs, |name| stream.labels().get(name)) {
                continue;
            }
            if self.external.is_empty() {
                out.start_stream_encoded(stream.labels());
            } else {
                self.labelled(stream.labels(), &mut encoded);
                out.start_stream_encoded(LabelsRef::from_encoded(&encoded));
            }
            for entry in stream.entries() {
                out.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            }
        }
        out
    }

    fn spans(&self, batch: &SpanBatch) -> SpanBatch {
        let mut out = SpanBatch::new();
        for span in &batch.spans {
            let resource = batch.resource_attributes(span);
            let get = |name: &str| match name {
                "name" => Some(batch.text(span.name)),
                "kind" => Some(span.kind.as_str()),
                "status" => Some(span.status.as_str()),
                _ => text_of(resource, name),
            };
            if self.matches(Signal::Traces, get) {
                out.push_from(batch, span);
            }
        }
        if !self.external.is_empty() {
            for index in 0..out.resources.len() {
                let attributes = out.resources[index].attributes;
                let mut bytes = out.bytes(attributes).to_vec();
                for (name, value) in &self.external {
                    if AttributesRef::from_encoded(&bytes).get(name).is_none() {
                        bramble_signal::attributes::put_attribute(&mut bytes, name, AttributeValue::Str(value));
                    }
                }
                out.resources[index].attributes = out.put(&bytes);
            }
        }
        out
    }
}

fn text_of<'a>(attributes: AttributesRef<'a>, name: &str) -> Option<&'a str> {
    match attributes.get(name)? {
        AttributeValue::Str(text) => Some(text),
        _ => None,
    }
}

/// Reads `{name="value", other=~"expression"}`; the braces may be left out, names may be in quotes.
fn parse(text: &str) -> Result<Selector, String> {
    let mut rest = text.trim();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner.strip_suffix('}').ok_or("the closing } is missing")?.trim();
    }
    let mut selector = Selector::new();
    while !rest.is_empty() {
        let name;
        (name, rest) = match rest.starts_with('"') {
            true => quoted(rest)?,
            false => {
                let end = rest.find(['=', '!']).ok_or("a matcher is name=\"value\"")?;
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        if name.is_empty() {
            return Err("a matcher has no name".into());
        }
        rest = rest.trim_start();
        let ops = [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
        let (op, after) = ops
            .into_iter()
            .find_map(|(sign, op)| rest.strip_prefix(sign).map(|after| (op, after)))
            .ok_or("expected one of = != =~ !~")?;
        let value;
        (value, rest) = quoted(after.trim_start())?;
        selector.push(Matcher::new(name, op, value).map_err(|error| error.to_string())?);
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err("expected a comma between matchers".into()),
        }
    }
    match selector.is_empty() {
        true => Err("it has no matcher".into()),
        false => Ok(selector),
    }
}

/// A text in double quotes with backslash escapes, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let inner = text.strip_prefix('"').ok_or("a value is written in double quotes")?;
    let mut out = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &inner[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                // As in Prometheus' raw habit: an expression's own escapes stay.
                Some((_, other)) => out.extend(['\\', other]),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("the closing quote is missing".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(signal: &str, texts: &[&str]) -> Selection {
        let matches = [(signal.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect())].into();
        let external_labels = [("site".to_owned(), "north".to_owned())].into();
        let kind = Some(crate::config::Kind::Hub);
        Selection::new(&DestinationConfig { kind, matches, external_labels, ..DestinationConfig::default() }).unwrap()
    }

    #[test]
    fn series_are_chosen_by_any_selector_and_get_external_labels() {
        let mut batch = MetricBatch::new();
        for (name, job) in [("up", "node"), ("up", "other"), ("down", "other")] {
            batch.start_series(&mut [("__name__", name), ("job", job)]).unwrap();
            batch.push_sample(1, 2.0);
        }
        let selection = selection("metrics", &[r#"{job="node"}"#, r#"__name__=~"do.*", job!="x""#]);
        let Some(Batch::Metrics(out)) = selection.select(Durable::Metrics(&batch)) else { panic!("nothing") };
        let names: Vec<String> = out.iter().map(|(labels, _)| labels.to_string()).collect();
        assert_eq!(
            names,
            [r#"{__name__="up", job="node", site="north"}"#, r#"{__name__="down", job="other", site="north"}"#]
        );
        assert!(!selection.is_whole(Signal::Metrics));
    }

    #[test]
    fn selectors_that_cannot_be_read_say_why() {
        for text in ["", "{}", "{a}", r#"{a="b""#, r#"{a=b}"#, r#"a="b" c="d""#, r#"a=~"(""#, r#"="x""#] {
            assert!(parse(text).is_err(), "{text}");
        }
        let parsed = parse(r#"{"a.b"="x\"y", c!~"\\d+\."}"#).unwrap();
        assert_eq!((parsed[0].name.as_str(), parsed[0].value.as_str()), ("a.b", "x\"y"));
        assert_eq!(parsed[1].value, r"\d+\.");
    }
}
