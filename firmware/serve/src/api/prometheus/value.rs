//! Results of queries as JSON, series by series.

use crate::api::stream::Parts;
use bramble_query_promql::{Answer, Value, format_value};
use bramble_signal::{Labels, NativeHistogram, SeriesSamples, is_histogram_marker};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};
use std::fmt;

/// Labels as a JSON object.
pub(super) struct LabelsJson<'a>(pub(super) &'a Labels);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Milliseconds as JSON seconds with at most three decimals.
pub(super) struct Seconds(pub(super) i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            serializer.serialize_i64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

/// A number as a text: shortest digits that give the same number, with an exponent where Prometheus' JSON has one.
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, size) = (self.0, self.0.abs());
        if !value.is_finite() {
            return f.write_str(&format_value(value));
        }
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            return write!(f, "{value}");
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        // Go says the sign, and at least two digits.
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        write!(f, "{digits}e{sign}{exponent:0>2}")
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Without a text of its own for each number.
        serializer.collect_str(self)
    }
}

/// `count`, `sum` and the buckets that are not empty.
struct HistogramJson<'a>(&'a NativeHistogram);

impl Serialize for HistogramJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let histogram = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("count", &Number(histogram.count))?;
        map.serialize_entry("sum", &Number(histogram.sum))?;
        let filled = histogram.buckets().filter(|b| b.count != 0.0);
        let shown: Vec<_> =
            filled.map(|b| (b.boundaries(), Number(b.lower), Number(b.upper), Number(b.count))).collect();
        if !shown.is_empty() {
            map.serialize_entry("buckets", &shown)?;
        }
        map.end()
    }
}

/// `[seconds, value]`, the value a number as text or a histogram.
struct Point<T>(i64, T);

impl<T: Serialize> Serialize for Point<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&Seconds(self.0))?;
        pair.serialize_element(&self.1)?;
        pair.end()
    }
}

/// A series of a vector (`value` or `histogram`) or of a matrix (`values` and `histograms`, each if there are any).
struct SeriesJson<'a> {
    series: &'a SeriesSamples,
    instant: bool,
}

impl Serialize for SeriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = self.series;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("metric", &LabelsJson(&series.labels))?;
        if self.instant {
            if let (Some(time_ms), Some(value)) = (series.timestamps_ms.first(), series.values.first()) {
                match series.histogram(*value) {
                    Some(h) => map.serialize_entry("histogram", &Point(*time_ms, HistogramJson(h)))?,
                    None => map.serialize_entry("value", &Point(*time_ms, Number(*value)))?,
                }
            }
            return map.end();
        }
        if series.histograms.is_empty() || series.values.iter().any(|v| !is_histogram_marker(*v)) {
            map.serialize_entry("values", &Floats(series))?;
        }
        if !series.histograms.is_empty() {
            map.serialize_entry("histograms", &Histograms(series))?;
        }
        map.end()
    }
}

struct Floats<'a>(&'a SeriesSamples);

impl Serialize for Floats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for (time_ms, value) in self.0.timestamps_ms.iter().zip(&self.0.values) {
            if !is_histogram_marker(*value) {
                seq.serialize_element(&Point(*time_ms, Number(*value)))?;
            }
        }
        seq.end()
    }
}

struct Histograms<'a>(&'a SeriesSamples);

impl Serialize for Histograms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for (time_ms, value) in self.0.timestamps_ms.iter().zip(&self.0.values) {
            if let Some(histogram) = self.0.histogram(*value) {
                seq.serialize_element(&Point(*time_ms, HistogramJson(histogram)))?;
            }
        }
        seq.end()
    }
}

/// An answer on its way out: the envelope, one part per series, and the end with statistics and notes.
pub(super) struct AnswerParts {
    series: std::vec::IntoIter<SeriesSamples>,
    instant: bool,
    /// Envelope and beginning of `data`, until written.
    head: Option<Vec<u8>>,
    first: bool,
    /// End of `data` and of the envelope.
    tail: Vec<u8>,
}

