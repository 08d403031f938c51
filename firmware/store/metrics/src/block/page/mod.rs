//! Grouped pages: the values of many series that follow each other in label order.
//!
//! ```text
//! page    := series count, shape length, times length, firsts length, packed length, packed, stream count, stream*
//! packed  := zstd of shapes ++ times ++ firsts
//! shape   := flags, [count], exponent and class and divisor and reference (integers), distance (copies), exceptions
//! times   := per series: number of its timestamp column, as difference
//! firsts  := per series: first value, and slope for orders 2 and 3
//! stream  := class, count, length, pco of all residuals of that class
//! ```
//! A series whose values are decimals of one exponent becomes integers `first + divisor * x`; `x` is differenced 0, 1
//! or 2 times, or once and counted from its usual step (order 3), whichever is shortest, and its residuals join the
//! stream of their magnitude, so that pco sees thousands of numbers alike instead of a hundred of each. Doubles that are no decimals share one stream; a constant
//! has no residuals; a histogram's bucket is kept without the bucket below it; a series equal to an earlier one of the page is a reference to it. Values that are no
//! numbers (staleness marker, NaN, infinities, -0.0) are exceptions beside their series, bit for bit.

mod builder;
mod open;
mod residuals;
#[cfg(test)]
mod tests;

pub(crate) use builder::PageBuilder;
pub(crate) use open::OpenPage;

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

/// Streams of residuals are numbered by their mean bits; doubles have a stream of their own among them. Version 1 had
/// none behind the doubles, and numbered by the bits of the largest residual: to a reader that is the same.
const CLASS_DOUBLES: usize = 16;
const CLASSES: usize = 48;
/// A stream with fewer values joins the next larger one: pco's own tables take some 40 bytes.
const STREAM_VALUES_MIN: usize = 192;
const PCO_LEVEL: usize = 8;
const ZSTD_LEVEL: i32 = 3;
