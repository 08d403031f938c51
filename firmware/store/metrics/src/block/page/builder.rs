//! Gathers series and encodes their page.

use super::residuals::{ORDER_DRIFT, plan};
use super::{
    BUCKETS_MAX, CLASS_DOUBLES, CLASSES, EXCEPTIONS, KIND_CONSTANT, KIND_COPY, KIND_DOUBLE, KIND_INTEGER, ORDER_SHIFT,
    OpenPage, PCO_LEVEL, RELATIVE, SAME_COUNT, STREAM_VALUES_MIN, ZSTD_LEVEL,
};
use crate::bytes::{hash, put_varint, put_zigzag};
use crate::decimal::{exponent_of, to_integer};
use pco::standalone::simple_compress_into;
use pco::{ChunkConfig, DeltaSpec, ModeSpec};
use std::collections::HashMap;

/// Gathers series for one page.
#[derive(Default)]
pub(crate) struct PageBuilder {
    values: Vec<f64>,
    series: Vec<Added>,
    work: Work,
}

/// A series of the page being gathered.
#[derive(Clone, Copy)]
struct Added {
    times: u32,
    at: u32,
    count: u32,
    bucket: Option<(u32, f64)>,
}

impl Added {
    fn of<'a>(&self, values: &'a [f64]) -> &'a [f64] {
        &values[self.at as usize..(self.at + self.count) as usize]
    }
}

#[derive(Default)]
struct Work {
    shapes: Vec<u8>,
    times: Vec<u8>,
    firsts: Vec<u8>,
    integers: Vec<i64>,
    exceptions: Vec<(u32, u64)>,
    copies: HashMap<u64, Original, foldhash::fast::FixedState>,
    residuals: Vec<i64>,
    parts: Vec<Part>,
    doubles: Vec<f64>,
}

/// A series that others may be copies of.
#[derive(Clone, Copy)]
struct Original {
    number: u32,
    at: u32,
    /// Reading it reads another series.
    relative: bool,
}

/// Residuals of one series.
struct Part {
    class: u8,
    from: usize,
    to: usize,
    /// Where its shape says the class.
    class_at: usize,
}

impl PageBuilder {
    /// Adds a series whose timestamps are column `times`; at most [`PAGE_VALUES_MAX`] values, not none. `bucket`: number
    /// of its histogram, which is the same for neighbours only if they are buckets of one, and its upper bound.
    pub(crate) fn push(&mut self, times: u32, values: &[f64], bucket: Option<(u32, f64)>) {
        self.series.push(Added { times, at: self.values.len() as u32, count: values.len() as u32, bucket });
        self.values.extend_from_slice(values);
    }

    /// Number of series.
    pub(crate) fn series(&self) -> usize {
        self.series.len()
    }

    /// Number of values.
    pub(crate) fn values(&self) -> usize {
        self.values.len()
    }

    /// Writes the page to `out` (cleared first) and starts the next.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let mut work = std::mem::take(&mut self.work);
        work.clear();
        let references = references(&self.series, &self.values);
        let (mut before_count, mut before_times) = (0u32, 0u32);
        for (number, series) in self.series.iter().enumerate() {
            let same = if series.count == before_count && number > 0 { SAME_COUNT } else { 0 };
            let below = references[number].map(|other| (other, self.series[other as usize].of(&self.values)));
            work.push(number as u32, series, &self.values, below, same);
            put_zigzag(&mut work.times, i64::from(series.times) - i64::from(before_times));
            (before_count, before_times) = (series.count, series.times);
        }
        out.clear();
        put_varint(out, self.series.len() as u64);
        work.write(out)?;
        self.work = work;
        debug_assert!(self.reads_back(out), "a page does not give back what was written");
        self.series.clear();
        self.values.clear();
        Ok(())
    }
}

impl PageBuilder {
    /// Whether the page that was written holds exactly what was gathered.
    fn reads_back(&self, page: &[u8]) -> bool {
        let Some(mut open) = OpenPage::open(page) else { return false };
        let mut read = Vec::new();
        self.series.iter().enumerate().all(|(number, series)| {
            open.times(number) == Some((series.times, series.count as usize))
                && open.values(page, number, &mut read).is_some()
                && same_bits(&read, series.of(&self.values))
        })
    }
}

/// For each bucket the next lower bucket of its histogram, if all of them count at the same times.
fn references(series: &[Added], values: &[f64]) -> Vec<Option<u32>> {
    let mut references = vec![None; series.len()];
    let mut start = 0;
    for group in series.chunk_by(|a, b| a.bucket.map(|x| x.0) == b.bucket.map(|x| x.0)) {
        let first = start;
        start += group.len();
        let (Some(head), true) = (group.first(), (2..=BUCKETS_MAX).contains(&group.len())) else { continue };
        let counts = |v: &f64| to_integer(*v, 0).is_some();
        let alike = |s: &Added| (s.times, s.count) == (head.times, head.count) && s.of(values).iter().all(counts);
        if head.bucket.is_none() || !group.iter().all(alike) {
            continue;
        }
        let mut order: Vec<usize> = (0..group.len()).collect();
        order.sort_by(|&a, &b| group[a].bucket.map_or(0.0, |x| x.1).total_cmp(&group[b].bucket.map_or(0.0, |x| x.1)));
        for pair in order.windows(2) {
            references[first + pair[1]] = Some((first + pair[0]) as u32);
        }
    }
    references
}

