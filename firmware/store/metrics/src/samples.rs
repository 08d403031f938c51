//! The samples of one series on their way between heads, blocks and answers: two columns, and what lies beside them.

use bramble_signal::{NativeHistogram, StartChange, histogram_marker, is_histogram_marker};

/// Parallel columns of samples. `starts` says from which sample on (its index) what the series counts began when; before
/// the first it is not known.
#[derive(Default, Debug)]
pub(crate) struct Samples {
    pub(crate) timestamps_ms: Vec<i64>,
    /// A histogram's marker has its place in `histograms`.
    pub(crate) values: Vec<f64>,
    pub(crate) histograms: Vec<NativeHistogram>,
    pub(crate) starts: Vec<(u32, i64)>,
}

/// Lengths to go back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark([usize; 3]);

impl Samples {
    pub(crate) fn clear(&mut self) {
        self.truncate(Mark([0; 3]));
    }

    pub(crate) fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Whether there are only numbers.
    pub(crate) fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark([self.timestamps_ms.len(), self.histograms.len(), self.starts.len()])
    }

    /// Forgets what was added since `mark`.
    pub(crate) fn truncate(&mut self, Mark([samples, histograms, starts]): Mark) {
        self.timestamps_ms.truncate(samples);
        self.values.truncate(samples);
        self.histograms.truncate(histograms);
        self.starts.truncate(starts);
    }

    /// Says when the counts of the samples added from now on began, milliseconds; 0 for not known.
    pub(crate) fn start_from_here(&mut self, start_ms: i64) {
        if self.starts.last().map_or(0, |&(_, last)| last) == start_ms {
            return;
        }
        let here = self.len() as u32;
        if self.starts.last().is_some_and(|&(at, _)| at == here) {
            self.starts.pop();
            return self.start_from_here(start_ms);
        }
        self.starts.push((here, start_ms));
    }

    pub(crate) fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    pub(crate) fn push_histogram(&mut self, timestamp_ms: i64, histogram: NativeHistogram) {
        self.push(timestamp_ms, histogram_marker(self.histograms.len() as u32));
        self.histograms.push(histogram);
    }

    /// Sorts samples by time; of equal timestamps the last one wins.
    pub(crate) fn normalize(&mut self) {
        if self.timestamps_ms.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut before = std::mem::take(self);
        let starts = before.start_of_each();
        let mut order: Vec<u32> = (0..before.len() as u32).collect();
        // Stable: what arrived later stays later.
        order.sort_by_key(|&at| before.timestamps_ms[at as usize]);
        for (place, &at) in order.iter().enumerate() {
            let (at, next) = (at as usize, order.get(place + 1));
            let timestamp_ms = before.timestamps_ms[at];
            if next.is_some_and(|&next| before.timestamps_ms[next as usize] == timestamp_ms) {
                continue;
            }
            if let Some(&start_ms) = starts.get(at) {
                self.start_from_here(start_ms);
            }
            let value = before.values[at];
            match before.histograms.get_mut(value.to_bits() as u32 as usize) {
                Some(histogram) if is_histogram_marker(value) => {
                    self.push_histogram(timestamp_ms, std::mem::take(histogram));
                }
                _ => self.push(timestamp_ms, value),
            }
        }
    }

    /// Moves the numbers among the samples `from..to` to the end of other columns; histograms stay.
    pub(crate) fn move_numbers(&mut self, from: usize, to: usize, times: &mut Vec<i64>, values: &mut Vec<f64>) {
        let before = std::mem::take(self);
        let starts = before.start_of_each();
        self.histograms = before.histograms;
        for (at, (&timestamp_ms, &value)) in before.timestamps_ms.iter().zip(&before.values).enumerate() {
            if (from..to).contains(&at) && !is_histogram_marker(value) {
                times.push(timestamp_ms);
                values.push(value);
                continue;
            }
            if let Some(&start_ms) = starts.get(at) {
                self.start_from_here(start_ms);
            }
            self.push(timestamp_ms, value);
        }
    }

    /// The start of every sample; empty when none has one.
    fn start_of_each(&self) -> Vec<i64> {
        let mut all = Vec::new();
        for (run, &(at, start_ms)) in self.starts.iter().enumerate() {
            all.resize(at as usize, 0);
            all.resize(self.starts.get(run + 1).map_or(self.len(), |next| next.0 as usize), start_ms);
        }
        all
    }

    /// The starts as answers have them.
    pub(crate) fn start_changes(&self, out: &mut Vec<StartChange>) {
        out.clear();
        let change = |&(at, start_ms): &(u32, i64)| {
            self.timestamps_ms.get(at as usize).map(|&timestamp_ms| StartChange { timestamp_ms, start_ms })
        };
        out.extend(self.starts.iter().filter_map(change));
    }

    /// Samples, a histogram counted as the numbers that it is.
    pub(crate) fn weight(&self) -> usize {
        self.len() + self.histograms.iter().map(|h| h.memory_bytes() / 16).sum::<usize>()
    }

    /// Samples added since `mark`.
    pub(crate) fn since(&self, mark: Mark) -> usize {
        self.len() - mark.0[0]
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        (self.timestamps_ms.capacity() + self.values.capacity()) * 8
            + self.starts.capacity() * 16
            + self.histograms.iter().map(NativeHistogram::memory_bytes).sum::<usize>()
    }
}

/// The start of a list of runs that sample `at` has; for callers that ask in ascending order.
pub(crate) struct StartRuns<'a> {
    runs: &'a [(u32, i64)],
    now: i64,
}

impl<'a> StartRuns<'a> {
    pub(crate) fn new(runs: &'a [(u32, i64)]) -> Self {
        StartRuns { runs, now: 0 }
    }

    pub(crate) fn at(&mut self, at: u32) -> i64 {
        while let Some((&(from, start_ms), rest)) = self.runs.split_first()
            && from <= at
        {
            (self.now, self.runs) = (start_ms, rest);
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_takes_along_what_lies_beside() {
        let of = |n: f64| NativeHistogram { sum: n, ..NativeHistogram::default() };
        let mut samples = Samples::default();
        samples.start_from_here(7);
        samples.push_histogram(30, of(3.0));
        samples.push(10, 1.0);
        samples.start_from_here(0);
        samples.push_histogram(30, of(4.0));
        samples.start_from_here(7);
        samples.push_histogram(20, of(2.0));
        samples.normalize();
        assert_eq!(samples.timestamps_ms, [10, 20, 30]);
        assert_eq!(samples.histograms.iter().map(|h| h.sum).collect::<Vec<_>>(), [2.0, 4.0]);
        assert_eq!(samples.values[2].to_bits(), histogram_marker(1).to_bits());
        assert_eq!(samples.starts, [(0, 7), (2, 0)]);
    }
}
