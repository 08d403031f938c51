//! Values of series, each coded against what its series did before.
//!
//! A number that is a decimal, or a multiple of a usual unit, is an integer of some [`FORMS`]. Of the integer only its
//! distance from *last + drift* is written, where drift is the running mean of the series' differences: of a counter
//! the noise of its rate is left, of a gauge its steps. Where it was smaller lately, it is what is left of that when the
//! distance of the entry before is taken away: the buckets of a histogram follow one another and go up together.
//!
//! The distance is written as its bit length, by the probabilities that hold for distances of series that spread as this
//! one does lately, then the bits below the highest: the first two by probability, the rest as they are. This comes
//! to within a few hundredths of a bit of the noise's own entropy.
//!
//! All arithmetic that both sides repeat is in integers.

use super::super::RecordError;
use super::super::range_coder::{Probability, RangeDecoder, RangeEncoder};

/// What makes an integer of a number: a factor, or a unit. A series' first value tells; most units that do not hold for
/// it fail at once.
const FORMS: [Form; 13] = [
    Form::Unit(4096.0),
    Form::Unit(1024.0),
    Form::Unit(1000.0),
    Form::Factor(1e0),
    Form::Factor(1e1),
    Form::Factor(1e2),
    Form::Factor(1e3),
    Form::Factor(1e4),
    Form::Factor(1e5),
    Form::Factor(1e6),
    Form::Factor(1e7),
    Form::Factor(1e8),
    Form::Factor(1e9),
];
/// Integers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

enum Form {
    Factor(f64),
    Unit(f64),
}

/// Other symbols in the tree of forms.
const RAW: usize = 13;
const HISTOGRAM: usize = 14;

/// Fixed point of drift and spread.
const FRACTION: u32 = 4;
/// Samples after which means stop adapting faster; they move by 1/2^WARM then.
const WARM: u32 = 4;
const SPREADS: usize = 128;
const LENGTHS: usize = 64;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Coded {
    Number(f64),
    /// The next histogram of the record's column.
    Histogram,
}

/// What both sides remember of a series.
#[derive(Clone, Copy)]
pub(super) struct Model {
    last: f64,
    /// Mean difference, in 1/16.
    drift: i32,
    /// Mean distance from last + drift, in 1/16.
    spread: u32,
    /// The same, less the distance of the entry before.
    spread_beside: u32,
    form: u8,
    /// What its last value was: `KIND_*`.
    kind: u8,
    /// How often lately the value stayed, up to [`STAYED_MAX`].
    stayed: u8,
    samples: u8,
}

const _: () = assert!(size_of::<Model>() == 24);
const KIND_INTEGER: u8 = 0;
const KIND_RAW: u8 = 1;
const KIND_HISTOGRAM: u8 = 2;
const KIND_NONE: u8 = 3;
const KINDS: usize = 4;
const STAYED_MAX: u8 = 15;

impl Model {
    /// Of a series that was not heard of in this epoch.
    pub(super) const NEW: Model =
        Model { last: 0.0, drift: 0, spread: 0, spread_beside: 0, form: 0, kind: KIND_NONE, stayed: 0, samples: 0 };

    fn rate(&self) -> u32 {
        // All of the first difference, half of the next two, a quarter of the next four …
        u32::from(self.samples).max(1).ilog2().min(WARM)
    }

    /// Where the next value is expected; a form that the last one does not have begins at 0.
    fn predicted(&self) -> i64 {
        integer(self.last, self.form).unwrap_or(0).wrapping_add(i64::from(self.drift >> FRACTION))
    }

    /// Whether the entry before tells more about this one than nothing.
    fn goes_beside(&self) -> bool {
        self.spread_beside < self.spread - self.spread / 8
    }

    /// Where distances of this series are looked up: half octaves of the spread.
    fn context(&self, beside: bool) -> usize {
        let spread = if beside { self.spread_beside } else { self.spread } + 1;
        let octave = spread.ilog2();
        let half = if octave == 0 { 0 } else { spread >> (octave - 1) & 1 };
        ((octave << 1 | half) as usize).min(SPREADS - 1)
    }

