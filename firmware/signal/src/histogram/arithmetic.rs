//! Adding and subtracting.
//!
//! Two histograms meet in the layout that both can be brought to: the lower resolution, the wider zero bucket
//! ([`super::zero`]), the bounds they share. No bucket's observations are lost by it, only told apart less. Rules are
//! those of Prometheus' PromQL engine.
//!
//! ```
//! # use bramble_signal::NativeHistogram;
//! # let (mut a, b) = (NativeHistogram::default(), NativeHistogram::default());
//! let notes = a.add(&b)?;
//! if notes.reset_hint_collision { /* warn */ }
//! # Ok::<(), bramble_signal::histogram::Incompatible>(())
//! ```

use super::amount::{Amount, Compensated};
use super::bounds::exponential_bound;
use super::layout::{Moved, Runs, Side, add_within, coarser, merge};
use super::zero::{outside, zero_within};
use super::{BucketSpan, NativeHistogram, ResetHint};

/// What a caller may want to tell of an addition or subtraction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notes {
    /// One was said to be reset, the other not to be: the result's hint is unknown.
    pub reset_hint_collision: bool,
    /// Custom bounds differed: the result has those that both have.
    pub bounds_reconciled: bool,
}

/// One histogram has exponential, the other custom bounds: no layout holds both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub struct Incompatible;

/// What `+=` needs of the other histogram's side, next to the side itself.
#[derive(Clone, Copy)]
struct Reach {
    /// Schema of its buckets.
    schema: i8,
    /// How much coarser the sum's schema is.
    steps: u32,
    /// Its buckets up to here are in its zero bucket already.
    swallowed: f64,
    negate: bool,
}

impl NativeHistogram {
    /// Adds `other`. Takes time in proportion to the buckets of both; allocates only when `other` has buckets that
    /// `self` lacks, or layouts differ.
    ///
    /// # Errors
    /// [`Incompatible`], with nothing changed.
    pub fn add(&mut self, other: &Self) -> Result<Notes, Incompatible> {
        self.combine::<f64>(None, other, false)
    }

    /// Subtracts `other`; counts may become negative. The hint becomes what [`NativeHistogram::add`] would make it: a
    /// caller that subtracts counters sets it to [`ResetHint::Gauge`].
    ///
    /// # Errors
    /// [`Incompatible`], with nothing changed.
    pub fn sub(&mut self, other: &Self) -> Result<Notes, Incompatible> {
        self.combine::<f64>(None, other, true)
    }

    /// Adds `other`, and to `compensation` what rounding loses (Kahan's method, Neumaier's form).
    ///
    /// `compensation`: `None` at first, later what the call before left there; it has the layout of `self`. It is scaled
    /// along with `self`, and at the end added: `sum.add(&compensation)`.
    ///
    /// # Errors
    /// [`Incompatible`], with nothing changed.
    pub fn kahan_add(&mut self, other: &Self, compensation: &mut Option<Self>) -> Result<Notes, Incompatible> {
        if self.has_custom_bounds() != other.has_custom_bounds() {
            return Err(Incompatible);
        }
        let lost = compensation.get_or_insert_with(|| self.compensation());
        self.combine::<Compensated>(Some(lost), other, false)
    }

    /// A histogram of the same layout with nothing in it.
    fn compensation(&self) -> Self {
        Self {
            schema: self.schema,
            reset_hint: self.reset_hint,
            zero_threshold: self.zero_threshold,
            positive_spans: self.positive_spans.clone(),
            positive_counts: vec![0.0; self.positive_counts.len()],
            negative_spans: self.negative_spans.clone(),
            negative_counts: vec![0.0; self.negative_counts.len()],
            custom_bounds: self.custom_bounds.clone(),
            ..Self::default()
        }
    }

    fn combine<V: Amount>(
        &mut self,
        lost: Option<&mut Self>,
        other: &Self,
        negate: bool,
    ) -> Result<Notes, Incompatible> {
        if self.has_custom_bounds() != other.has_custom_bounds() {
            return Err(Incompatible);
        }
        let mut nothing = Self::default();
        let lost = lost.unwrap_or(&mut nothing);
        let reset_hint_collision = self.combine_hints(other.reset_hint);
        (self.count, lost.count) = total::<V>((self.count, lost.count), signed(V::of(other.count, 0.0), negate));
        (self.sum, lost.sum) = total::<V>((self.sum, lost.sum), signed(V::of(other.sum, 0.0), negate));
        let mut bounds_reconciled = false;
        if self.has_custom_bounds() {
            bounds_reconciled = !self.same_bounds(other);
            if bounds_reconciled {
                self.combine_mapped::<V>(lost, other, negate);
            } else {
                self.combine_sides::<V>(
                    lost,
                    other,
                    Reach { schema: self.schema, steps: 0, swallowed: f64::NEG_INFINITY, negate },
                );
            }
        } else {
            let swallowed = self.combine_zero::<V>(lost, other, negate);
            if other.schema < self.schema {
                self.reduce_compensated::<V>(lost, other.schema);
            }
            let steps = u32::from(other.schema.abs_diff(self.schema));
            self.combine_sides::<V>(lost, other, Reach { schema: other.schema, steps, swallowed, negate });
        }
        if V::COMPENSATED {
            lost.take_layout(self);
        }
        Ok(Notes { reset_hint_collision, bounds_reconciled })
    }