impl Work {
    fn clear(&mut self) {
        self.shapes.clear();
        self.times.clear();
        self.firsts.clear();
        self.copies.clear();
        self.doubles.clear();
        self.residuals.clear();
        self.parts.clear();
    }

    fn shape(&mut self, flags: u8, same: u8, count: usize) {
        self.shapes.push(flags | same);
        if same == 0 {
            put_varint(&mut self.shapes, count as u64);
        }
    }

    fn push(&mut self, number: u32, series: &Added, all: &[f64], below: Option<(u32, &[f64])>, same: u8) {
        let values = series.of(all);
        let Some(&first) = values.first() else { return self.shape(KIND_CONSTANT, same, 0) };
        if values.iter().all(|v| v.to_bits() == first.to_bits()) {
            self.shape(KIND_CONSTANT, same, values.len());
            return self.put_constant(first);
        }
        let key = hash_values(values);
        let own = Original { number, at: series.at, relative: below.is_some() };
        let earlier = self.copies.get(&key).copied().filter(|earlier| {
            let from = earlier.at as usize;
            all.get(from..from + values.len()).is_some_and(|e| same_bits(e, values))
        });
        match earlier {
            // A bucket may be what its own original is relative to: `+Inf` comes before the bucket that equals it. So
            // buckets copy only what stands by itself, and references neither form a circle nor grow deep.
            Some(earlier) if series.bucket.is_none() || !earlier.relative => {
                self.shape(KIND_COPY, same, values.len());
                return put_varint(&mut self.shapes, u64::from(number - earlier.number));
            }
            Some(_) if own.relative => {}
            _ => {
                self.copies.insert(key, own);
            }
        }
        if let Some((other, below)) = below {
            self.exceptions.clear();
            self.integers.clear();
            // Both are exact integers below 2^53, as `references` checked.
            self.integers.extend(values.iter().zip(below).map(|(&v, &b)| v as i64 - b as i64));
            return self.put_integers(0, same, values.len(), Some(i64::from(number) - i64::from(other)));
        }
        match self.integers_of(values) {
            Some(exponent) => self.put_integers(exponent, same, values.len(), None),
            None => {
                self.shape(KIND_DOUBLE, same, values.len());
                self.doubles.extend_from_slice(values);
            }
        }
    }

    fn put_constant(&mut self, value: f64) {
        match exponent_of(value, 0).and_then(|e| Some((e, to_integer(value, e)?))) {
            Some((exponent, integer)) => {
                self.shapes.push(exponent);
                put_zigzag(&mut self.firsts, integer);
            }
            None => {
                self.shapes.push(u8::MAX);
                self.firsts.extend_from_slice(&value.to_bits().to_le_bytes());
            }
        }
    }

    /// Fills `integers` and `exceptions`; `None` when too many values are no decimals of one exponent.
    fn integers_of(&mut self, values: &[f64]) -> Option<u8> {
        let is_special = |v: f64| !v.is_finite() || (v == 0.0 && v.is_sign_negative());
        let mut exponent = 0;
        for &value in values.iter().filter(|v| !is_special(**v)) {
            if to_integer(value, exponent).is_none() {
                exponent = exponent_of(value, exponent)?;
            }
        }
        self.integers.clear();
        self.exceptions.clear();
        let (mut last, mut lead) = (None, 0);
        for (at, &value) in values.iter().enumerate() {
            match to_integer(value, exponent) {
                Some(integer) => last = Some(integer),
                None if is_special(value) || self.exceptions.len() < 2 + values.len() / 32 => {
                    self.exceptions.push((at as u32, value.to_bits()));
                    lead = if last.is_none() { at + 1 } else { lead };
                }
                None => return None,
            }
            self.integers.push(last.unwrap_or(0));
        }
        // Exceptions before the first number repeat it, so that they cost no jump.
        let first_number = self.integers.get(lead).copied()?;
        self.integers[..lead].fill(first_number);
        (self.exceptions.len() * 4 <= values.len().max(8)).then_some(exponent)
    }

