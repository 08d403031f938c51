//! `limit`, `sampling`: fewer lines.

use super::super::chain::{Context, Flow, Stage};
use super::super::config::{LimitConfig, SamplingConfig};
use super::super::entry::Entry;
use super::super::error::Fault;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Label values with a limit of their own, if nothing else is said.
const DISTINCT_MAX: usize = 10_000;
/// Most of them, whatever is said.
const DISTINCT_BOUND: usize = 100_000;
const SECOND_NS: f64 = 1e9;

/// Tokens that come in at a rate, up to a burst.
#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at_ns: i64,
}

struct Shared {
    rate: f64,
    burst: f64,
    drop: bool,
    by: Option<String>,
    distinct_max: usize,
    /// By value of the label; one of the empty value without a label. The limit is that of the pipeline: instances share it.
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// `limit`
#[derive(Clone)]
pub(in super::super) struct Limit(Arc<Shared>);

impl Limit {
    pub(in super::super) fn new(config: &LimitConfig) -> Result<Self, Fault> {
        if !(config.rate > 0.0 && config.rate.is_finite()) {
            return Err(Fault::of("rate", format!("must be a positive number: {}", config.rate)));
        }
        if config.burst == 0 {
            return Err(Fault::of("burst", "must be at least 1: 0"));
        }
        let by = config.by_label_name.clone().filter(|name| !name.is_empty());
        if by.is_some() && !config.drop {
            return Err(Fault::of(
                "by_label_name",
                "needs drop: true, for one source cannot wait for one of its labels",
            ));
        }
        let distinct_max = config.max_distinct_labels.filter(|n| *n > 0).unwrap_or(DISTINCT_MAX).min(DISTINCT_BOUND);
        let (rate, burst, drop) = (config.rate, f64::from(config.burst), config.drop);
        Ok(Limit(Arc::new(Shared { rate, burst, drop, by, distinct_max, buckets: Mutex::default() })))
    }
}

impl Stage for Limit {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let shared = &*self.0;
        let value = match &shared.by {
            Some(name) => match entry.labels.get(name) {
                Some(value) => value,
                // Only lines that have the label are limited.
                None => return Flow::On,
            },
            None => "",
        };
        let full = Bucket { tokens: shared.burst, at_ns: context.now_ns };
        let mut buckets = shared.buckets.lock();
        if !buckets.contains_key(value) {
            if buckets.len() >= shared.distinct_max {
                // Those that are full again forget nothing; if there are none, all begin anew.
                let refill = shared.burst / shared.rate * SECOND_NS;
                buckets.retain(|_, b| (context.now_ns.saturating_sub(b.at_ns) as f64) < refill);
                if buckets.len() >= shared.distinct_max {
                    buckets.clear();
                }
            }
            buckets.insert(value.to_owned(), full);
        }
        let Some(bucket) = buckets.get_mut(value) else { return Flow::On };
        let passed = context.now_ns.saturating_sub(bucket.at_ns).max(0) as f64 / SECOND_NS;
        bucket.tokens = (bucket.tokens + passed * shared.rate).min(shared.burst);
        bucket.at_ns = bucket.at_ns.max(context.now_ns);
        if bucket.tokens < 1.0 && shared.drop {
            return Flow::Dropped;
        }
        // A source that does not wait is not asked to wait for ever afterwards.
        bucket.tokens = (bucket.tokens - 1.0).max(-60.0 * shared.rate - 1.0);
        if bucket.tokens < 0.0 {
            let wait_ns = (-bucket.tokens / shared.rate * SECOND_NS) as i64;
            context.pause_ns = context.pause_ns.max(wait_ns);
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// `sampling`
pub(in super::super) struct Sampling {
    /// Kept if a number of 53 bits is below this.
    below: u64,
    state: u64,
}

/// Odd, and its multiples visit all numbers evenly.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Sampling {
    pub(in super::super) fn new(config: &SamplingConfig) -> Result<Self, Fault> {
        if !(0.0..=1.0).contains(&config.rate) {
            return Err(Fault::of("rate", format!("must be between 0 and 1: {}", config.rate)));
        }
        Ok(Sampling { below: (config.rate * (1u64 << 53) as f64) as u64, state: 0 })
    }
}

impl Stage for Sampling {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        // Time and place of a line stir the sequence, so that instances differ.
        self.state = self.state.wrapping_add(STEP) ^ (context.now_ns as u64) ^ entry.mark.rotate_left(32);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if mixed >> 11 < self.below { Flow::On } else { Flow::Dropped }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Sampling { below: self.below, state: self.state ^ STEP })
    }
}
