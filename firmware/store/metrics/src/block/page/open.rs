//! Reads pages, series by series.

use super::residuals::{Residuals, Walk};
use super::{
    BUCKETS_MAX, CLASS_DOUBLES, CLASSES, EXCEPTIONS, KIND_CONSTANT, KIND_COPY, KIND_DOUBLE, ORDER_SHIFT, PAGE_SERIES,
    PAGE_VALUES, PAGE_VALUES_MAX, RECENT_MAX, RELATIVE, SAME_COUNT,
};
use crate::bytes::Take;
use crate::decimal::{EXPONENT_MAX, from_integer, to_integer};
use pco::standalone::simple_decompress_into;
use std::collections::HashMap;
use std::ops::Range;

/// A series read from further inside remembers where it stood at every so many values.
const STRIDE: usize = 512;

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
    Integers(Residuals),
    Doubles(Vec<f64>),
    None,
}

/// Integers of a series that others are relative to.
struct Recent {
    series: usize,
    range: Range<usize>,
    integers: Vec<i64>,
}

/// A page opened for reading; streams are decoded when the first series needs them.
pub(crate) struct OpenPage {
    shapes: Vec<Shape>,
    exceptions: Vec<(u32, u64)>,
    streams: Vec<Numbers>,
    /// Buckets read lately: the next one is relative to one of them.
    recent: Vec<Recent>,
    /// States of long series at every [`STRIDE`]th value, as far as they were read.
    walks: HashMap<usize, Vec<Walk>, foldhash::fast::FixedState>,
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
            walks: HashMap::default(),
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
        let slope = if order >= 2 { firsts.zigzag()? } else { 0 };
        let at = *used.get(usize::from(class)).filter(|_| usize::from(class) != CLASS_DOUBLES)?;
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
        let count = self.shapes.get(series)?.count as usize;
        self.append(page, series, 0..count, out)
    }

    /// Appends the values `range` of a series to `out`; what lies before is not turned into values. `None` when the
    /// page is damaged or has fewer.
    pub(crate) fn append(&mut self, page: &[u8], series: usize, range: Range<usize>, out: &mut Vec<f64>) -> Option<()> {
        let shape = *self.shapes.get(series)?;
        if range.end > shape.count as usize || range.start >= range.end {
            return (range.start == range.end).then_some(());
        }
        let before = out.len();
        match shape.form {
            Form::Constant(value) => out.resize(before + range.len(), value),
            // A copy's original is never a copy, so this goes one step deep.
            Form::Copy { of } => match self.shapes.get(of as usize)?.form {
                Form::Copy { .. } => return None,
                _ => self.append(page, of as usize, range.clone(), out)?,
            },
            Form::Double { at } => {
                self.decode(page, CLASS_DOUBLES)?;
                let Some(Numbers::Doubles(all)) = self.streams.get(CLASS_DOUBLES) else { return None };
                out.extend_from_slice(all.get(at as usize + range.start..at as usize + range.end)?);
            }
            Form::Integer { exponent, exceptions, below, .. } => {
                if below.is_none() {
                    self.unpack(page, series, range.clone(), out, |integer| from_integer(integer, exponent))?;
                } else {
                    let mut integers = std::mem::take(&mut self.integers);
                    let read = self.integers(page, series, range.clone(), 0, &mut integers);
                    out.extend(integers.iter().map(|&integer| from_integer(integer, exponent)));
                    self.integers = integers;
                    read?;
                }
                for &(place, bits) in self.exceptions.get(exceptions.0 as usize..exceptions.1 as usize)? {
                    if range.contains(&(place as usize)) {
                        *out.get_mut(before + place as usize - range.start)? = f64::from_bits(bits);
                    }
                }
            }
        }
        (out.len() == before + range.len()).then_some(())
    }

    /// Reads the integers `range` of a series into `out`. `depth`: how many references were followed; what is referred
    /// to has exponent 0 and no exceptions.
    fn integers(
        &mut self,
        page: &[u8],
        series: usize,
        range: Range<usize>,
        depth: usize,
        out: &mut Vec<i64>,
    ) -> Option<()> {
        out.clear();
        let Shape { count, form, .. } = *self.shapes.get(series)?;
        if depth > BUCKETS_MAX || range.end > count as usize {
            return None;
        }
        if let Some(known) = self.recent.iter().find(|r| r.series == series && r.range == range) {
            out.extend_from_slice(&known.integers);
            return Some(());
        }
        let below = match form {
            Form::Constant(value) => {
                out.resize(range.len(), to_integer(value, 0)?);
                return Some(());
            }
            Form::Copy { of } => return self.integers(page, of as usize, range, depth + 1, out),
            Form::Double { .. } => return None,
            Form::Integer { exponent, exceptions, .. }
                if depth > 0 && (exponent != 0 || exceptions.0 != exceptions.1) =>
            {
                return None;
            }
            Form::Integer { below, .. } => {
                self.unpack(page, series, range.clone(), out, |integer| integer)?;
                below
            }
        };
        if let Some(below) = below {
            let mut lower = Vec::new();
            self.integers(page, below as usize, range.clone(), depth + 1, &mut lower)?;
            if lower.len() != out.len() {
                return None;
            }
            out.iter_mut().zip(&lower).for_each(|(own, lower)| *own = own.wrapping_add(*lower));
        }
        if below.is_some() || depth > 0 {
            if self.recent.len() >= RECENT_MAX {
                self.recent.clear();
            }
            self.recent.push(Recent { series, range, integers: out.clone() });
        }
        Some(())
    }

    /// Appends what `convert` makes of the own integers `range` of a series, begun at the nearest state before it.
    fn unpack<T>(
        &mut self,
        page: &[u8],
        series: usize,
        range: Range<usize>,
        out: &mut Vec<T>,
        convert: impl Fn(i64) -> T,
    ) -> Option<()> {
        let Shape { count, form: Form::Integer { class, order, divisor, first, slope, at, .. }, .. } =
            *self.shapes.get(series)?
        else {
            return None;
        };
        let convert = |x: i64| convert(first.wrapping_add(x.wrapping_mul(divisor)));
        if class == 0 {
            let slope = if order >= 2 { slope } else { 0 };
            out.extend(range.map(|i| convert(slope.wrapping_mul(i as i64))));
            return Some(());
        }
        self.decode(page, usize::from(class))?;
        let Some(Numbers::Integers(all)) = self.streams.get(usize::from(class)) else { return None };
        let wanted = (count as usize).checked_sub(if order == 2 { 2 } else { 1 })?;
        let residuals = at as usize..at as usize + wanted;
        let mut walk = Walk::new(slope);
        if range.start >= STRIDE {
            let known = self.walks.entry(series).or_default();
            if let Some(state) = (range.start / STRIDE).min(known.len()).checked_sub(1).and_then(|i| known.get(i)) {
                walk = *state;
            }
            while (known.len() + 1) * STRIDE <= range.start {
                all.skip(&residuals, order, &mut walk, (known.len() + 1) * STRIDE)?;
                known.push(walk);
            }
        }
        if range.start == 0 {
            out.push(convert(0));
        } else {
            all.skip(&residuals, order, &mut walk, range.start)?;
            out.push(convert(walk.x));
        }
        all.emit(&residuals, order, &mut walk, range.end - 1, out, convert)
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
            let whole = progress.n_processed == count && progress.finished;
            whole.then(|| Numbers::Integers(Residuals::of(numbers)))?
        };
        Some(())
    }

    /// Whether all streams are decoded: then it is read without the page.
    pub(crate) fn is_decoded(&self) -> bool {
        !self.streams.iter().any(|stream| matches!(stream, Numbers::Packed { .. }))
    }

    /// Forgets what only neighbouring reads use. Memory that remains, in bytes.
    pub(crate) fn rest(&mut self) -> usize {
        (self.recent, self.integers) = (Vec::new(), Vec::new());
        let streams = self.streams.iter().map(|stream| match stream {
            Numbers::Integers(residuals) => residuals.bytes(),
            Numbers::Doubles(doubles) => doubles.capacity() * 8,
            Numbers::Packed { .. } | Numbers::None => 0,
        });
        let walks = self.walks.values().map(|walk| walk.capacity() * size_of::<Walk>() + 48);
        streams.sum::<usize>()
            + walks.sum::<usize>()
            + self.streams.capacity() * size_of::<Numbers>()
            + self.shapes.capacity() * size_of::<Shape>()
            + self.exceptions.capacity() * 16
    }
}