    /// Learns from a distance, `before` being that of the entry before. That of the first value, from 0, tells nothing.
    fn learn(&mut self, distance: i64, before: i64) {
        if self.samples == 0 {
            self.samples = 1;
            return;
        }
        let rate = self.rate();
        // A reset must not upset what was learnt.
        let limit = if self.samples < 3 { i64::from(i32::MAX >> 6) } else { i64::from(self.spread >> 1) + 64 };
        let seen = distance.clamp(-limit, limit);
        let moved = (seen << FRACTION) >> rate;
        self.drift = i64::from(self.drift).saturating_add(moved).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        for (spread, size) in [
            (&mut self.spread, seen.abs()),
            (&mut self.spread_beside, distance.saturating_sub(before).saturating_abs().min(limit)),
        ] {
            let old = i64::from(*spread);
            *spread = (old + (((size << FRACTION) - old) >> rate)).clamp(0, i64::from(u32::MAX >> 2)) as u32;
        }
        self.samples = self.samples.saturating_add(1);
    }

    fn stays(&mut self, stays: bool) {
        self.stayed = match (stays, self.stayed) {
            (true, n) => n.saturating_add(1).min(STAYED_MAX),
            (false, n) => n / 2,
        };
    }
}

/// The integer of `value` in a form, if it gives back the same bits.
fn integer(value: f64, form: u8) -> Option<i64> {
    let scaled = match FORMS.get(usize::from(form))? {
        Form::Factor(factor) => value * factor,
        Form::Unit(unit) => value / unit,
    };
    if scaled.is_nan() || scaled.abs() >= EXACT {
        return None;
    }
    let rounded = (scaled + 0.5f64.copysign(scaled)) as i64;
    (number(rounded, form).to_bits() == value.to_bits()).then_some(rounded)
}

fn number(integer: i64, form: u8) -> f64 {
    match FORMS.get(usize::from(form)) {
        Some(Form::Factor(factor)) => integer as f64 / factor,
        Some(Form::Unit(unit)) => integer as f64 * unit,
        None => integer as f64,
    }
}

/// Probabilities of an epoch.
pub(super) struct Contexts {
    stays: [[Probability; STAYED_MAX as usize + 1]; KINDS],
    changes_form: [Probability; KINDS],
    form: [[Probability; 16]; KINDS],
    lengths: Box<[[Probability; LENGTHS]; SPREADS]>,
    negative: Box<[[Probability; 4]; SPREADS]>,
    mantissa: Box<[[[Probability; 4]; 8]; SPREADS]>,
    raw_length: [Probability; LENGTHS * 2],
    /// Distances of the entry before, by place; of this one up to `at`.
    distances: Vec<i64>,
    at: usize,
}

impl Default for Contexts {
    fn default() -> Self {
        let p = Probability::default();
        Contexts {
            stays: [[p; STAYED_MAX as usize + 1]; KINDS],
            changes_form: [p; KINDS],
            form: [[p; 16]; KINDS],
            lengths: Box::new([[p; LENGTHS]; SPREADS]),
            negative: Box::new([[p; 4]; SPREADS]),
            mantissa: Box::new([[[p; 4]; 8]; SPREADS]),
            raw_length: [p; LENGTHS * 2],
            distances: Vec::new(),
            at: 0,
        }
    }
}

/// Which bits below the highest are worth a probability: those of the lengths that are usual at this spread.
fn mantissa_context(context: usize, length: u32) -> usize {
    // At half octave c the mean distance is about 2^(c/2 - FRACTION).
    (length as i32 - (context as i32 / 2 - FRACTION as i32) + 3).clamp(0, 7) as usize
}

impl Contexts {
    pub(super) const BYTES: usize = size_of::<Contexts>() + 2 * SPREADS * (LENGTHS + 4 + 32);

    /// A new record begins: there is no entry before.
    pub(super) fn start_record(&mut self) {
        self.distances.clear();
        self.at = 0;
    }

    /// A new entry begins.
    pub(super) fn start_entry(&mut self) {
        self.at = 0;
    }

    fn before(&self) -> i64 {
        self.distances.get(self.at).copied().unwrap_or(0)
    }

    /// Remembers the distance of a value for the entry behind, 0 where it has none.
    fn passed(&mut self, distance: i64) {
        match self.distances.get_mut(self.at) {
            Some(place) => *place = distance,
            None => self.distances.push(distance),
        }
        self.at += 1;
    }

