//! Columns of numbers that repeat, and what times to expect.

use super::super::RecordError;
use super::super::bytes::{Reader, put_varint, zigzag};

/// A column being written: `signed number, repetitions - 1`.
#[derive(Default)]
pub(super) struct Runs {
    bytes: Vec<u8>,
    run: Option<(i64, u64)>,
}

impl Runs {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.run = None;
    }

    /// Bytes so far, but for the last run.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    pub(super) fn push(&mut self, number: i64) {
        match &mut self.run {
            Some((same, more)) if *same == number => *more += 1,
            _ => {
                self.end_run();
                self.run = Some((number, 0));
            }
        }
    }

    fn end_run(&mut self) {
        if let Some((number, more)) = self.run.take() {
            put_varint(&mut self.bytes, zigzag(number));
            put_varint(&mut self.bytes, more);
        }
    }

    pub(super) fn finish(&mut self) -> &[u8] {
        self.end_run();
        &self.bytes
    }
}

/// A column being read.
pub(super) struct ReadRuns<'a> {
    bytes: Reader<'a>,
    number: i64,
    left: u64,
}

impl<'a> ReadRuns<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        ReadRuns { bytes: Reader(bytes), number: 0, left: 0 }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<i64, RecordError> {
        if self.left == 0 {
            self.number = self.bytes.signed()?;
            self.left = self.bytes.varint()?;
        } else {
            self.left -= 1;
        }
        Ok(self.number)
    }
}

/// Expects each entry to have the times of the one before, as the series of one scrape do.
#[derive(Default)]
pub(super) struct Times {
    /// Of the entry before, and behind them nothing; of this one up to `at`.
    times: Vec<i64>,
    before: usize,
    at: usize,
}

impl Times {
    pub(super) fn next_entry(&mut self) {
        (self.before, self.at) = (self.at, 0);
    }

    /// What the next sample's time is counted from.
    #[inline]
    pub(super) fn expected(&self) -> i64 {
        let place = if self.at < self.before { self.at } else { self.at.wrapping_sub(1) };
        self.times.get(place).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn seen(&mut self, time: i64) {
        match self.times.get_mut(self.at) {
            Some(place) => *place = time,
            None => self.times.push(time),
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_come_back(numbers in prop::collection::vec(prop_oneof![Just(0i64), Just(15_000), any::<i64>()], 0..100)) {
            let mut runs = Runs::default();
            numbers.iter().for_each(|&n| runs.push(n));
            let mut read = ReadRuns::new(runs.finish());
            for number in &numbers {
                prop_assert_eq!(read.next().unwrap(), *number);
            }
            prop_assert!(read.next().is_err());
        }
    }

    #[test]
    fn a_scrape_is_one_run() {
        let (mut runs, mut times) = (Runs::default(), Times::default());
        for _ in 0..1000 {
            times.next_entry();
            for time in [5_000, 20_000, 35_000] {
                runs.push(time - times.expected());
                times.seen(time);
            }
        }
        assert!(runs.finish().len() < 14, "{}", runs.finish().len());
    }
}