impl AnswerParts {
    /// `stats` is the JSON of the query's statistics, if asked for.
    pub(super) fn new(answer: Answer, stats: Option<serde_json::Value>) -> Self {
        let mut head = br#"{"status":"success","data":{"resultType":"#.to_vec();
        let (mut series, mut instant, mut tail) = (Vec::new(), false, Vec::new());
        match answer.value {
            Value::Scalar { time_ms, value } => {
                head.extend_from_slice(br#""scalar","result":"#);
                // A scalar never has an exponent.
                write(&mut head, &Point(time_ms, format_value(value)));
            }
            Value::String { time_ms, value } => {
                head.extend_from_slice(br#""string","result":"#);
                write(&mut head, &Point(time_ms, value));
            }
            Value::Vector(vector) => {
                head.extend_from_slice(br#""vector","result":["#);
                (series, instant) = (vector, true);
                tail.push(b']');
            }
            Value::Matrix(matrix) => {
                head.extend_from_slice(br#""matrix","result":["#);
                series = matrix;
                tail.push(b']');
            }
        }
        if let Some(stats) = stats {
            tail.extend_from_slice(br#","stats":"#);
            write(&mut tail, &stats);
        }
        tail.push(b'}');
        for (name, notes) in [("warnings", &answer.warnings), ("infos", &answer.infos)] {
            if !notes.is_empty() {
                tail.extend_from_slice(format!(",\"{name}\":").as_bytes());
                write(&mut tail, notes);
            }
        }
        tail.push(b'}');
        AnswerParts { series: series.into_iter(), instant, head: Some(head), first: true, tail }
    }
}

/// Texts, numbers and sequences of them always print.
fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let printed = serde_json::to_writer(out, value);
    debug_assert!(printed.is_ok(), "{printed:?}");
}

impl Parts for AnswerParts {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(&head);
        }
        match self.series.next() {
            Some(series) => {
                if !std::mem::take(&mut self.first) {
                    out.push(b',');
                }
                write(out, &SeriesJson { series: &series, instant: self.instant });
                true
            }
            None => {
                out.append(&mut self.tail);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_query_promql::SampleStats;
    use bramble_signal::histogram::BucketSpan;
    use bramble_signal::{Sample, histogram_marker};

    fn printed(value: Value, stats: Option<serde_json::Value>) -> String {
        let (warnings, infos) = (vec!["w".to_owned()], Vec::new());
        let mut parts = AnswerParts::new(Answer { value, warnings, infos, stats: SampleStats::default() }, stats);
        let mut out = Vec::new();
        while parts.write_next(&mut out) {}
        String::from_utf8(out).unwrap()
    }

    fn mixed() -> SeriesSamples {
        let histogram = NativeHistogram {
            count: 5.0,
            sum: f64::NEG_INFINITY,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_counts: vec![2.0, 0.0, 3.0],
            ..NativeHistogram::default()
        };
        let mut series = SeriesSamples { labels: Labels::from_pairs([("a", "\"b\"")]), ..SeriesSamples::default() };
        series.push(Sample { timestamp_ms: 1000, value: f64::NAN }, &[]);
        series.push(Sample { timestamp_ms: 1500, value: histogram_marker(0) }, &[histogram]);
        series
    }

    const HISTOGRAM: &str = r#"[1.5,{"count":"5","sum":"-Inf","buckets":[[0,"0.5","1","2"],[0,"2","4","3"]]}]"#;

    #[test]
    fn numbers_and_histograms_of_a_series_stand_apart() {
        let text = printed(Value::Matrix(vec![mixed()]), None);
        let series = format!(r#"{{"metric":{{"a":"\"b\""}},"values":[[1,"NaN"]],"histograms":[{HISTOGRAM}]}}"#);
        let expected =
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}},"warnings":["w"]}}"#);
        assert_eq!(text, expected);
    }

    #[test]
    fn an_instant_has_one_or_the_other() {
        let mut series = mixed();
        (series.timestamps_ms, series.values) = (vec![1500], vec![histogram_marker(0)]);
        let number = SeriesSamples { timestamps_ms: vec![0], values: vec![-0.0], ..SeriesSamples::default() };
        let text = printed(Value::Vector(vec![series, number]), Some(serde_json::json!({"x": 1})));
        let (first, second) =
            (format!(r#"{{"metric":{{"a":"\"b\""}},"histogram":{HISTOGRAM}}}"#), r#"{"metric":{},"value":[0,"-0"]}"#);
        assert!(text.contains(&format!(r#""result":[{first},{second}],"stats":{{"x":1}}}},"warnings""#)), "{text}");
    }

    #[test]
    fn numbers_as_go_prints_them() {
        for (value, text) in [
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (1e20, "100000000000000000000"),
            (-1e21, "-1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(Number(value).to_string(), text);
        }
    }

    #[test]
    fn results_without_series() {
        let start = r#"{"status":"success","data":{"resultType":"#;
        let scalar = printed(Value::Scalar { time_ms: 4000, value: 2.0 }, None);
        assert_eq!(scalar, format!(r#"{start}"scalar","result":[4,"2"]}},"warnings":["w"]}}"#));
        let empty = printed(Value::Vector(Vec::new()), None);
        assert_eq!(empty, format!(r#"{start}"vector","result":[]}},"warnings":["w"]}}"#));
    }
}
