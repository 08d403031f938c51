//! Series of all hubs, in ascending order of labels.

use super::samples;
use crate::asked::Asked;
use crate::frame::SERIES;
use crate::series::{SeriesFrame, memory_bytes};
use bramble_signal::{Labels, SeriesSamples};
use bramble_storage::{QueryContext, ReadError, SeriesCursor};

/// Series of another hub.
struct PeerSeries {
    asked: Asked,
    frame: Option<SeriesFrame>,
    /// The next entry of the frame.
    at: usize,
    /// What the query is charged for the frame.
    held: usize,
    last: Option<Labels>,
}

impl PeerSeries {
    /// Makes sure that the next entry is there; `false` at the end.
    fn fill(&mut self, context: &QueryContext) -> Result<bool, ReadError> {
        loop {
            if self.frame.as_ref().is_some_and(|frame| self.at < frame.batch.series_count()) {
                return Ok(true);
            }
            self.frame = None;
            context.release(std::mem::take(&mut self.held));
            let Some((kind, payload)) = self.asked.next(context)? else { return Ok(false) };
            match SeriesFrame::read(&payload) {
                Ok(frame) if kind == SERIES => {
                    context.reserve(frame.memory_bytes())?;
                    (self.held, self.at) = (frame.memory_bytes(), 0);
                    self.frame = Some(frame);
                }
                Ok(_) => self.asked.lose("it sent what was not asked for", context),
                Err(why) => self.asked.lose(&why, context),
            }
        }
    }

    /// The next series; `false` at the end.
    fn next(&mut self, out: &mut SeriesSamples, context: &QueryContext) -> Result<bool, ReadError> {
        out.clear_samples();
        let Some(labels) = self.labels(context)? else { return Ok(false) };
        if self.last.as_ref().is_some_and(|last| labels <= *last) {
            // A merge of what is not in order would lose series in silence.
            self.asked.lose("its series are not in order", context);
            self.frame = None;
            return Ok(false);
        }
        loop {
            if let Some(frame) = &self.frame {
                frame.append(self.at, out);
            }
            self.at += 1;
            if self.labels(context)?.is_none_or(|next| next != labels) {
                break;
            }
        }
        if !out.timestamps_ms.is_sorted_by(|a, b| a < b) {
            self.asked.lose("its samples are not in order", context);
            self.frame = None;
            out.clear_samples();
        }
        out.labels = labels.clone();
        self.last = Some(labels);
        Ok(true)
    }

    fn labels(&mut self, context: &QueryContext) -> Result<Option<Labels>, ReadError> {
        if !self.fill(context)? {
            return Ok(None);
        }
        Ok(self.frame.as_ref().and_then(|frame| frame.labels(self.at)).map(|labels| labels.to_labels()))
    }
}

enum Source<'a> {
    Local(Box<dyn SeriesCursor + 'a>),
    Peer(Box<PeerSeries>),
}

/// A source, and its next series.
struct Input<'a> {
    source: Source<'a>,
    head: SeriesSamples,
    /// Whether `head` is the next series; otherwise it must be read.
    filled: bool,
    ended: bool,
    /// What the query is charged for the head of another hub.
    held: usize,
}

impl<'a> Input<'a> {
    fn new(source: Source<'a>) -> Self {
        Input { source, head: SeriesSamples::default(), filled: false, ended: false, held: 0 }
    }

    fn fill(&mut self, context: &QueryContext) -> Result<(), ReadError> {
        if self.filled || self.ended {
            return Ok(());
        }
        context.release(std::mem::take(&mut self.held));
        self.filled = match &mut self.source {
            Source::Local(cursor) => cursor.next(&mut self.head)?,
            Source::Peer(peer) => {
                let found = peer.next(&mut self.head, context)?;
                let bytes = memory_bytes(&self.head);
                context.reserve(bytes)?;
                self.held = bytes;
                found
            }
        };
        self.ended = !self.filled;
        Ok(())
    }
}

/// The merge.
pub(super) struct SeriesMerge<'a> {
    /// This hub's first.
    inputs: Vec<Input<'a>>,
    context: &'a QueryContext,
}

impl<'a> SeriesMerge<'a> {
    pub(super) fn new(local: Box<dyn SeriesCursor + 'a>, asked: Vec<Asked>, context: &'a QueryContext) -> Self {
        let peer = |asked| {
            let peer = PeerSeries { asked, frame: None, at: 0, held: 0, last: None };
            Input::new(Source::Peer(Box::new(peer)))
        };
        let inputs = [Input::new(Source::Local(local))].into_iter().chain(asked.into_iter().map(peer)).collect();
        SeriesMerge { inputs, context }
    }
}

impl SeriesCursor for SeriesMerge<'_> {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, ReadError> {
        loop {
            for input in &mut self.inputs {
                input.fill(self.context)?;
            }
            let Some(least) = self.inputs.iter().filter(|i| i.filled).map(|i| &i.head.labels).min().cloned() else {
                out.clear_samples();
                return Ok(false);
            };
            let mut having: Vec<&mut Input<'_>> =
                self.inputs.iter_mut().filter(|i| i.filled && i.head.labels == least).collect();
            having.iter_mut().for_each(|input| input.filled = false);
            match having.as_mut_slice() {
                [only] => std::mem::swap(out, &mut only.head),
                several => {
                    let heads: Vec<&SeriesSamples> = several.iter().map(|input| &input.head).collect();
                    samples::merge(&heads, out);
                }
            }
            if !out.values.is_empty() || !out.rollups.is_empty() {
                return Ok(true);
            }
        }
    }
}
