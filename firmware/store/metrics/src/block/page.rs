//! Grouped pages: the values of many series that follow each other in label order.
//!
//! ```text
//! page    := series count, shape length, times length, firsts length, packed length, packed, stream count, stream*
//! packed  := zstd of shapes ++ times ++ firsts
//! shape   := flags, [count], exponent and class and divisor and reference (integers), distance (copies), exceptions
//! times   := per series: number of its timestamp column, as difference
//! firsts  := per series: first value, and slope for order 2
//! stream  := class, count, length, pco of all residuals of that class
//! ```
//! A series whose values are decimals of one exponent becomes integers `first + divisor * x`; `x` is differenced 0, 1
//! or 2 times, whichever is shortest, and its residuals join the stream of their magnitude, so that pco sees
//! thousands of numbers alike instead of a hundred of each. Doubles that are no decimals share one stream; a constant
//! has no residuals; a histogram's bucket is kept without the bucket below it; a series equal to an earlier one of the page is a reference to it. Values that are no
//! numbers (staleness marker, NaN, infinities, -0.0) are exceptions beside their series, bit for bit.

use crate::bytes::{Take, hash, put_varint, put_zigzag};
use crate::decimal::{EXPONENT_MAX, exponent_of, from_integer, to_integer};
use pco::standalone::{simple_compress_into, simple_decompress_into};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};
use std::collections::HashMap;

/// Values after which a page is closed: enough for the entropy coder, few enough to decode for one series.
pub(crate) const PAGE_VALUES: usize = 32 << 10;
/// Series after which a page is closed.
pub(crate) const PAGE_SERIES: usize = 2048;
/// No page holds more values: one series may exceed [`PAGE_VALUES`] by itself and is cut by the writer.
pub(crate) const PAGE_VALUES_MAX: usize = 1 << 20;

const KIND_CONSTANT: u8 = 0;
const KIND_INTEGER: u8 = 1;
const KIND_DOUBLE: u8 = 2;
const KIND_COPY: u8 = 3;
const ORDER_SHIFT: u8 = 2;
const SAME_COUNT: u8 = 1 << 4;
const EXCEPTIONS: u8 = 1 << 5;
/// The integers are what is above those of another series of the page.
const RELATIVE: u8 = 1 << 6;
/// Most buckets of a histogram that are kept relative; also bounds how far reading follows references.
const BUCKETS_MAX: usize = 256;
/// Buckets that a reader remembers.
const RECENT_MAX: usize = 64;

/// Largest bit length of a residual (zigzag) in each class; doubles have a class of their own behind.
const CLASS_BITS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 24, 32, 64];
const CLASS_DOUBLES: usize = CLASS_BITS.len();
const CLASSES: usize = CLASS_DOUBLES + 1;
/// A stream with fewer values joins the next larger one: pco's own tables take some 40 bytes.
const STREAM_VALUES_MIN: usize = 192;
const PCO_LEVEL: usize = 8;
const ZSTD_LEVEL: i32 = 3;

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
    copies: HashMap<u64, (u32, u32), foldhash::fast::FixedState>,
    residuals: Vec<i64>,
    parts: Vec<Part>,
    doubles: Vec<f64>,
}

/// Residuals of one series.
struct Part {
    class: u8,
    from: usize,
    to: usize,
    /// Where its shape says the class.
    class_at: usize,
}

