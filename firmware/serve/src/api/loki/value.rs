//! Results of queries as JSON, written line by line and series by series.

use super::answer::LabelsJson;
use crate::api::stream::{Parts, streamed};
use axum::response::Response;
use bramble_query_logql::syntax::value_text;
use bramble_query_logql::{Answer, Entry, LabelSet, Series, Stream};
use bramble_storage::QueryContext;
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};

/// Nanoseconds as JSON seconds with at most three decimals.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = self.0.div_euclid(1_000_000);
        if ms % 1000 == 0 { serializer.serialize_i64(ms / 1000) } else { serializer.serialize_f64(ms as f64 / 1000.0) }
    }
}

/// `[seconds, "value"]`
struct Point(i64, f64);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&Seconds(self.0))?;
        pair.serialize_element(&value_text(self.1))?;
        pair.end()
    }
}

/// `["ns", "line"]`, and by origin `{"structuredMetadata": {…}, "parsed": {…}}` if asked for.
pub(super) struct Line<'a>(pub(super) &'a Entry, pub(super) bool);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Origins<'a> {
            #[serde(rename = "structuredMetadata", skip_serializing_if = "Option::is_none")]
            metadata: Option<LabelsJson<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parsed: Option<LabelsJson<'a>>,
        }
        let Line(entry, categorize) = self;
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element(&entry.timestamp_ns.to_string())?;
        seq.serialize_element(&*String::from_utf8_lossy(&entry.line))?;
        if *categorize {
            let some = |set: &'_ LabelSet| !set.is_empty();
            seq.serialize_element(&Origins {
                metadata: some(&entry.metadata).then_some(LabelsJson(&entry.metadata)),
                parsed: some(&entry.parsed).then_some(LabelsJson(&entry.parsed)),
            })?;
        }
        seq.end()
    }
}

struct SeriesJson<'a>(&'a Series, bool);

impl Serialize for SeriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Points<'a>(&'a [(i64, f64)]);
        impl Serialize for Points<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(|p| Point(p.0, p.1)))
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &LabelsJson(&self.0.labels))?;
        match (self.1, self.0.points.first()) {
            (true, Some((time, value))) => map.serialize_entry("value", &Point(*time, *value))?,
            _ => map.serialize_entry("values", &Points(&self.0.points))?,
        }
        map.end()
    }
}

/// What is still to be written.
enum Rest {
    Streams(std::vec::IntoIter<Stream>, Option<std::vec::IntoIter<Entry>>),
    Series(std::vec::IntoIter<Series>, bool),
    Nothing,
}

/// An answer on its way out: the envelope, a part per line or series, and the end with statistics.
struct AnswerParts {
    head: Option<Vec<u8>>,
    rest: Rest,
    categorize: bool,
    /// Whether nothing stands before the next item of its list.
    first: bool,
    tail: Vec<u8>,
}

/// Texts, numbers and sequences of them always print.
fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let printed = serde_json::to_writer(out, value);
    debug_assert!(printed.is_ok(), "{printed:?}");
}

