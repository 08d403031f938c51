//! Whole lines into a batch: JSON, Prometheus text, OpenMetrics.

use super::BATCH_BYTES;
use bramble_signal::{MetricBatch, MetricKind};
use bramble_wire::exposition::{
    CollectOptions, Collector, Entry, ExpositionError, ExpositionFormat, OpenMetricsParser, TextParser,
};
use bramble_wire::victoria::LineDecoder;
use bramble_wire::{Decoded, Limits};

/// Longest family of OpenMetrics that is held back until its end.
const FAMILY_BYTES: usize = 256 << 10;

/// Reads lines, in pieces of a body, and knows at which line it is.
pub(super) struct Lines {
    kind: Kind,
    options: CollectOptions,
    read: u64,
    bad: u64,
    first_bad: Option<String>,
}

enum Kind {
    Json(LineDecoder),
    Text(Exposition),
    OpenMetrics(Exposition),
}

/// What one piece of a document must know of the one before.
struct Exposition {
    collector: Collector,
    family: String,
    family_kind: MetricKind,
    /// OpenMetrics: `# EOF` was read.
    is_over: bool,
}

impl Lines {
    pub(super) fn json(options: CollectOptions, limits: Limits) -> Self {
        Self::of(Kind::Json(LineDecoder::new(limits)), options)
    }

    pub(super) fn exposition(format: ExpositionFormat, options: CollectOptions, limits: Limits) -> Self {
        let (collector, family) = (Collector::new(limits), String::new());
        let exposition = Exposition { collector, family, family_kind: MetricKind::Unknown, is_over: false };
        let kind = match format {
            ExpositionFormat::OpenMetrics => Kind::OpenMetrics(exposition),
            _ => Kind::Text(exposition),
        };
        Self::of(kind, options)
    }

    fn of(kind: Kind, options: CollectOptions) -> Self {
        Lines { kind, options, read: 0, bad: 0, first_bad: None }
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }

    pub(super) fn take_bad(&mut self) -> Option<(u64, String)> {
        let first = self.first_bad.take()?;
        Some((std::mem::take(&mut self.bad), first))
    }

    pub(super) fn begin_batch(&mut self) {
        if let Kind::Text(exposition) | Kind::OpenMetrics(exposition) = &mut self.kind {
            exposition.collector.begin_batch();
        }
    }

    /// Memory that the batch takes, about.
    pub(super) fn batch_bytes(&self, decoded: &Decoded<MetricBatch>) -> usize {
        match &self.kind {
            // Quick to tell: there is neither metadata nor a histogram.
            Kind::Json(_) => decoded.batch.memory_bytes(),
            Kind::Text(exposition) | Kind::OpenMetrics(exposition) => exposition.collector.batch_bytes(),
        }
    }

    /// Where the lines of `text` end that can be read now; 0 for nowhere. Below `searched` there is no end.
    ///
    /// A piece of OpenMetrics ends between families, so that the start of a group is in one piece with its samples,
    /// unless a family is longer than [`FAMILY_BYTES`].
    pub(super) fn end_of_whole(&self, text: &[u8], searched: usize, is_last: bool) -> usize {
        if is_last {
            return text.len();
        }
        let from = searched.min(text.len());
        let line_end = |from: usize| text.get(from..)?.iter().rposition(|b| *b == b'\n').map(|at| from + at + 1);
        let Kind::OpenMetrics(_) = self.kind else { return line_end(from).unwrap_or(0) };
        let from = from.saturating_sub(1);
        let between = text.get(from..).unwrap_or_default().windows(2).rposition(|pair| pair == b"\n#");
        match between {
            Some(at) => from + at + 1,
            None if text.len() >= FAMILY_BYTES => line_end(0).unwrap_or(0),
            None => 0,
        }
    }

