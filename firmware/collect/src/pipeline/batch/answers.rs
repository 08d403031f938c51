//! One answer for many senders, and many answers for one.
//!
//! A store counts what it refused for good and tells the story of the first of each kind, but not whose it was. Behind a
//! gathered batch the first requests are told of refusals, up to as many as they have items: sums over all senders are
//! exact, and the story names the series or stream.

use bramble_storage::{Batch, Done, Rejections, WriteError, Written};
use parking_lot::Mutex;

/// Who waits for an answer, and what it sent.
pub(super) struct Answer {
    items: u64,
    histograms: u64,
    exemplars: u64,
    done: Done,
}

impl Answer {
    pub(super) fn of(batch: &Batch, done: Done) -> Answer {
        let (histograms, exemplars) = match batch {
            Batch::Metrics(metrics) => (metrics.histogram_count() as u64, metrics.exemplar_count() as u64),
            Batch::Logs(_) | Batch::Spans(_) => (0, 0),
        };
        Answer { items: batch.item_count() as u64, histograms, exemplars, done }
    }
}

/// All who wait for one batch.
pub(super) struct Answers(pub(super) Vec<Answer>);

impl Answers {
    /// Tells each of its part.
    pub(super) fn done(self) -> Done {
        let Answers(mut answers) = self;
        if answers.len() == 1
            && let Some(only) = answers.pop()
        {
            return only.done;
        }
        Box::new(move |outcome: Result<Written, WriteError>| match outcome {
            Err(error) => answers.into_iter().for_each(|answer| (answer.done)(Err(error.clone()))),
            Ok(written) => {
                let mut rest = Rest::new(&written);
                for answer in answers {
                    let part = rest.part(&answer);
                    (answer.done)(Ok(part));
                }
            }
        })
    }
}

/// What is still to be told of a batch.
struct Rest<'a> {
    refused: Vec<(bramble_storage::RejectReason, u64, &'a str)>,
    histograms: u64,
    exemplars: u64,
}

impl<'a> Rest<'a> {
    fn new(written: &'a Written) -> Self {
        let refused = written.rejections.stories().collect();
        Rest { refused, histograms: written.histograms, exemplars: written.exemplars }
    }

    fn part(&mut self, answer: &Answer) -> Written {
        let mut accepted = answer.items;
        let mut rejections = Rejections::new();
        for (reason, left, story) in &mut self.refused {
            let count = accepted.min(*left);
            rejections.add(*reason, count, || (*story).to_owned());
            *left -= count;
            accepted -= count;
        }
        let (histograms, exemplars) = (answer.histograms.min(self.histograms), answer.exemplars.min(self.exemplars));
        self.histograms -= histograms;
        self.exemplars -= exemplars;
        Written { accepted, histograms, exemplars, rejections }
    }
}

/// One who waits for several batches. If one of them is refused, all is refused: what is sent again is equal to what is
/// there, and equal items are one.
pub(super) struct Joined(Mutex<Parts>);

struct Parts {
    left: usize,
    written: Written,
    refused: Option<WriteError>,
    done: Option<Done>,
}

impl Joined {
    pub(super) fn new(parts: usize, done: Done) -> Joined {
        Joined(Mutex::new(Parts { left: parts, written: Written::default(), refused: None, done: Some(done) }))
    }

    pub(super) fn heard(&self, outcome: Result<Written, WriteError>) {
        let mut parts = self.0.lock();
        match outcome {
            Ok(written) => {
                let sum = &mut parts.written;
                sum.accepted += written.accepted;
                sum.histograms += written.histograms;
                sum.exemplars += written.exemplars;
                sum.rejections.merge(written.rejections);
            }
            Err(error) => parts.refused = Some(error),
        }
        parts.left = parts.left.saturating_sub(1);
        if parts.left > 0 {
            return;
        }
        let outcome = match parts.refused.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut parts.written)),
        };
        let done = parts.done.take();
        drop(parts);
        if let Some(done) = done {
            done(outcome);
        }
    }
}