impl AnswerParts {
    fn new(answer: Answer, categorize: bool, stats: &serde_json::Value, warnings: &[String]) -> Self {
        let mut head = br#"{"status":"success","#.to_vec();
        if !warnings.is_empty() {
            head.extend_from_slice(br#""warnings":"#);
            write(&mut head, &warnings);
            head.push(b',');
        }
        head.extend_from_slice(br#""data":{"resultType":"#);
        let mut list = |kind: &[u8], rest: Rest| {
            head.extend_from_slice(kind);
            head.extend_from_slice(br#","result":["#);
            (rest, b"]".to_vec())
        };
        let (rest, mut tail) = match answer {
            Answer::Streams(streams) if categorize => {
                let kind = br#""streams","encodingFlags":["categorize-labels"]"#;
                list(kind, Rest::Streams(streams.into_iter(), None))
            }
            Answer::Streams(streams) => list(br#""streams""#, Rest::Streams(streams.into_iter(), None)),
            Answer::Vector(series) => list(br#""vector""#, Rest::Series(series.into_iter(), true)),
            Answer::Matrix(series) => list(br#""matrix""#, Rest::Series(series.into_iter(), false)),
            Answer::Scalar { time_ns, value } => {
                head.extend_from_slice(br#""scalar","result":"#);
                write(&mut head, &Point(time_ns, value));
                (Rest::Nothing, Vec::new())
            }
        };
        tail.extend_from_slice(br#","stats":"#);
        write(&mut tail, stats);
        tail.extend_from_slice(b"}}");
        AnswerParts { head: Some(head), rest, categorize, first: true, tail }
    }

    fn comma(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.first) {
            out.push(b',');
        }
    }
}

impl Parts for AnswerParts {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(&head);
        }
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Streams(streams, Some(mut entries)) => {
                if let Some(entry) = entries.next() {
                    self.comma(out);
                    write(out, &Line(&entry, self.categorize));
                    self.rest = Rest::Streams(streams, Some(entries));
                } else {
                    out.extend_from_slice(b"]}");
                    self.first = false;
                    self.rest = Rest::Streams(streams, None);
                }
                true
            }
            Rest::Streams(mut streams, None) if streams.len() > 0 => {
                self.comma(out);
                let stream = streams.next();
                out.extend_from_slice(br#"{"stream":"#);
                write(out, &stream.as_ref().map(|s| LabelsJson(&s.labels)));
                out.extend_from_slice(br#","values":["#);
                self.first = true;
                self.rest = Rest::Streams(streams, stream.map(|s| s.entries.into_iter()));
                true
            }
            Rest::Series(mut series, instant) if series.len() > 0 => {
                self.comma(out);
                if let Some(series) = series.next() {
                    write(out, &SeriesJson(&series, instant));
                }
                self.rest = Rest::Series(series, instant);
                true
            }
            _ => {
                out.append(&mut self.tail);
                false
            }
        }
    }
}

/// The answer of a query; `held` is what it was charged, and has its warnings.
pub(super) fn answered(answer: Answer, categorize: bool, stats: &serde_json::Value, held: QueryContext) -> Response {
    let parts = AnswerParts::new(answer, categorize, stats, &held.warnings());
    streamed(parts, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(answer: Answer, categorize: bool, warnings: &[String]) -> serde_json::Value {
        let mut parts = AnswerParts::new(answer, categorize, &serde_json::json!({"summary": {}}), warnings);
        let mut out = Vec::new();
        while parts.write_next(&mut out) {}
        serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
    }

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn streams() {
        let entry = |ns: i64, line: &str, metadata| Entry {
            timestamp_ns: ns,
            line: line.into(),
            metadata,
            parsed: LabelSet::default(),
        };
        let stream = |app: &str, entries| Stream { labels: set(&[("app", app)]), entries };
        let two = vec![entry(1, "a \"q\"", set(&[("t", "1")])), entry(2, "b", LabelSet::default())];
        let answer = Answer::Streams(vec![stream("x", two), stream("y", Vec::new())]);
        let json = printed(answer.clone(), false, &["w".to_owned()]);
        assert_eq!(json["warnings"], serde_json::json!(["w"]));
        assert_eq!(
            json["data"],
            serde_json::json!({"resultType": "streams", "stats": {"summary": {}}, "result": [
                {"stream": {"app": "x"}, "values": [["1", "a \"q\""], ["2", "b"]]},
                {"stream": {"app": "y"}, "values": []},
            ]})
        );
        let json = printed(answer, true, &[]);
        assert_eq!(json["data"]["encodingFlags"], serde_json::json!(["categorize-labels"]));
        let values = serde_json::json!([["1", "a \"q\"", {"structuredMetadata": {"t": "1"}}], ["2", "b", {}]]);
        assert_eq!(json["data"]["result"][0]["values"], values);
        let empty = printed(Answer::Streams(Vec::new()), false, &[]);
        assert_eq!(empty["data"]["result"], serde_json::json!([]));
    }

    #[test]
    fn numbers() {
        let series = |points| Series { labels: set(&[("a", "b")]), points };
        let vector = printed(Answer::Vector(vec![series(vec![(1_500_000_000, 2.0)])]), false, &[]);
        let expected = serde_json::json!([{"metric": {"a": "b"}, "value": [1.5, "2"]}]);
        assert_eq!(vector["data"]["result"], expected);
        let matrix = printed(Answer::Matrix(vec![series(vec![(0, 1.0), (1_000_000_000, 0.5)]); 2]), false, &[]);
        assert_eq!(matrix["data"]["result"][1]["values"], serde_json::json!([[0, "1"], [1, "0.5"]]));
        let scalar = printed(Answer::Scalar { time_ns: 0, value: 3.0 }, false, &[]);
        assert_eq!(scalar["data"]["result"], serde_json::json!([0, "3"]));
    }
}