    /// Memory for batch and scratch while [`take`](Self::take) is at work.
    pub(super) fn bytes_needed(&self, whole: &[u8], decoded: &Decoded<MetricBatch>) -> usize {
        match &self.kind {
            Kind::Json(_) => {
                let line = first_line(whole);
                let commas = line.iter().filter(|b| **b == b',').count();
                // Each number costs 8 bytes of scratch, and 8 in the batch; vectors double.
                decoded.batch.memory_bytes() * 2 + commas * 32 + line.len()
            }
            _ => BATCH_BYTES * 3,
        }
    }

    /// Takes some of the lines and returns how many bytes they were: one line of JSON; of text, all or until the batch
    /// is full.
    pub(super) fn take(&mut self, whole: &[u8], decoded: &mut Decoded<MetricBatch>) -> usize {
        let taken = match &mut self.kind {
            Kind::Json(decoder) => {
                let line = first_line(whole);
                if let Err(why) = decoder.line(line, &self.options.labels, decoded) {
                    // A series over a limit is counted as rejected too; here its line is named.
                    decoded.rejected = Default::default();
                    let line = self.read + 1;
                    self.bad += 1;
                    self.first_bad.get_or_insert_with(|| format!("line {line}: {why}"));
                }
                (line.len() + 1).min(whole.len())
            }
            Kind::Text(exposition) => {
                let name = std::mem::take(&mut exposition.family);
                let mut parser = TextParser::resume(whole, &name, exposition.family_kind);
                loop {
                    let step = exposition.step(parser.next(), &self.options, decoded);
                    if keep_on(step, self.read, (&mut self.bad, &mut self.first_bad)) {
                        break;
                    }
                }
                (exposition.family, exposition.family_kind) = (parser.family().0.to_owned(), parser.family().1);
                parser.position()
            }
            Kind::OpenMetrics(exposition) if exposition.is_over => {
                let line = self.read;
                self.bad += 1;
                self.first_bad.get_or_insert_with(|| format!("line {line}: there is more after # EOF"));
                whole.len()
            }
            Kind::OpenMetrics(exposition) => {
                let name = std::mem::take(&mut exposition.family);
                let mut parser = OpenMetricsParser::resume(whole, &name, exposition.family_kind);
                loop {
                    let step = exposition.step(parser.next(), &self.options, decoded);
                    if keep_on(step, self.read, (&mut self.bad, &mut self.first_bad)) {
                        break;
                    }
                }
                (exposition.family, exposition.family_kind) = (parser.family().0.to_owned(), parser.family().1);
                exposition.is_over |= parser.has_eof();
                parser.position()
            }
        };
        let lines = whole.get(..taken).unwrap_or_default();
        self.read += lines.iter().filter(|b| **b == b'\n').count() as u64;
        self.read += u64::from(lines.last().is_some_and(|b| *b != b'\n'));
        taken
    }
}

/// What came of one entry.
enum Taken {
    More,
    Enough,
    Bad(ExpositionError),
}

/// Notes a bad line; whether this piece is over.
fn keep_on(step: Taken, read: u64, (bad, first_bad): (&mut u64, &mut Option<String>)) -> bool {
    match step {
        Taken::More => false,
        Taken::Enough => true,
        Taken::Bad(mut error) => {
            *bad += 1;
            error.line += read;
            first_bad.get_or_insert_with(|| error.to_string());
            false
        }
    }
}

impl Exposition {
    fn step(
        &mut self,
        next: Result<Option<Entry<'_, '_>>, ExpositionError>,
        options: &CollectOptions,
        decoded: &mut Decoded<MetricBatch>,
    ) -> Taken {
        let entry = match next {
            Ok(None) => return Taken::Enough,
            Ok(Some(entry)) => entry,
            Err(error) => return Taken::Bad(error),
        };
        if let Err(error) = self.collector.take(&entry, options, decoded) {
            return Taken::Bad(error.into());
        }
        if self.collector.batch_bytes() >= BATCH_BYTES { Taken::Enough } else { Taken::More }
    }
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}
