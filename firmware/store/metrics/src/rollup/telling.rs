//! Samples that can be told from rows.

use super::Row;
use bramble_signal::{ROLLUP_WIDTH_MS, stale_marker};

/// Appends, ascending in time and within `range`, what is known of a series from its rows: first and last sample of
/// each; between them, where a counter was reset, a peak and if need be a trough, chosen so that who adds up rises finds
/// the increase; and a staleness marker after a last sample that had one.
pub(crate) fn tell(rows: &[Row], range: (i64, i64), timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) {
    let mut push = |timestamp_ms: i64, value: f64| {
        if (range.0..=range.1).contains(&timestamp_ms) {
            timestamps_ms.push(timestamp_ms);
            values.push(value);
        }
    };
    for row in rows {
        let rollup = &row.rollup;
        let (first, last) = (rollup.first, rollup.last);
        if rollup.count == 0 {
            push(last.timestamp_ms, stale_marker());
            continue;
        }
        push(first.timestamp_ms, first.value);
        let span_ms = last.timestamp_ms - first.timestamp_ms;
        if span_ms > 0 {
            let seen = if last.value < first.value { first.value } else { 0.0 };
            if row.lost != seen && row.lost >= first.value && rollup.min >= 0.0 && span_ms >= 3 {
                push(first.timestamp_ms + span_ms / 3, row.lost);
                if row.lost <= last.value {
                    push(first.timestamp_ms + span_ms / 3 * 2, rollup.min);
                }
            }
            push(last.timestamp_ms, last.value);
        }
        let end_ms = rollup.start_ms.saturating_add(ROLLUP_WIDTH_MS);
        if rollup.stale && last.timestamp_ms < end_ms {
            // Where the next scrape would have been: that is when senders mark a series as gone.
            let gap_ms = if rollup.count > 1 { span_ms / i64::from(rollup.count - 1) } else { ROLLUP_WIDTH_MS };
            push((last.timestamp_ms + gap_ms.max(1)).min(end_ms), stale_marker());
        }
    }
}
