//! What makes the samples of one classic histogram whole.

/// One group of a histogram or gauge histogram, sample by sample.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct HistogramRules {
    group: Option<u64>,
    /// Bound and value of the last bucket.
    bucket: Option<(f64, f64)>,
    count: Option<f64>,
    has_sum: bool,
    has_gauge_sum: bool,
    has_negative_bound: bool,
    has_negative_gauge_sum: bool,
}

type Judged = Result<(), &'static str>;

impl HistogramRules {
    /// Takes a sample of the group that `group` is a hash of.
    pub(super) fn sample(&mut self, group: u64, suffix: &str, bound: Option<f64>, value: f64) -> Judged {
        if self.group != Some(group) {
            self.finish()?;
            *self = HistogramRules { group: Some(group), ..Default::default() };
        }
        match (suffix, bound) {
            ("_bucket", Some(bound)) => {
                if let Some((last_bound, last_value)) = self.bucket {
                    if bound <= last_bound {
                        return Err("buckets are not in the order of their bounds");
                    }
                    if value < last_value {
                        return Err("a bucket holds less than the one before");
                    }
                }
                self.has_negative_bound |= bound < 0.0;
                self.bucket = Some((bound, value));
            }
            ("_count" | "_gcount", _) => self.count = Some(value),
            ("_sum", _) => self.has_sum = true,
            ("_gsum", _) => {
                self.has_gauge_sum = true;
                self.has_negative_gauge_sum = value < 0.0;
            }
            _ => {}
        }
        Ok(())
    }

    /// Judges the group that is over.
    pub(super) fn finish(&mut self) -> Judged {
        if self.group.is_none() {
            return Ok(());
        }
        let any_sum = self.has_sum || self.has_gauge_sum;
        match (self.bucket, self.count) {
            (None, _) => Err("a histogram without buckets"),
            (Some((bound, _)), _) if bound != f64::INFINITY => Err("a histogram without a +Inf bucket"),
            (Some((_, value)), Some(count)) if value != count => Err("a histogram's count is not its +Inf bucket"),
            (_, None) if any_sum => Err("a histogram with a sum and without a count"),
            (_, Some(_)) if !any_sum => Err("a histogram with a count and without a sum"),
            _ if self.has_negative_bound && self.has_sum => Err("a histogram with negative bounds and a sum"),
            _ if !self.has_negative_bound && self.has_negative_gauge_sum => {
                Err("a gauge histogram with a negative sum and without negative bounds")
            }
            _ => Ok(()),
        }
    }
}
