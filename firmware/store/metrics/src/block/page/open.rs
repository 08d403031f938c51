//! Reads pages, series by series.

use super::residuals::sum_up;
use super::{
    BUCKETS_MAX, CLASS_DOUBLES, CLASSES, EXCEPTIONS, KIND_CONSTANT, KIND_COPY, KIND_DOUBLE, ORDER_SHIFT, PAGE_SERIES,
    PAGE_VALUES, PAGE_VALUES_MAX, RECENT_MAX, RELATIVE, SAME_COUNT,
};
use crate::bytes::Take;
use crate::decimal::{EXPONENT_MAX, from_integer, to_integer};
use pco::standalone::simple_decompress_into;

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
