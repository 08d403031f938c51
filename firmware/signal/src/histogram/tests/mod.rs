//! Worked figures, and what must hold for all histograms.

mod figures;
mod laws;
mod trims;

use super::*;

/// Reads a literal of test scripts, e.g. `{{schema:1 count:3 sum:5 offset:1 buckets:[1 2]}}`.
fn histogram(literal: &str) -> NativeHistogram {
    let inner = literal.trim().trim_start_matches("{{").trim_end_matches("}}");
    let mut histogram = NativeHistogram::default();
    let (mut offset, mut n_offset) = (0, 0);
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').unwrap();
        let (value, next) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').unwrap(),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        let number = || value.parse::<f64>().unwrap();
        let list = || value.split_whitespace().map(|n| n.parse::<f64>().unwrap()).collect::<Vec<_>>();
        match key {
            "schema" => histogram.schema = value.parse().unwrap(),
            "count" => histogram.count = number(),
            "sum" => histogram.sum = number(),
            "z_bucket" => histogram.zero_count = number(),
            "z_bucket_w" => histogram.zero_threshold = number(),
            "offset" => offset = value.parse().unwrap(),
            "n_offset" => n_offset = value.parse().unwrap(),
            "buckets" => histogram.positive_counts = list(),
            "n_buckets" => histogram.negative_counts = list(),
            "custom_values" => histogram.custom_bounds = list(),
            "counter_reset_hint" => {
                histogram.reset_hint = match value {
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    _ => ResetHint::Gauge,
                }
            }
            _ => panic!("unknown key {key}"),
        }
        rest = next.trim();
    }
    let span = |offset, counts: &[f64]| match counts.len() {
        0 => Vec::new(),
        length => vec![BucketSpan { offset, length: length as u32 }],
    };
    histogram.positive_spans = span(offset, &histogram.positive_counts);
    histogram.negative_spans = span(n_offset, &histogram.negative_counts);
    histogram
}

/// Compares literals, so that a failure is readable.
#[track_caller]
fn same(found: &NativeHistogram, expected: &str) {
    assert_eq!(found.literal(), histogram(expected).literal());
}