    fn put_integers(&mut self, exponent: u8, same: u8, count: usize, relative: Option<i64>) {
        let first = self.integers.first().copied().unwrap_or(0);
        let plan = plan(&mut self.integers);
        let mut flags = KIND_INTEGER | plan.order << ORDER_SHIFT;
        flags |= if self.exceptions.is_empty() { 0 } else { EXCEPTIONS };
        flags |= if relative.is_some() { RELATIVE } else { 0 };
        self.shape(flags, same, count);
        self.shapes.push(exponent);
        let class_at = self.shapes.len();
        self.shapes.push(plan.class);
        put_varint(&mut self.shapes, plan.divisor);
        if let Some(distance) = relative {
            put_zigzag(&mut self.shapes, distance);
        }
        put_zigzag(&mut self.firsts, first);
        let x = &self.integers;
        let stream = &mut self.residuals;
        let from = stream.len();
        match plan.order {
            0 => stream.extend_from_slice(&x[1..]),
            1 => stream.extend(x.windows(2).map(|w| w[1].wrapping_sub(w[0]))),
            ORDER_DRIFT => {
                put_zigzag(&mut self.firsts, plan.drift);
                stream.extend(x.windows(2).map(|w| w[1].wrapping_sub(w[0]).wrapping_sub(plan.drift)));
            }
            _ => {
                put_zigzag(&mut self.firsts, x[1].wrapping_sub(x[0]));
                stream.extend(x.windows(3).map(|w| w[2].wrapping_sub(w[1]).wrapping_sub(w[1].wrapping_sub(w[0]))));
            }
        }
        if plan.class > 0 {
            self.parts.push(Part { class: plan.class, from, to: self.residuals.len(), class_at });
        } else {
            self.residuals.truncate(from);
        }
        if !self.exceptions.is_empty() {
            put_varint(&mut self.shapes, self.exceptions.len() as u64);
            let mut before = 0;
            for &(at, bits) in &self.exceptions {
                put_varint(&mut self.shapes, u64::from(at - before));
                self.shapes.extend_from_slice(&bits.to_le_bytes());
                before = at;
            }
        }
    }

    /// Lets streams that are too small for tables of their own join the next larger one.
    fn join_small_classes(&mut self) {
        let mut counts = [0usize; CLASSES];
        for part in &self.parts {
            counts[usize::from(part.class)] += part.to - part.from;
        }
        let mut becomes: [u8; CLASSES] = std::array::from_fn(|class| class as u8);
        for class in 1..CLASSES {
            if (1..STREAM_VALUES_MIN).contains(&counts[class])
                && let Some(larger) = (class + 1..CLASSES).find(|&larger| counts[larger] > 0)
            {
                counts[larger] += std::mem::take(&mut counts[class]);
                becomes.iter_mut().filter(|b| usize::from(**b) == class).for_each(|b| *b = larger as u8);
            }
        }
        for part in &mut self.parts {
            part.class = becomes[usize::from(part.class)];
            self.shapes[part.class_at] = part.class;
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.join_small_classes();
        for part in [&self.shapes, &self.times, &self.firsts] {
            put_varint(out, part.len() as u64);
        }
        let mut packed = std::mem::take(&mut self.shapes);
        packed.extend_from_slice(&self.times);
        packed.extend_from_slice(&self.firsts);
        let small = zstd::bulk::compress(&packed, ZSTD_LEVEL).map_err(|e| e.to_string())?;
        put_varint(out, small.len() as u64);
        out.extend_from_slice(&small);
        packed.clear();
        self.shapes = packed;

        let has = |class: u8| self.parts.iter().any(|part| part.class == class);
        let classes: Vec<u8> = (1..CLASSES as u8).filter(|&class| has(class)).collect();
        put_varint(out, (classes.len() + usize::from(!self.doubles.is_empty())) as u64);
        let config = ChunkConfig::default()
            .with_compression_level(PCO_LEVEL)
            .with_mode_spec(ModeSpec::Classic)
            .with_delta_spec(DeltaSpec::NoOp);
        let mut stream = Vec::new();
        for class in classes {
            stream.clear();
            for part in self.parts.iter().filter(|part| part.class == class) {
                stream.extend_from_slice(&self.residuals[part.from..part.to]);
            }
            put_stream(out, class, &stream, &config)?;
        }
        if !self.doubles.is_empty() {
            let config = ChunkConfig::default().with_compression_level(PCO_LEVEL);
            put_stream(out, CLASS_DOUBLES as u8, &self.doubles, &config)?;
        }
        Ok(())
    }
}

fn put_stream<T: pco::data_types::Number>(
    out: &mut Vec<u8>,
    class: u8,
    numbers: &[T],
    config: &ChunkConfig,
) -> Result<(), String> {
    out.push(class);
    put_varint(out, numbers.len() as u64);
    let bytes = simple_compress_into(numbers, config, Vec::new()).map_err(|e| e.to_string())?;
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
    Ok(())
}

fn hash_values(values: &[f64]) -> u64 {
    // The ends and the length tell most series apart; equality is checked on all bits afterwards.
    let mut key = [0u8; 32];
    let picks = [0, values.len() / 3, values.len() / 3 * 2, values.len() - 1];
    for (at, &pick) in picks.iter().enumerate() {
        key[at * 8..at * 8 + 8].copy_from_slice(&values[pick].to_bits().to_le_bytes());
    }
    hash(&key) ^ values.len() as u64
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}
