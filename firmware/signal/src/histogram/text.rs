//! Histograms as text: for people, and as literals of test scripts.

use super::{BUCKETS_MAX, Bucket, BucketSpan, NativeHistogram, ResetHint};
use std::fmt::{self, Display, Formatter, Write};

/// A number as `%g` of Go has it: the shortest digits that give it back, with an exponent below -4 and from 6 on.
struct Short(f64);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..6).contains(&exponent) {
            return write!(f, "{value}");
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{digits}e{sign}{:02}", exponent.abs())
    }
}

impl Display for Bucket {
    /// `[-2,-1):1`: bounds, square brackets where they are in the bucket, and the count.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", Short(self.lower), Short(self.upper), Short(self.count))
    }
}

impl Display for NativeHistogram {
    /// `{count:4, sum:2.5, [-2,-1):1, [-0.001,0.001]:1, (1,2]:2}`: buckets that have observations, ascending.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", Short(self.count), Short(self.sum))?;
        let buckets = self.negative_buckets().rev().chain([self.zero_bucket()]).chain(self.positive_buckets());
        for bucket in buckets.filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_char('}')
    }
}

impl NativeHistogram {
    /// The literal of Prometheus' test scripts, which is also what `count_values` puts into labels:
    /// `{{schema:1 count:3 sum:5 offset:1 buckets:[1 2]}}`.
    ///
    /// A literal writes every bucket from the first to the last. When one side's are further apart than
    /// [`BUCKETS_MAX`], so that there is no literal, the text of `Display` is returned.
    pub fn literal(&self) -> String {
        let mut out = Literal { text: "{{".to_owned() };
        let positive = single_run(&self.positive_spans, &self.positive_counts);
        let negative = single_run(&self.negative_spans, &self.negative_counts);
        let (Some(positive), Some(negative)) = (positive, negative) else { return self.to_string() };
        if self.schema != 0 {
            out.item("schema", self.schema);
        }
        let numbers = [
            ("count", self.count),
            ("sum", self.sum),
            ("z_bucket", self.zero_count),
            ("z_bucket_w", self.zero_threshold),
        ];
        for (key, value) in numbers {
            if value != 0.0 {
                out.item(key, Short(value));
            }
        }
        if self.has_custom_bounds() {
            out.item("custom_values", List(&self.custom_bounds));
        }
        match self.reset_hint {
            ResetHint::Unknown => {}
            ResetHint::Reset => out.item("counter_reset_hint", "reset"),
            ResetHint::NotReset => out.item("counter_reset_hint", "not_reset"),
            ResetHint::Gauge => out.item("counter_reset_hint", "gauge"),
        }
        out.side(["offset", "buckets"], &positive);
        out.side(["n_offset", "n_buckets"], &negative);
        out.text.push_str("}}");
        out.text
    }
}

struct List<'a>(&'a [f64]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (at, number) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { " " } else { "" }, Short(*number))?;
        }
        f.write_char(']')
    }
}

struct Literal {
    text: String,
}

impl Literal {
    fn item(&mut self, key: &str, value: impl Display) {
        let gap = if self.text.ends_with('{') { "" } else { " " };
        // Writing to a String does not fail.
        let _ = write!(self.text, "{gap}{key}:{value}");
    }

    fn side(&mut self, [offset, buckets]: [&str; 2], (first, counts): &(i64, Vec<f64>)) {
        if *first != 0 {
            self.item(offset, first);
        }
        if !counts.is_empty() {
            self.item(buckets, List(counts));
        }
    }
}

/// All buckets from the first populated one to the last: index of the first, and counts. `None` if too many.
fn single_run(spans: &[BucketSpan], counts: &[f64]) -> Option<(i64, Vec<f64>)> {
    let side = super::layout::Side { spans, counts, lost: &[] };
    let (mut first, mut run) = (0, Vec::new());
    for (index, count) in side.cells::<f64>().filter(|(_, c)| *c != 0.0) {
        if run.is_empty() {
            first = index;
        }
        let place = usize::try_from(index.checked_sub(first)?).ok()?;
        if place >= BUCKETS_MAX || place < run.len() {
            return None;
        }
        run.resize(place, 0.0);
        run.push(count);
    }
    Some((first, run))
}
