//! VictoriaMetrics' lines of JSON: one series each, with its values and times in two arrays.
//!
//! ```text
//! {"metric":{"__name__":"up","job":"a"},"values":[1,0.5,null],"timestamps":[1000,2000,3000]}
//! ```
//!
//! `null` is the staleness marker, in both directions: it is what VictoriaMetrics writes for it. An ordinary NaN is
//! `"NaN"`, infinities are `"Infinity"` and `"-Infinity"`, also `"Inf"` and `"+Inf"` when reading.
//!
//! Source: <https://docs.victoriametrics.com/#json-line-format>.

use crate::label_set::LabelSet;
use crate::{Decoded, Limits, RejectReason};
use bramble_signal::{METRIC_NAME, MetricBatch, SeriesSamples, is_histogram_marker, is_stale_marker, stale_marker};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::io::Write;

/// Reads lines; keeps its scratch memory from one to the next.
#[derive(Clone, Default, Debug)]
pub struct LineDecoder {
    limits: Limits,
    labels: LabelSet,
    values: Vec<f64>,
    timestamps_ms: Vec<i64>,
}

impl LineDecoder {
    /// A decoder that holds series to `limits`.
    pub fn new(limits: Limits) -> Self {
        LineDecoder { limits, ..Default::default() }
    }

    /// Takes one line into `decoded`; `extra` labels win over the line's. A blank line is nothing.
    ///
    /// Memory beside the batch: 16 bytes per value. The batch grows by as much and the labels.
    ///
    /// # Errors
    /// Why the line is none; `decoded` is unchanged then but for the count of a series over a limit, which is
    /// rejected with its samples.
    pub fn line(
        &mut self,
        line: &[u8],
        extra: &[(String, String)],
        decoded: &mut Decoded<MetricBatch>,
    ) -> Result<(), String> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.labels.clear();
        self.values.clear();
        self.timestamps_ms.clear();
        let mut reader = serde_json::Deserializer::from_slice(line);
        let read = LineSeed(self).deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|error| {
            let text = error.to_string();
            // The reader knows one line, the caller which.
            let message = text.split(" at line ").next().unwrap_or_default();
            format!("column {}: {message}", error.column())
        })?;
        if self.values.len() != self.timestamps_ms.len() {
            return Err(format!("{} values, but {} timestamps", self.values.len(), self.timestamps_ms.len()));
        }
        let own = std::mem::take(&mut self.labels);
        for (name, value) in own.iter().filter(|(name, _)| !extra.iter().any(|(n, _)| n == name)) {
            self.labels.push(name, value);
        }
        for (name, value) in extra {
            self.labels.push(name, value);
        }
        let named = self.labels.iter().any(|(name, value)| name == METRIC_NAME && !value.is_empty());
        let count = self.values.len() as u64;
        let checked = match named {
            true => self.labels.check(&self.limits, self.limits.series_labels_max),
            false => Err(RejectReason::MissingName),
        };
        match checked.and_then(|()| self.labels.encode_unique()) {
            Ok(labels) if count > 0 => decoded.batch.start_series_encoded(labels),
            Ok(_) => {}
            Err(reason) => {
                decoded.rejected.add(reason, count.max(1), String::new);
                return Err(reason.describe().to_owned());
            }
        }
        for (timestamp_ms, value) in self.timestamps_ms.iter().zip(&self.values) {
            decoded.batch.push_sample(*timestamp_ms, *value);
        }
        Ok(())
    }
}

struct LineSeed<'d>(&'d mut LineDecoder);

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with metric, values and timestamps")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = [false; 3];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "metric" => map.next_value_seed(LabelsSeed(&mut self.0.labels))?,
                "values" => map.next_value_seed(ValuesSeed(&mut self.0.values))?,
                "timestamps" => map.next_value_seed(TimesSeed(&mut self.0.timestamps_ms))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            let place = ["metric", "values", "timestamps"].iter().position(|known| **known == *key);
            if let Some(seen) = place.and_then(|at| seen.get_mut(at))
                && std::mem::replace(seen, true)
            {
                return Err(A::Error::custom(format!("{key} is there twice")));
            }
        }
        let missing = ["metric", "values", "timestamps"].iter().zip(seen).find(|(_, seen)| !seen);
        missing.map_or(Ok(()), |(name, _)| Err(A::Error::custom(format!("{name} is missing"))))
    }
}

