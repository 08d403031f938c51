//! Counter resets: told by comparison, by hints, or by the times when counts began.

use bramble_signal::{NativeHistogram, ResetHint, SeriesSamples, histogram_at};

/// Puts into the hints of a series' histograms, where nothing is known, what comparing each with the one before it
/// tells. Of the first nothing can be told.
pub(crate) fn tell_resets(series: &mut SeriesSamples) {
    if series.histograms.is_empty() {
        return;
    }
    let mut told = Vec::new();
    let mut before: Option<&NativeHistogram> = None;
    for value in &series.values {
        let Some(histogram) = histogram_at(*value, &series.histograms) else { continue };
        if let (ResetHint::Unknown, Some(before)) = (histogram.reset_hint, before) {
            let hint = if histogram.detect_reset(before) { ResetHint::Reset } else { ResetHint::NotReset };
            told.push((value.to_bits() as u32 as usize, hint));
        }
        before = Some(histogram);
    }
    for (place, hint) in told {
        if let Some(histogram) = series.histograms.get_mut(place) {
            histogram.reset_hint = hint;
        }
    }
}

/// A sample's time and when what it counts began (0 for not known), milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) time_ms: i64,
    pub(crate) start_ms: i64,
}

/// Whether the times tell of a reset between two samples.
///
/// A count that began exactly at the sample before is a delta, unless that sample's own beginning is unknown: then the
/// sender only said the last time at which it knew nothing.
pub(crate) fn began_anew(before: Counted, now: Counted) -> bool {
    if now.start_ms == 0 || now.start_ms >= now.time_ms || now.start_ms < before.time_ms {
        return false;
    }
    now.start_ms > before.time_ms || before.start_ms != 0 && before.start_ms < before.time_ms
}

/// Whether a count claims to have begun before the sample ahead of it, and not when that one did.
pub(crate) fn overlaps(before: Counted, now: Counted) -> bool {
    now.start_ms != 0 && now.start_ms < before.time_ms && now.start_ms != before.start_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time_ms: i64, start_ms: i64) -> Counted {
        Counted { time_ms, start_ms }
    }

    #[test]
    fn times_tell_resets() {
        assert!(began_anew(at(100, 50), at(200, 150)));
        assert!(began_anew(at(100, 50), at(200, 100)), "a delta");
        assert!(!began_anew(at(100, 0), at(200, 100)), "the beginning was unknown");
        assert!(!began_anew(at(100, 100), at(200, 100)), "the beginning was unknown");
        assert!(!began_anew(at(100, 50), at(200, 50)), "the same count");
        assert!(!began_anew(at(100, 50), at(200, 200)) && !began_anew(at(100, 50), at(200, 300)));
        assert!(overlaps(at(100, 50), at(200, 70)) && !overlaps(at(100, 50), at(200, 50)));
    }
}