/// How a series' integers become residuals.
struct Plan {
    order: u8,
    divisor: u64,
    class: u8,
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
        self.series.clear();
        self.values.clear();
        Ok(())
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
        if let Some(&(earlier, from)) = self.copies.get(&key)
            && all.get(from as usize..from as usize + values.len()).is_some_and(|e| same_bits(e, values))
        {
            self.shape(KIND_COPY, same, values.len());
            return put_varint(&mut self.shapes, u64::from(number - earlier));
        }
        self.copies.insert(key, (number, series.at));
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
        let mut counts = [0usize; CLASS_DOUBLES];
        for part in &self.parts {
            counts[usize::from(part.class)] += part.to - part.from;
        }
        let mut becomes: [u8; CLASS_DOUBLES] = std::array::from_fn(|class| class as u8);
        for class in 1..CLASS_DOUBLES {
            if (1..STREAM_VALUES_MIN).contains(&counts[class])
                && let Some(larger) = (class + 1..CLASS_DOUBLES).find(|&larger| counts[larger] > 0)
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
        let classes: Vec<u8> = (1..CLASS_DOUBLES as u8).filter(|&class| has(class)).collect();
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

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Turns integers into `x` in place and chooses order and class.
fn plan(integers: &mut [i64]) -> Plan {
    let first = integers.first().copied().unwrap_or(0);
    let mut divisor = 0u64;
    for x in integers.iter_mut() {
        *x = x.wrapping_sub(first);
        if divisor != 1 && *x != 0 {
            divisor = gcd(divisor, x.unsigned_abs());
        }
    }
    let divisor = divisor.max(1);
    if let Ok(by) = i64::try_from(divisor)
        && by > 1
    {
        for x in integers.iter_mut() {
            *x /= by;
        }
    }
    let (mut bits, mut largest) = ([0u64; 3], [0u8; 3]);
    let (mut before, mut step) = (0i64, 0i64);
    for (at, &x) in integers.iter().enumerate().skip(1) {
        let now = x.wrapping_sub(before);
        let residuals = [x, now, now.wrapping_sub(step)];
        for (order, &residual) in residuals.iter().enumerate().take(if at == 1 { 2 } else { 3 }) {
            let length = bit_length(residual);
            bits[order] += u64::from(length);
            largest[order] = largest[order].max(length);
        }
        (before, step) = (x, now);
    }
    // A second slope to store must pay for itself.
    bits[2] = if integers.len() < 3 { u64::MAX } else { bits[2] + 24 };
    let order = (0..3).min_by_key(|&o| bits[o]).unwrap_or(1);
    let class = CLASS_BITS.iter().position(|&b| b >= largest[order]).unwrap_or(CLASS_BITS.len() - 1);
    Plan { order: order as u8, divisor, class: class as u8 }
}

fn bit_length(residual: i64) -> u8 {
    (64 - crate::bytes::zigzag(residual).leading_zeros()) as u8
}

/// Undoes differences of `order`: calls `emit` with 0 and what follows.
fn sum_up(residuals: &[i64], order: u8, slope: i64, mut emit: impl FnMut(i64)) {
    emit(0);
    let (mut x, mut step) = (0i64, slope);
    match order {
        0 => residuals.iter().for_each(|&residual| emit(residual)),
        1 => {
            for &residual in residuals {
                x = x.wrapping_add(residual);
                emit(x);
            }
        }
        _ => {
            x = slope;
            emit(x);
            for &residual in residuals {
                step = step.wrapping_add(residual);
                x = x.wrapping_add(step);
                emit(x);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Form {
    Constant(f64),
    Integer {
        exponent: u8,
        class: u8,
        order: u8,
        divisor: i64,
        first: i64,
        slope: i64,
        at: u32,
        exceptions: (u32, u32),
        below: Option<u32>,
    },
    Double {
        at: u32,
    },
    Copy {
        of: u32,
    },
}

#[derive(Clone, Copy)]
struct Shape {
    times: u32,
    count: u32,
    form: Form,
}

enum Numbers {
    Packed { from: usize, to: usize, count: usize },
    Integers(Vec<i64>),
    Doubles(Vec<f64>),
    None,
}

/// A page opened for reading; streams are decoded when the first series needs them.
pub(crate) struct OpenPage {
    shapes: Vec<Shape>,
    exceptions: Vec<(u32, u64)>,
    streams: Vec<Numbers>,
    /// Buckets read lately: the next one is relative to one of them.
    recent: Vec<(usize, Vec<i64>)>,
    integers: Vec<i64>,
}

impl OpenPage {
    /// Reads everything but the streams; `None` when the page is damaged.
    pub(crate) fn open(page: &[u8]) -> Option<Self> {
        let mut bytes = Take(page);
        let series = bytes.count(PAGE_SERIES.max(PAGE_VALUES_MAX))?;
        let lengths = [bytes.count(64 << 20)?, bytes.count(64 << 20)?, bytes.count(64 << 20)?];
        let total = lengths.iter().sum();
        let packed = zstd::bulk::decompress(bytes.bytes()?, total).ok().filter(|p| p.len() == total)?;
        let (shapes, rest) = packed.split_at(lengths[0]);
        let (times, firsts) = rest.split_at(lengths[1]);
        let mut open = OpenPage {
            shapes: Vec::with_capacity(series.min(packed.len())),
            exceptions: Vec::new(),
            streams: Vec::new(),
            recent: Vec::new(),
            integers: Vec::new(),
        };
        open.read_shapes(series, Take(shapes), Take(times), Take(firsts))?;
        open.streams.resize_with(CLASSES, || Numbers::None);
        for _ in 0..bytes.count(CLASSES)? {
            let class = usize::from(bytes.u8()?);
            let count = bytes.count(PAGE_VALUES_MAX)?;
            let stream = bytes.bytes()?;
            let to = page.len() - bytes.0.len();
            *open.streams.get_mut(class)? = Numbers::Packed { from: to - stream.len(), to, count };
        }
        Some(open)
    }

    fn read_shapes(
        &mut self,
        series: usize,
        mut shapes: Take<'_>,
        mut times: Take<'_>,
        mut firsts: Take<'_>,
    ) -> Option<()> {
        let (mut count, mut column, mut used, mut total) = (0u32, 0i64, [0u32; CLASSES], 0usize);
        for number in 0..series as u32 {
            let flags = shapes.u8()?;
            if flags & SAME_COUNT == 0 {
                count = shapes.count(PAGE_VALUES_MAX)? as u32;
            }
            total += count as usize;
            if total > PAGE_VALUES_MAX + PAGE_VALUES {
                return None;
            }
            column = column.checked_add(times.zigzag()?)?;
            let form = match flags & 3 {
                KIND_CONSTANT if count == 0 => Form::Constant(0.0),
                KIND_CONSTANT => Form::Constant(match shapes.u8()? {
                    exponent @ 0..=EXPONENT_MAX => from_integer(firsts.zigzag()?, exponent),
                    _ => f64::from_bits(u64::from_le_bytes(firsts.run(8)?.try_into().ok()?)),
                }),
                KIND_COPY => Form::Copy { of: number.checked_sub(u32::try_from(shapes.varint()?).ok()?)? },
                KIND_DOUBLE => {
                    let at = used[CLASS_DOUBLES];
                    used[CLASS_DOUBLES] += count;
                    Form::Double { at }
                }
                _ => {
                    let place = (number, series as u32);
                    self.read_integers(flags, count, place, &mut used, &mut shapes, &mut firsts)?
                }
            };
            self.shapes.push(Shape { times: u32::try_from(column).ok()?, count, form });
        }
        Some(())
    }

    fn read_integers(
        &mut self,
        flags: u8,
        count: u32,
        (number, series): (u32, u32),
        used: &mut [u32; CLASSES],
        shapes: &mut Take<'_>,
        firsts: &mut Take<'_>,
    ) -> Option<Form> {
        let order = (flags >> ORDER_SHIFT) & 3;
        let (exponent, class) = (shapes.u8().filter(|&e| e <= EXPONENT_MAX)?, shapes.u8()?);
        let divisor = shapes.varint()? as i64;
        let below = match flags & RELATIVE {
            0 => None,
            _ => Some(u32::try_from(i64::from(number).checked_sub(shapes.zigzag()?)?).ok().filter(|&b| b < series)?),
        };
        let first = firsts.zigzag()?;
        let slope = if order == 2 { firsts.zigzag()? } else { 0 };
        let at = *used.get(usize::from(class)).filter(|_| usize::from(class) < CLASS_DOUBLES && order < 3)?;
        used[usize::from(class)] += count.checked_sub(if order == 2 { 2 } else { 1 })?;
        let from = self.exceptions.len() as u32;
        if flags & EXCEPTIONS != 0 {
            let mut place = 0u32;
            for _ in 0..shapes.count(count as usize)? {
                place = place.checked_add(u32::try_from(shapes.varint()?).ok()?).filter(|&p| p < count)?;
                self.exceptions.push((place, u64::from_le_bytes(shapes.run(8)?.try_into().ok()?)));
            }
        }
        let exceptions = (from, self.exceptions.len() as u32);
        Some(Form::Integer { exponent, class, order, divisor, first, slope, at, exceptions, below })
    }

    /// Number of a series' timestamp column and of its values.
    pub(crate) fn times(&self, series: usize) -> Option<(u32, usize)> {
        self.shapes.get(series).map(|shape| (shape.times, shape.count as usize))
    }

    /// Reads the values of a series into `out` (cleared first); `page` as given to [`open`](Self::open). `None`
    /// when the page is damaged.
    pub(crate) fn values(&mut self, page: &[u8], series: usize, out: &mut Vec<f64>) -> Option<()> {
        out.clear();
        let shape = *self.shapes.get(series)?;
        let count = shape.count as usize;
        match shape.form {
            Form::Constant(value) => out.resize(count, value),
            // A copy's original is never a copy, so this goes one step deep.
            Form::Copy { of } => match self.shapes.get(of as usize)?.form {
                Form::Copy { .. } => return None,
                _ => self.values(page, of as usize, out)?,
            },
            Form::Double { at } => {
                self.decode(page, CLASS_DOUBLES)?;
                let Some(Numbers::Doubles(all)) = self.streams.get(CLASS_DOUBLES) else { return None };
                out.extend_from_slice(all.get(at as usize..at as usize + count)?);
            }
            Form::Integer { exponent, exceptions, .. } => {
                let mut integers = std::mem::take(&mut self.integers);
                let read = self.integers(page, series, 0, &mut integers);
                out.extend(integers.iter().map(|&integer| from_integer(integer, exponent)));
                self.integers = integers;
                read?;
                for &(place, bits) in self.exceptions.get(exceptions.0 as usize..exceptions.1 as usize)? {
                    *out.get_mut(place as usize)? = f64::from_bits(bits);
                }
            }
        }
        (out.len() == count).then_some(())
    }

    /// Reads the integers of a series into `out`. `depth`: how many references were followed; what is referred to has
    /// exponent 0 and no exceptions.
    fn integers(&mut self, page: &[u8], series: usize, depth: usize, out: &mut Vec<i64>) -> Option<()> {
        out.clear();
        let Shape { count, form, .. } = *self.shapes.get(series)?;
        if depth > BUCKETS_MAX {
            return None;
        }
        if let Some((_, known)) = self.recent.iter().find(|(number, _)| *number == series) {
            out.extend_from_slice(known);
            return Some(());
        }
        let below = match form {
            Form::Constant(value) => {
                out.resize(count as usize, to_integer(value, 0)?);
                return Some(());
            }
            Form::Copy { of } => return self.integers(page, of as usize, depth + 1, out),
            Form::Double { .. } => return None,
            Form::Integer { exponent, exceptions, .. }
                if depth > 0 && (exponent != 0 || exceptions.0 != exceptions.1) =>
            {
                return None;
            }
            Form::Integer { class, order, divisor, first, slope, at, below, .. } => {
                let wanted = (count as usize).checked_sub(if order == 2 { 2 } else { 1 })?;
                let zeros;
                let residuals = if class == 0 {
                    zeros = vec![0; wanted];
                    zeros.as_slice()
                } else {
                    self.decode(page, usize::from(class))?;
                    let Some(Numbers::Integers(all)) = self.streams.get(usize::from(class)) else { return None };
                    all.get(at as usize..at as usize + wanted)?
                };
                sum_up(residuals, order, slope, |x| out.push(first.wrapping_add(x.wrapping_mul(divisor))));
                below
            }
        };
        if let Some(below) = below {
            let mut lower = Vec::new();
            self.integers(page, below as usize, depth + 1, &mut lower)?;
            if lower.len() != out.len() {
                return None;
            }
            out.iter_mut().zip(&lower).for_each(|(own, lower)| *own = own.wrapping_add(*lower));
        }
        if below.is_some() || depth > 0 {
            if self.recent.len() >= RECENT_MAX {
                self.recent.clear();
            }
            self.recent.push((series, out.clone()));
        }
        Some(())
    }

    fn decode(&mut self, page: &[u8], class: usize) -> Option<()> {
        let stream = self.streams.get_mut(class)?;
        let Numbers::Packed { from, to, count } = *stream else { return Some(()) };
        let bytes = page.get(from..to)?;
        *stream = if class == CLASS_DOUBLES {
            let mut numbers = vec![0f64; count];
            let progress = simple_decompress_into(bytes, &mut numbers).ok()?;
            (progress.n_processed == count && progress.finished).then_some(Numbers::Doubles(numbers))?
        } else {
            let mut numbers = vec![0i64; count];
            let progress = simple_decompress_into(bytes, &mut numbers).ok()?;
            (progress.n_processed == count && progress.finished).then_some(Numbers::Integers(numbers))?
        };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Column = (Vec<f64>, Option<(u32, f64)>);

    fn round_trip(columns: &[Column]) -> usize {
        let (mut builder, mut bytes) = (PageBuilder::default(), Vec::new());
        for (number, (values, bucket)) in columns.iter().enumerate() {
            // Buckets of one histogram share their column.
            builder.push(if bucket.is_some() { 7 } else { number as u32 }, values, *bucket);
        }
        builder.finish(&mut bytes).unwrap();
        let (mut page, mut read) = (OpenPage::open(&bytes).unwrap(), Vec::new());
        for (number, (values, _)) in columns.iter().enumerate() {
            page.values(&bytes, number, &mut read).unwrap();
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read), bits(values), "series {number}");
            assert_eq!(page.times(number).map(|t| t.1), Some(values.len()));
        }
        bytes.len()
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-1000i64..1000).prop_map(|n| n as f64),
            2 => (-100_000i64..100_000).prop_map(|n| n as f64 / 1000.0),
            1 => any::<u64>().prop_map(f64::from_bits),
            1 => prop_oneof![Just(-0.0), Just(f64::INFINITY), Just(bramble_signal::stale_marker()), Just(9e15), Just(-9e15)],
        ]
    }

    fn column() -> impl Strategy<Value = Vec<f64>> {
        prop_oneof![
            proptest::collection::vec(value(), 1..40),
            (1usize..40, value()).prop_map(|(n, v)| vec![v; n]),
            (1usize..300, -50i64..50, 0i64..5, 0u8..4)
                .prop_map(|(n, a, b, e)| { (0..n as i64).map(|i| from_integer(a * i + b * i * i, e)).collect() }),
            (1usize..60, 0usize..60).prop_map(|(n, at)| {
                let mut counter: Vec<f64> = (0..n).map(|i| (i * i) as f64).collect();
                counter[at % n] = bramble_signal::stale_marker();
                counter
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(columns in proptest::collection::vec((column(), proptest::option::of((0u32..2, value()))), 1..12)) {
            round_trip(&columns);
        }

        #[test]
        fn damage_is_refused_or_harmless(columns in proptest::collection::vec(column(), 1..6), flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
            let (mut builder, mut bytes) = (PageBuilder::default(), Vec::new());
            columns.iter().for_each(|values| builder.push(0, values, Some((1, values.len() as f64))));
            builder.finish(&mut bytes).unwrap();
            for (at, flip) in flips {
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= flip;
            }
            if let Some(mut page) = OpenPage::open(&bytes) {
                let mut read = Vec::new();
                for number in 0..columns.len() {
                    let _ = page.values(&bytes, number, &mut read);
                }
            }
        }
    }

    #[test]
    fn buckets_are_cheap_without_the_bucket_below() {
        let mut rng = bramble_runtime::Rng::new(1);
        let mut counts = [0f64; 8];
        let mut columns: Vec<Column> = (0..8).map(|b| (Vec::new(), Some((0, f64::from(b))))).collect();
        for _ in 0..400 {
            let mut sum = 0;
            for (count, (values, _)) in counts.iter_mut().zip(&mut columns) {
                sum += rng.below(8);
                *count += sum as f64;
                values.push(*count);
            }
        }
        let related = round_trip(&columns);
        columns.iter_mut().for_each(|(_, bucket)| *bucket = None);
        let apart = round_trip(&columns);
        assert!(related * 5 < apart * 4, "{related} {apart}");
    }
}