    /// Says whether hints collide.
    fn combine_hints(&mut self, other: ResetHint) -> bool {
        use ResetHint::{Gauge, Unknown};
        let (hint, collide) = match (self.reset_hint, other) {
            (a, b) if a == b => (a, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            _ => (Unknown, true),
        };
        self.reset_hint = hint;
        collide
    }

    /// Brings the zero bucket to the width that both can have, and adds the other's. Returns up to where the other's
    /// buckets were swallowed, as threshold.
    fn combine_zero<V: Amount>(&mut self, lost: &mut Self, other: &Self, negate: bool) -> f64 {
        let threshold = self.common_threshold(other);
        let mut zero = V::of(self.zero_count, lost.zero_count);
        if self.zero_threshold < threshold {
            let sides = [
                Side { lost: &lost.positive_counts, ..self.positive() },
                Side { lost: &lost.negative_counts, ..self.negative() },
            ];
            zero = zero_within(sides, self.schema, threshold, zero);
            let [positive, negative] = sides.map(|side| outside::<V>(side, self.schema, threshold));
            self.take_sides(lost, positive, negative);
            self.zero_threshold = threshold;
        }
        let mut others = V::of(other.zero_count, 0.0);
        let mut swallowed = f64::NEG_INFINITY;
        if other.zero_threshold < threshold {
            others = zero_within([other.positive(), other.negative()], other.schema, threshold, others);
            swallowed = threshold;
        }
        let zero = zero.plus(signed(others, negate));
        (self.zero_count, lost.zero_count) = (zero.sum(), zero.lost());
        swallowed
    }

    fn reduce_compensated<V: Amount>(&mut self, lost: &mut Self, schema: i8) {
        let steps = u32::from(self.schema.abs_diff(schema));
        let reduced =
            |side: Side<'_>| Runs::collect(side.counts.len(), Moved::new(side.cells::<V>(), |i| coarser(i, steps)));
        let positive = reduced(Side { lost: &lost.positive_counts, ..self.positive() });
        let negative = reduced(Side { lost: &lost.negative_counts, ..self.negative() });
        self.take_sides(lost, positive, negative);
        self.schema = schema;
    }

    fn take_sides(&mut self, lost: &mut Self, mut positive: Runs, mut negative: Runs) {
        lost.positive_counts = std::mem::take(&mut positive.lost);
        lost.negative_counts = std::mem::take(&mut negative.lost);
        self.set_positive(positive);
        self.set_negative(negative);
    }

    fn combine_sides<V: Amount>(&mut self, lost: &mut Self, other: &Self, reach: Reach) {
        if self.adds_in_place(other, reach) {
            add_straight::<V>(
                &mut self.positive_counts,
                &mut lost.positive_counts,
                &other.positive_counts,
                reach.negate,
            );
            add_straight::<V>(
                &mut self.negative_counts,
                &mut lost.negative_counts,
                &other.negative_counts,
                reach.negate,
            );
            return;
        }
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let exponential = !self.has_custom_bounds();
        let cells = |side| {
            let cells = reached::<V>(side, reach);
            cells.skip_while(move |(i, _)| exponential && exponential_bound(*i, schema) <= threshold)
        };
        let (positive, negative) = (cells(other.positive()), cells(other.negative()));
        if !add_within(&self.positive_spans, &mut self.positive_counts, &mut lost.positive_counts, positive.clone()) {
            let own = Side { lost: &lost.positive_counts, ..self.positive() };
            let mut runs = merge(own.counts.len() + other.positive_counts.len(), own.cells::<V>(), positive);
            lost.positive_counts = std::mem::take(&mut runs.lost);
            self.set_positive(runs);
        }
        if !add_within(&self.negative_spans, &mut self.negative_counts, &mut lost.negative_counts, negative.clone()) {
            let own = Side { lost: &lost.negative_counts, ..self.negative() };
            let mut runs = merge(own.counts.len() + other.negative_counts.len(), own.cells::<V>(), negative);
            lost.negative_counts = std::mem::take(&mut runs.lost);
            self.set_negative(runs);
        }
    }

    /// Whether all buckets of the other have the places of its own, as those of one series mostly do. (None of them is
    /// swallowed then: its own are outside the zero bucket.)
    fn adds_in_place(&self, other: &Self, reach: Reach) -> bool {
        let first_is_outside = |spans: &[BucketSpan]| {
            let first = spans.first().map_or(0, |s| s.offset);
            self.has_custom_bounds() || exponential_bound(first.into(), self.schema) > self.zero_threshold
        };
        reach.steps == 0
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.positive_counts.len() == other.positive_counts.len()
            && self.negative_counts.len() == other.negative_counts.len()
            && first_is_outside(&self.positive_spans)
            && first_is_outside(&self.negative_spans)
    }

    /// Custom bounds that differ: both go over to the bounds they share.
    fn combine_mapped<V: Amount>(&mut self, lost: &mut Self, other: &Self, negate: bool) {
        let shared = shared_bounds(&self.custom_bounds, &other.custom_bounds);
        let own = Side { lost: &lost.positive_counts, ..self.positive() };
        let own = Moved::new(own.cells::<V>(), onto(&self.custom_bounds, &shared));
        let others = other.positive().cells::<V>().map(|(i, amount)| (i, signed(amount, negate)));
        let others = Moved::new(others, onto(&other.custom_bounds, &shared));
        let all = merge::<V>(shared.len() + 1, own, others);
        let all = Side { spans: &all.spans, counts: &all.counts, lost: &all.lost };
        let kept = all.cells::<V>().filter(|(_, amount)| !amount.is_zero());
        let mut runs = Runs::collect(all.counts.len(), kept);
        lost.positive_counts = std::mem::take(&mut runs.lost);
        self.set_positive(runs);
        self.custom_bounds = shared;
    }

    /// Whether custom bounds are the same, so that adding need not reconcile them.
    pub fn same_bounds(&self, other: &Self) -> bool {
        self.custom_bounds == other.custom_bounds
    }

    fn take_layout(&mut self, of: &Self) {
        (self.schema, self.zero_threshold) = (of.schema, of.zero_threshold);
        self.positive_spans.clone_from(&of.positive_spans);
        self.negative_spans.clone_from(&of.negative_spans);
        self.custom_bounds.clone_from(&of.custom_bounds);
    }
}

fn signed<V: Amount>(amount: V, negate: bool) -> V {
    if negate { amount.negated() } else { amount }
}

fn total<V: Amount>((sum, lost): (f64, f64), more: V) -> (f64, f64) {
    let total = V::of(sum, lost).plus(more);
    (total.sum(), total.lost())
}

fn add_straight<V: Amount>(counts: &mut [f64], lost: &mut Vec<f64>, more: &[f64], negate: bool) {
    if V::COMPENSATED {
        lost.resize(counts.len(), 0.0);
    }
    for (at, (count, more)) in counts.iter_mut().zip(more).enumerate() {
        let total = V::of(*count, lost.get(at).copied().unwrap_or(0.0)).plus(signed(V::of(*more, 0.0), negate));
        *count = total.sum();
        if let Some(lost) = lost.get_mut(at) {
            *lost = total.lost();
        }
    }
}

/// The other histogram's cells as the sum's schema has them, without those in its zero bucket.
fn reached<V: Amount>(side: Side<'_>, reach: Reach) -> impl Iterator<Item = (i64, V)> + Clone {
    let Reach { schema, steps, swallowed, negate } = reach;
    let outside = side.cells::<V>().skip_while(move |(i, _)| exponential_bound(*i, schema) <= swallowed);
    let signed = outside.map(move |(i, amount)| (i, signed(amount, negate)));
    Moved::new(signed, move |i| coarser(i, steps))
}

/// Bounds in both of two ascending lists.
fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut b = b.iter().peekable();
    let in_b = |bound: &&f64| {
        while b.next_if(|other| *other < bound).is_some() {}
        b.peek() == Some(bound)
    };
    a.iter().filter(in_b).copied().collect()
}

/// Where the bucket of an index among `bounds` goes among `shared` ones; for ascending indices.
fn onto<'a>(bounds: &'a [f64], shared: &'a [f64]) -> impl FnMut(i64) -> i64 + 'a {
    let mut at = 0;
    move |index| {
        let upper = usize::try_from(index).ok().and_then(|i| bounds.get(i));
        match upper {
            Some(upper) => {
                while shared.get(at).is_some_and(|bound| bound < upper) {
                    at += 1;
                }
            }
            None if index < 0 => {}
            None => at = shared.len(),
        }
        at as i64
    }
}