    pub(super) fn encode(&mut self, model: &mut Model, value: Coded, coder: &mut RangeEncoder) {
        let kind = usize::from(model.kind) % KINDS;
        let value = match value {
            Coded::Number(value) => value,
            Coded::Histogram => {
                coder.bit(&mut self.stays[kind][usize::from(model.stayed)], false);
                model.stays(false);
                self.put_kind(model, KIND_HISTOGRAM, HISTOGRAM, coder);
                return self.passed(0);
            }
        };
        let stays = value.to_bits() == model.last.to_bits();
        coder.bit(&mut self.stays[kind][usize::from(model.stayed)], stays);
        model.stays(stays);
        if stays {
            return self.stayed(model);
        }
        let same_form = match model.kind {
            KIND_INTEGER => integer(value, model.form),
            _ => None,
        };
        let found = match same_form {
            Some(integer) => {
                coder.bit(&mut self.changes_form[kind], false);
                Some(integer)
            }
            None => {
                (0..FORMS.len() as u8).find_map(|form| Some((form, integer(value, form)?))).map(|(form, integer)| {
                    coder.bit(&mut self.changes_form[kind], true);
                    coder.symbol(&mut self.form[kind], usize::from(form));
                    (model.kind, model.form) = (KIND_INTEGER, form);
                    integer
                })
            }
        };
        match found {
            Some(integer) => self.put_integer(model, integer, coder),
            None => {
                self.put_kind(model, KIND_RAW, RAW, coder);
                let changed = value.to_bits() ^ model.last.to_bits();
                let length = 64 - changed.leading_zeros();
                coder.symbol(&mut self.raw_length, length as usize);
                coder.plain(changed, length);
                self.passed(0);
            }
        }
        model.last = value;
    }

    fn put_kind(&mut self, model: &mut Model, to: u8, symbol: usize, coder: &mut RangeEncoder) {
        let kind = usize::from(model.kind) % KINDS;
        coder.bit(&mut self.changes_form[kind], model.kind != to);
        if model.kind != to {
            coder.symbol(&mut self.form[kind], symbol);
            model.kind = to;
        }
    }

    pub(super) fn decode(&mut self, model: &mut Model, coder: &mut RangeDecoder<'_>) -> Result<Coded, RecordError> {
        let kind = usize::from(model.kind) % KINDS;
        let stays = coder.bit(&mut self.stays[kind][usize::from(model.stayed)]);
        model.stays(stays);
        if stays {
            self.stayed(model);
            return Ok(Coded::Number(model.last));
        }
        if coder.bit(&mut self.changes_form[kind]) {
            match coder.symbol(&mut self.form[kind]) {
                RAW => model.kind = KIND_RAW,
                HISTOGRAM => model.kind = KIND_HISTOGRAM,
                form if form < FORMS.len() => (model.kind, model.form) = (KIND_INTEGER, form as u8),
                _ => return Err(RecordError("unknown form of a value")),
            }
        }
        match model.kind {
            KIND_INTEGER => {
                let integer = self.take_integer(model, coder);
                model.last = number(integer, model.form);
            }
            KIND_RAW => {
                let length = coder.symbol(&mut self.raw_length).min(64);
                model.last = f64::from_bits(model.last.to_bits() ^ coder.plain(length as u32));
                self.passed(0);
            }
            KIND_HISTOGRAM => {
                self.passed(0);
                return Ok(Coded::Histogram);
            }
            _ => return Err(RecordError("a first value without a form")),
        }
        Ok(Coded::Number(model.last))
    }

    /// A value that stayed is a difference of 0, where differences are counted.
    fn stayed(&mut self, model: &mut Model) {
        let mut distance = 0;
        if model.kind == KIND_INTEGER {
            distance = -i64::from(model.drift >> FRACTION);
            model.learn(distance, self.before());
        }
        self.passed(distance);
    }

    fn put_integer(&mut self, model: &mut Model, value: i64, coder: &mut RangeEncoder) {
        let distance = value.wrapping_sub(model.predicted());
        let (before, beside) = (self.before(), model.goes_beside());
        // Both are below 2^54 for numbers that are exact in a double, and the drift is 28 bits.
        let left = if beside { distance.wrapping_sub(before) } else { distance };
        let (context, size) = (model.context(beside), left.unsigned_abs());
        let length = (64 - size.leading_zeros()).min(LENGTHS as u32 - 1);
        coder.symbol(&mut self.lengths[context], length as usize);
        if length > 0 {
            coder.bit(&mut self.negative[context][(length as usize).min(4) - 1], left < 0);
            let below = length - 1;
            let tree = &mut self.mantissa[context][mantissa_context(context, length)];
            match below {
                0 => {}
                1 => coder.bit(&mut tree[1], size & 1 == 1),
                _ => {
                    coder.symbol(tree, (size >> (below - 2) & 3) as usize);
                    coder.plain(size & ((1 << (below - 2)) - 1), below - 2);
                }
            }
        }
        model.learn(distance, before);
        self.passed(distance);
    }