struct LabelsSeed<'d>(&'d mut LabelSet);

impl<'de> DeserializeSeed<'de> for LabelsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LabelsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, Cow<'de, str>>()? {
            self.0.push(&name, &value);
        }
        Ok(())
    }
}

struct ValuesSeed<'d>(&'d mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for ValuesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ValuesSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Number(value)) = seq.next_element()? {
            self.0.push(value);
        }
        Ok(())
    }
}

/// A number, null, or a word for one.
struct Number(f64);

impl<'de> serde::Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, null, \"NaN\" or \"Infinity\"")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_unit<E: Error>(self) -> Result<Number, E> {
                Ok(Number(stale_marker()))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Number, E> {
                let is = |known: &[&str]| known.iter().any(|k| word.eq_ignore_ascii_case(k));
                match word {
                    _ if is(&["null"]) => Ok(Number(stale_marker())),
                    _ if is(&["nan"]) => Ok(Number(f64::NAN)),
                    _ if is(&["inf", "+inf", "infinity", "+infinity"]) => Ok(Number(f64::INFINITY)),
                    _ if is(&["-inf", "-infinity"]) => Ok(Number(f64::NEG_INFINITY)),
                    _ => Err(E::custom(format!("{word:.40?} is no number"))),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

struct TimesSeed<'d>(&'d mut Vec<i64>);

impl<'de> DeserializeSeed<'de> for TimesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for TimesSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of milliseconds")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(timestamp_ms) = seq.next_element()? {
            self.0.push(timestamp_ms);
        }
        Ok(())
    }
}

/// Appends lines for a series, of at most `rows_max` values each. Native histograms have no form here and are left
/// out; returns how many.
pub fn write_lines(series: &SeriesSamples, rows_max: usize, out: &mut Vec<u8>) -> u64 {
    let is_told = |value: &f64| !is_histogram_marker(*value);
    let told = series.values.iter().filter(|value| is_told(value)).count();
    let mut samples = series.timestamps_ms.iter().zip(&series.values).filter(|(_, value)| is_told(value));
    let mut left = told;
    while left > 0 {
        let rows = left.min(rows_max.max(1));
        out.extend_from_slice(b"{\"metric\":{");
        for (at, (name, value)) in series.labels.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            push_json_text(name, out);
            out.push(b':');
            push_json_text(value, out);
        }
        out.extend_from_slice(b"},\"values\":[");
        // Values first and times after them: one pass for each.
        let mut times = samples.clone();
        for at in 0..rows {
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            if let Some((_, value)) = samples.next() {
                push_json_number(*value, out);
            }
        }
        out.extend_from_slice(b"],\"timestamps\":[");
        for at in 0..rows {
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            if let Some((timestamp_ms, _)) = times.next() {
                // Writing to a vector cannot fail.
                let _ = write!(out, "{timestamp_ms}");
            }
        }
        out.extend_from_slice(b"]}\n");
        left -= rows;
    }
    (series.values.len() - told) as u64
}

fn push_json_text(text: &str, out: &mut Vec<u8>) {
    // Writing text to a vector cannot fail.
    let _ = serde_json::to_writer(&mut *out, text);
}

