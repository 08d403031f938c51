//! From pieces of a body to batches, within what is reserved.

use super::super::refusal::Refusal;
use super::lines::Lines;
use super::{BATCH_BYTES, LINE_BYTES_MAX};
use bramble_runtime::Reservation;
use bramble_signal::MetricBatch;
use bramble_wire::Decoded;
use bramble_wire::compression::Encoding;
use bramble_wire::inflate::Inflate;
use bytes::{Buf, Bytes};

/// What a step of decompression adds at most, generously.
const STEP_BYTES: usize = 256 << 10;

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Push the next piece of the body, or end it.
    NeedInput,
    /// Take the batch.
    BatchReady,
    /// Take the last batch.
    Done,
}

/// A body under way.
pub(super) struct Feed {
    /// `None` once everything is unfolded.
    inflate: Option<Inflate>,
    input: Bytes,
    is_ended: bool,
    /// Unfolded and not parsed.
    text: Vec<u8>,
    /// So much of `text` holds no end of a line: not to be looked at again and again while a long line arrives.
    searched: usize,
    lines: Lines,
    decoded: Decoded<MetricBatch>,
    held: Reservation,
    line_bytes_max: usize,
    /// More than this can never be reserved.
    budget_bytes: usize,
}

impl Feed {
    pub(super) fn new(
        encoding: Encoding,
        lines: Lines,
        held: Reservation,
        budget_bytes: usize,
    ) -> Result<Self, Refusal> {
        let (input, text, decoded, searched, is_ended) = Default::default();
        let inflate = Some(Inflate::new(encoding)?);
        let line_bytes_max = LINE_BYTES_MAX.min(budget_bytes / 4);
        Ok(Feed { inflate, input, is_ended, text, searched, lines, decoded, held, line_bytes_max, budget_bytes })
    }

    /// The next piece; the one before must be used up.
    pub(super) fn push(&mut self, input: Bytes) {
        self.input = input;
    }

    /// There are no more pieces.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Lines that were read, the bad ones too.
    pub(super) fn lines_read(&self) -> u64 {
        self.lines.read()
    }

    /// How many lines were bad since the last call, and the first.
    pub(super) fn take_bad(&mut self) -> Option<(u64, String)> {
        self.lines.take_bad()
    }

    /// What was decoded, and what it holds of the reservation.
    pub(super) fn take_batch(&mut self) -> (Decoded<MetricBatch>, Reservation) {
        let decoded = std::mem::take(&mut self.decoded);
        self.lines.begin_batch();
        let mut held = self.held.split(decoded.batch.memory_bytes());
        held.force_resize(decoded.batch.memory_bytes());
        (decoded, held)
    }

    /// Works until something is needed. After [`Refusal::OverBudget`] it may be called again.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`], [`Refusal::Corrupt`], [`Refusal::TooLarge`].
    pub(super) fn step(&mut self) -> Result<Step, Refusal> {
        loop {
            self.parse()?;
            if self.lines.batch_bytes(&self.decoded) >= BATCH_BYTES {
                return Ok(Step::BatchReady);
            }
            let Some(inflate) = &mut self.inflate else { return Ok(Step::Done) };
            if self.text.len() > self.line_bytes_max {
                let (line, max) = (self.lines.read() + 1, self.line_bytes_max);
                return Err(Refusal::TooLarge(format!("line {line} is longer than the limit of {max} bytes")));
            }
            reserve(&mut self.held, self.text.len() * 2 + STEP_BYTES)?;
            let before = self.text.len();
            let taken = inflate.step(&self.input, &mut self.text)?;
            self.input.advance(taken);
            if !self.input.is_empty() || self.text.len() > before {
                continue;
            }
            if !self.is_ended {
                return Ok(Step::NeedInput);
            }
            if let Some(inflate) = self.inflate.take() {
                inflate.finish(&mut self.text)?;
                // The last line needs no end.
                self.searched = 0;
            }
        }
    }

    /// Parses the whole lines that there are, until the batch is full.
    fn parse(&mut self) -> Result<(), Refusal> {
        let mut start = 0;
        let end = self.lines.end_of_whole(&self.text, self.searched, self.inflate.is_none());
        if end == 0 {
            self.searched = self.text.len();
            return Ok(());
        }
        let outcome = loop {
            let Some(whole) = self.text.get(start..end).filter(|whole| !whole.is_empty()) else { break Ok(()) };
            let needed = self.text.capacity() + self.lines.bytes_needed(whole, &self.decoded);
            if needed > self.budget_bytes {
                let line = self.lines.read() + 1;
                break Err(Refusal::TooLarge(format!("line {line} needs more memory than there is for receiving")));
            }
            if let Err(refusal) = reserve(&mut self.held, needed) {
                break Err(refusal);
            }
            start += self.lines.take(whole, &mut self.decoded);
            if self.lines.batch_bytes(&self.decoded) >= BATCH_BYTES {
                break Ok(());
            }
        };
        self.text.drain(..start);
        self.searched = 0;
        outcome
    }
}

fn reserve(held: &mut Reservation, bytes: usize) -> Result<(), Refusal> {
    if held.bytes() < bytes {
        held.resize(bytes)?;
    }
    Ok(())
}