    fn take_integer(&mut self, model: &mut Model, coder: &mut RangeDecoder<'_>) -> i64 {
        let (before, beside) = (self.before(), model.goes_beside());
        let predicted = model.predicted();
        let context = model.context(beside);
        let length = coder.symbol(&mut self.lengths[context]) as u32;
        let mut left = 0i64;
        if length > 0 {
            let negative = coder.bit(&mut self.negative[context][(length as usize).min(4) - 1]);
            let below = length - 1;
            let tree = &mut self.mantissa[context][mantissa_context(context, length)];
            let mantissa = match below {
                0 => 0,
                1 => u64::from(coder.bit(&mut tree[1])),
                _ => (coder.symbol(tree) as u64) << (below - 2) | coder.plain(below - 2),
            };
            let size = (1u64 << below | mantissa).cast_signed();
            left = if negative { size.wrapping_neg() } else { size };
        }
        let distance = if beside { left.wrapping_add(before) } else { left };
        model.learn(distance, before);
        self.passed(distance);
        predicted.wrapping_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Coded> {
        let number = prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i64..1000).prop_map(|n| n as f64),
            (-100_000i64..100_000).prop_map(|n| n as f64 / 100.0),
            (8_000_000_000_000_000i64..10_000_000_000_000_000).prop_map(|n| n as f64),
            Just(0.1 + 0.2),
            Just(-0.0),
            Just(bramble_signal::stale_marker()),
            Just(1e300),
            Just(1e-12),
            Just(f64::INFINITY),
        ];
        prop_oneof![8 => number.prop_map(Coded::Number), 1 => Just(Coded::Histogram)]
    }

    fn round_trip(models: usize, values: &[(usize, Coded)]) -> usize {
        let (mut written, mut read) = (vec![Model::NEW; models], vec![Model::NEW; models]);
        let (mut coder, mut contexts) = (RangeEncoder::default(), Contexts::default());
        for &(series, value) in values {
            if series == 0 {
                contexts.start_entry();
            }
            contexts.encode(&mut written[series], value, &mut coder);
        }
        let bytes = coder.finish();
        let (mut decoder, mut contexts) = (RangeDecoder::new(bytes), Contexts::default());
        for &(series, value) in values {
            if series == 0 {
                contexts.start_entry();
            }
            match (contexts.decode(&mut read[series], &mut decoder).unwrap(), value) {
                (Coded::Number(a), Coded::Number(b)) => assert_eq!(a.to_bits(), b.to_bits(), "{a} instead of {b}"),
                (a, b) => assert_eq!(a, b),
            }
        }
        bytes.len()
    }

    proptest! {
        #[test]
        fn values_keep_their_bits(values in prop::collection::vec((0usize..4, value()), 0..300)) {
            round_trip(4, &values);
        }

        #[test]
        fn other_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut decoder, mut contexts) = (RangeDecoder::new(&bytes), Contexts::default());
            let mut models = [Model::NEW; 3];
            for at in 0..300 {
                if contexts.decode(&mut models[at % 3], &mut decoder).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn noise_costs_its_entropy_and_constants_nothing() {
        let mut rng = bramble_runtime::Rng::new(5);
        // Sum of four dice of 0 to 999: deviation 577, entropy 11.2 bits.
        let mut noise = || (0..4).map(|_| rng.below(1000) as i64).sum::<i64>();
        let mut counter = 0;
        let mut values = Vec::new();
        for step in 0..5000 {
            counter += 20_000 + noise();
            values.push((0, Coded::Number(counter as f64)));
            values.push((1, Coded::Number((noise() / 2) as f64 / 100.0)));
            values.push((2, Coded::Number(42.5)));
            values.push((3, Coded::Number(f64::from(step / 100))));
        }
        let bits = round_trip(4, &values) * 8 / 5000;
        // 11.2 for the counter; 10.7 for the gauge, whose differences spread by half an octave less.
        assert!((20..24).contains(&bits), "{bits} bits per step");
    }
}
