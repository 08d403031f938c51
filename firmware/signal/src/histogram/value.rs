//! How a column of numbers says "here is a histogram": by a NaN that no sender can bring in.
//!
//! A column of samples stays eight bytes per value, whatever the values are. The histograms themselves lie beside the
//! column, and the low half of the NaN's payload is the place there.

use super::NativeHistogram;

/// A signalling NaN; the low 32 bits are the place of the histogram.
const MARKER_BITS: u64 = 0x7ff0_4000_0000_0000;
const MARKER_MASK: u64 = 0xffff_ffff_0000_0000;

/// The value that stands for the histogram at `place` of its column's histograms.
pub fn histogram_marker(place: u32) -> f64 {
    f64::from_bits(MARKER_BITS | u64::from(place))
}

/// Whether a value stands for a histogram.
pub fn is_histogram_marker(value: f64) -> bool {
    value.to_bits() & MARKER_MASK == MARKER_BITS
}

/// The histogram that `value` stands for, if it does.
pub fn histogram_at(value: f64, histograms: &[NativeHistogram]) -> Option<&NativeHistogram> {
    is_histogram_marker(value).then(|| histograms.get(value.to_bits() as u32 as usize)).flatten()
}

/// A sender's value: a NaN that would be taken for a histogram becomes the ordinary NaN.
pub fn without_marker(value: f64) -> f64 {
    if is_histogram_marker(value) { f64::NAN } else { value }
}
