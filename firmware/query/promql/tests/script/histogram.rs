//! Histogram literals: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`.

use bramble_signal::{BucketSpan, NativeHistogram, ResetHint};

/// A histogram and whether its literal says what is known of a reset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    pub histogram: NativeHistogram,
    pub says_hint: bool,
}

fn list(text: &str) -> Vec<f64> {
    text.trim_matches(['[', ']']).split_whitespace().map(|n| super::number(n).unwrap()).collect()
}

/// `key:value` pairs; values in brackets hold blanks.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while let Some((key, tail)) = rest.split_once(':') {
        let end = match tail.starts_with('[') {
            true => tail.find(']').unwrap() + 1,
            false => tail.find(char::is_whitespace).unwrap_or(tail.len()),
        };
        out.push((key.trim(), &tail[..end]));
        rest = tail[end..].trim_start();
    }
    out
}

/// Reads a literal, braces included.
pub(crate) fn parse(text: &str) -> Literal {
    let inside = text.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).unwrap_or_else(|| panic!("{text}"));
    let mut h = NativeHistogram::default();
    let (mut offset, mut negative_offset, mut says_hint) = (0, 0, false);
    for (key, value) in pairs(inside) {
        let number = || super::number(value).unwrap_or_else(|| panic!("{text}"));
        match key {
            "schema" => h.schema = number() as i8,
            "sum" => h.sum = number(),
            "count" => h.count = number(),
            "z_bucket" => h.zero_count = number(),
            "z_bucket_w" => h.zero_threshold = number(),
            "buckets" => h.positive_counts = list(value),
            "n_buckets" => h.negative_counts = list(value),
            "offset" => offset = number() as i32,
            "n_offset" => negative_offset = number() as i32,
            "custom_values" => h.custom_bounds = list(value),
            "counter_reset_hint" => {
                says_hint = true;
                h.reset_hint = match value {
                    "unknown" => ResetHint::Unknown,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    "gauge" => ResetHint::Gauge,
                    other => panic!("hint {other}"),
                };
            }
            other => panic!("{other} in {text}"),
        }
    }
    let spans = |offset, counts: &[f64]| match counts.len() {
        0 => Vec::new(),
        length => vec![BucketSpan { offset, length: length as u32 }],
    };
    h.positive_spans = spans(offset, &h.positive_counts);
    h.negative_spans = spans(negative_offset, &h.negative_counts);
    Literal { histogram: h, says_hint }
}

/// Buckets that are not empty, by index.
fn filled(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i64, f64)> {
    let (mut index, mut counts, mut out) = (0, counts.iter(), Vec::new());
    for span in spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            let count = *counts.next().unwrap();
            if count != 0.0 {
                out.push((index, count));
            }
            index += 1;
        }
    }
    out
}

/// Whether two histograms say the same, but for empty buckets and rounding.
pub(crate) fn same(wanted: &Literal, got: &NativeHistogram) -> bool {
    let w = &wanted.histogram;
    let equal = super::almost_equal;
    let sides = |a: (&[BucketSpan], &[f64]), b: (&[BucketSpan], &[f64])| {
        let (a, b) = (filled(a.0, a.1), filled(b.0, b.1));
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && equal(a.1, b.1))
    };
    w.schema == got.schema
        && equal(w.count, got.count)
        && equal(w.sum, got.sum)
        && w.zero_threshold == got.zero_threshold
        && equal(w.zero_count, got.zero_count)
        && w.custom_bounds == got.custom_bounds
        && sides((&w.positive_spans, &w.positive_counts), (&got.positive_spans, &got.positive_counts))
        && sides((&w.negative_spans, &w.negative_counts), (&got.negative_spans, &got.negative_counts))
        && (!wanted.says_hint || w.reset_hint == got.reset_hint)
}