fn push_json_number(value: f64, out: &mut Vec<u8>) {
    // The shortest digits that read back; serde_json and others read the exponent form too.
    let _ = match value {
        v if is_stale_marker(v) => out.write_all(b"null"),
        v if v.is_nan() => out.write_all(b"\"NaN\""),
        v if v == f64::INFINITY => out.write_all(b"\"Infinity\""),
        v if v == f64::NEG_INFINITY => out.write_all(b"\"-Infinity\""),
        v if v != 0.0 && !(1e-6..1e17).contains(&v.abs()) => write!(out, "{v:e}"),
        v => write!(out, "{v}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;
    use proptest::prelude::*;

    fn decode(text: &str) -> Result<Decoded<MetricBatch>, String> {
        let (mut decoder, mut decoded) = (LineDecoder::new(Limits::default()), Decoded::default());
        decoder.line(text.as_bytes(), &[("dc".to_owned(), "x".to_owned())], &mut decoded)?;
        Ok(decoded)
    }

    #[test]
    fn a_line_is_a_series() {
        let text = r#"{"metric":{"__name__":"up","job":"a","dc":"y"},"values":[1,-2.5e3,null,"Infinity","-inf","NaN"],
            "timestamps":[1,2,3,4,5,6],"more":{"is":"ignored"}}"#;
        let decoded = decode(text).unwrap();
        let (labels, samples) = decoded.batch.series(0);
        assert_eq!(labels.to_string(), r#"{__name__="up", dc="x", job="a"}"#);
        let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
        assert_eq!(values[..2], [1.0, -2500.0]);
        assert_eq!(values[3..5], [f64::INFINITY, f64::NEG_INFINITY]);
        assert!(is_stale_marker(values[2]) && values[5].is_nan() && !is_stale_marker(values[5]));
        assert!(decode(" \t").unwrap().batch.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            (r#"{"metric":{"__name__":"a"},"values":[1,2],"timestamps":[1]}"#, "2 values, but 1 timestamps"),
            (r#"{"metric":{"__name__":"a"},"values":[1]}"#, "timestamps is missing"),
            (r#"{"metric":{"job":"a"},"values":[1],"timestamps":[1]}"#, "metric has no name"),
            (r#"{"metric":{"__name__":"a","b":"1","b":"2"},"values":[1],"timestamps":[1]}"#, "same label name twice"),
            (r#"{"metric":{"__name__":"a"},"values":["x"],"timestamps":[1]}"#, "is no number"),
            (r#"{"metric":{"__name__":"a"},"values":[1],"timestamps":[1.5]}"#, "invalid type"),
            (r#"{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]} x"#, "trailing"),
            (r#"{"metric":{"__name__":"a"},"values":[1],"values":[1],"timestamps":[1]}"#, "values is there twice"),
            ("[]", "invalid type"),
        ] {
            let error = decode(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn lines_read_back(
            values in prop::collection::vec(prop_oneof![prop::num::f64::ANY, Just(stale_marker())], 0..60),
            rows_max in 1usize..20,
            name in "[a-z\"\\\\\n\u{e4}]{1,8}",
        ) {
            let labels = Labels::from_pairs([("__name__", name.as_str()), ("dc", "x")]);
            let values: Vec<f64> = values.into_iter().map(bramble_signal::histogram::without_marker).collect();
            let timestamps_ms = (0..values.len() as i64).collect();
            let series = SeriesSamples { labels: labels.clone(), timestamps_ms, values, ..Default::default() };
            let mut out = Vec::new();
            prop_assert_eq!(write_lines(&series, rows_max, &mut out), 0);
            let mut read = Vec::new();
            for line in String::from_utf8(out).unwrap().lines() {
                let decoded = decode(line).unwrap();
                prop_assert_eq!(decoded.batch.series(0).0.to_labels(), labels.clone());
                prop_assert!(decoded.batch.sample_count() <= rows_max);
                read.extend(decoded.batch.series(0).1.to_vec());
            }
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan() && !is_stale_marker(a) && !is_stale_marker(b));
            prop_assert!(read.iter().zip(&series.values).all(|(a, b)| same(a.value, *b)), "{:?}", read);
            prop_assert!(read.iter().map(|s| s.timestamp_ms).eq(series.timestamps_ms.iter().copied()));
        }
    }
}
