//! One file that is being read.
//!
//! Chunks are read into a buffer that all files share; between reads a file keeps only the line that has no end yet and the
//! [`TAIL_BYTES_MAX`] bytes before it. Those are read again with the next chunk: when they differ, the file was truncated and
//! written anew, however long it is now.

use super::coding::Coding;
use super::config::{FileFormat, Target};
use super::framing::{Channel, Framing, Whole};
use super::gunzip::Gunzip;
use super::labels::{Origin, labels_of};
use super::position::{HEAD_BYTES_MAX, Position, Print, TAIL_BYTES_MAX};
use super::probe::{Probe, open, read_at};
use super::status::FileCounters;
use crate::pipeline::logs::{LogBuilder, LogPipeline, RawLine};
use bramble_signal::Labels;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a read came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There may be more.
    More,
    /// Nothing more for now.
    End,
    /// The file was truncated: it begins anew.
    Truncated,
    /// Its path leads to another file, or nowhere.
    Gone,
    /// It cannot be read now.
    Failed(io::Error),
}

/// What becomes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Its path leads to it.
    Live,
    /// Another name, or none: read to its end.
    Rotated,
}

enum Content {
    Plain(Option<File>),
    Compressed(Option<Box<Gunzip>>),
}

/// What reading needs besides the file. One for all files.
pub(super) struct Desk {
    chunk: Vec<u8>,
    read_bytes: usize,
    text: String,
    /// Where entries go.
    pub(super) out: LogBuilder,
    /// Wall time of this round.
    pub(super) now_ns: i64,
    pub(super) counters: FileCounters,
}

impl Desk {
    /// Reads at most `read_bytes` at once.
    pub(super) fn new(read_bytes: usize, counters: FileCounters) -> Desk {
        Desk { chunk: Vec::new(), read_bytes, text: String::new(), out: LogBuilder::new(), now_ns: 0, counters }
    }

    /// Makes room for lines of this length.
    pub(super) fn fit(&mut self, line_bytes_max: usize) {
        let wanted = TAIL_BYTES_MAX + line_bytes_max + self.read_bytes;
        self.chunk.resize(wanted, 0);
        self.chunk.shrink_to_fit();
    }
}

/// See the module's head.
pub(super) struct Tail {
    pub(super) key: String,
    pub(super) path: PathBuf,
    /// The path under which it was first seen: the label `filename`.
    pub(super) first_path: PathBuf,
    /// Where it is when links are followed.
    pub(super) real: PathBuf,
    pub(super) target: Arc<Target>,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) fate: Fate,
    /// When something was last read, monotonic.
    pub(super) active_ns: u64,
    /// Until then a stage of the pipeline wants no line, monotonic.
    pub(super) paused_until_ns: u64,
    /// What was read is not all delivered.
    pub(super) is_dirty: bool,
    pub(super) is_done: bool,
    /// A scan found its path.
    pub(super) is_seen: bool,
    pub(super) error: Option<String>,
    pub(super) size: u64,
    mtime_ns: i128,
    content: Content,
    /// Where the next chunk begins.
    read_at: u64,
    /// Bytes before `read_at`: first `guard` of lines that were taken, then those of a line without an end.
    rest: Vec<u8>,
    guard: usize,
    head: Vec<u8>,
    is_skipping: bool,
    coding: Option<Coding>,
    framing: Framing,
    pipeline: LogPipeline,
    labels: [Labels; 3],
    last_ns: i64,
    last_framed_ns: i64,
}

impl Tail {
    /// Reads on at `from`, which [`Probe::is_of`] the file, or which is a start without a head.
    pub(super) fn new(
        key: String,
        path: &Path,
        probe: Probe,
        from: &Position,
        target: &Arc<Target>,
        host: &str,
    ) -> Tail {
        let config = &target.rules.config;
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let first_path = if from.path.is_empty() { path.to_owned() } else { PathBuf::from(&from.path) };
        let labels = labels_of(&Origin {
            path: &first_path,
            real: &real,
            format: config.format,
            host: if config.host { host } else { "" },
            configured: &config.labels,
            with_filename: config.filename,
            with_path: config.path_labels,
        });
        let mut rest = vec![0; TAIL_BYTES_MAX.min(usize::try_from(from.offset).unwrap_or(TAIL_BYTES_MAX))];
        let guard_at = from.offset - rest.len() as u64;
        // A compressed file has no guard: nobody truncates it.
        let guard = if probe.is_compressed { 0 } else { read_at(&probe.file, &mut rest, guard_at).unwrap_or(0) };
        rest.truncate(guard);
        let (dev, ino, size) = (probe.dev, probe.ino, probe.size);
        let content = match probe.is_compressed {
            true => Content::Compressed(Gunzip::new(probe.file).map(Box::new).ok()),
            false => Content::Plain(Some(probe.file)),
        };
        let coding = (probe.head.len() >= 4 || from.offset > 0).then(|| Coding::of(target.rules.encoding, &probe.head));
        Tail {
            key,
            path: path.to_owned(),
            first_path,
            real,
            dev,
            ino,
            fate: Fate::Live,
            active_ns: 0,
            paused_until_ns: 0,
            is_dirty: true,
            is_done: from.is_done,
            is_seen: true,
            error: None,
            size,
            mtime_ns: 0,
            content,
            read_at: from.offset,
            rest,
            guard,
            head: probe.head,
            is_skipping: from.is_skipping,
            coding,
            framing: Framing::new(config.format, config.line_bytes_max, from.told.clone()),
            pipeline: target.fork(),
            labels,
            last_ns: 0,
            last_framed_ns: 0,
            target: Arc::clone(target),
        }
    }

    fn line_bytes_max(&self) -> usize {
        self.target.rules.config.line_bytes_max
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.content, Content::Compressed(_))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.content, Content::Plain(Some(_)) | Content::Compressed(Some(_)))
    }

    /// Gives the handle back; it is opened again when there is something to read.
    pub(super) fn close(&mut self) {
        match &mut self.content {
            Content::Plain(file) => *file = None,
            // Its place would be lost, and it is read only once.
            Content::Compressed(_) if !self.is_done => {}
            Content::Compressed(gunzip) => *gunzip = None,
        }
    }

    /// The handle, if it is held.
    pub(super) fn take_file(&mut self) -> Option<File> {
        match &mut self.content {
            Content::Plain(file) => file.take(),
            Content::Compressed(_) => None,
        }
    }

    /// Bytes that are taken.
    pub(super) fn offset(&self) -> u64 {
        self.read_at - (self.rest.len() - self.guard) as u64
    }

    /// What is to be remembered once all that was given out is durable.
    pub(super) fn position(&self) -> Position {
        let taken = self.offset();
        let offset = [self.framing.held(), self.pipeline.held()].into_iter().flatten().fold(taken, u64::min);
        let head_bytes = usize::try_from(offset).unwrap_or(HEAD_BYTES_MAX).min(self.head.len());
        let tail = self.rest.get(..self.guard).filter(|_| offset == taken && !self.is_compressed());
        Position {
            dev: self.dev,
            ino: self.ino,
            offset,
            head: Print::of(self.head.get(..head_bytes).unwrap_or_default()),
            tail: Print::of(tail.unwrap_or_default()),
            is_skipping: self.is_skipping && offset == taken,
            is_compressed: self.is_compressed(),
            is_done: self.is_done,
            told: self.framing.told().iter().copied().filter(|&start| start >= offset).collect(),
            path: self.first_path.to_string_lossy().into_owned(),
        }
    }

    /// Whether there may be something to read: asks the file system.
    pub(super) fn has_news(&mut self) -> bool {
        let metadata = match &self.content {
            Content::Compressed(_) => return !self.is_done,
            Content::Plain(Some(file)) => file.metadata(),
            Content::Plain(None) => std::fs::metadata(&self.path),
        };
        // What is gone is found out by reading.
        let Ok(metadata) = metadata else { return true };
        self.size = metadata.len();
        let mtime_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let is_other = (metadata.dev(), metadata.ino()) != (self.dev, self.ino);
        let has_changed = self.size != self.read_at || mtime_ns != self.mtime_ns || is_other;
        self.mtime_ns = mtime_ns;
        has_changed
    }

    /// Reads a chunk and gives its lines to the pipeline.
    pub(super) fn read(&mut self, desk: &mut Desk, monotonic_ns: u64) -> Outcome {
        let mut chunk = std::mem::take(&mut desk.chunk);
        let outcome = self.read_chunk(&mut chunk, desk, monotonic_ns);
        desk.chunk = chunk;
        outcome
    }

    fn read_chunk(&mut self, chunk: &mut [u8], desk: &mut Desk, monotonic_ns: u64) -> Outcome {
        let kept = self.rest.len();
        let Some((before, space)) = chunk.split_at_mut_checked(kept) else { return Outcome::End };
        let space_bytes = space.len().min(desk.read_bytes);
        let space = space.get_mut(..space_bytes).unwrap_or_default();
        before.copy_from_slice(&self.rest);
        let count = match &mut self.content {
            Content::Plain(file) => {
                match read_plain(file, &self.path, (self.dev, self.ino), self.read_at, before, space) {
                    Ok(count) => count,
                    Err(outcome) => return outcome,
                }
            }
            Content::Compressed(_) if self.is_done => return Outcome::End,
            Content::Compressed(gunzip) => match read_compressed(gunzip, &self.path, self.read_at, space) {
                Ok(Some(count)) => count,
                Ok(None) => return Outcome::More,
                Err(error) => {
                    // It may be in the course of being written: from its beginning again then.
                    *gunzip = None;
                    return Outcome::Failed(error);
                }
            },
        };
        if count == 0 {
            self.is_done |= self.is_compressed();
            return Outcome::End;
        }
        self.active_ns = monotonic_ns;
        self.is_dirty = true;
        self.grow_head(chunk.get(kept..kept + count).unwrap_or_default());
        self.read_at += count as u64;
        self.take_lines(chunk.get(..kept + count).unwrap_or_default(), kept, desk, monotonic_ns);
        Outcome::More
    }

    fn grow_head(&mut self, new: &[u8]) {
        if self.head.len() as u64 == self.read_at {
            let room = HEAD_BYTES_MAX.saturating_sub(self.head.len());
            self.head.extend_from_slice(new.get(..room).unwrap_or(new));
        }
        if self.coding.is_none() {
            self.coding = Some(Coding::of(self.target.rules.encoding, &self.head));
        }
    }

    /// Takes the whole lines of `text`, of which no line break is before `searched` but in the guard; keeps the rest.
    fn take_lines(&mut self, text: &[u8], searched: usize, desk: &mut Desk, monotonic_ns: u64) {
        let coding = self.coding.unwrap_or_else(|| Coding::of(self.target.rules.encoding, &self.head));
        let base = self.read_at - text.len() as u64;
        let (mut at, mut from) = (self.guard, searched);
        if base == 0 && at == 0 {
            at = coding.mark_bytes.min(text.len());
            from = from.max(at);
        }
        while let Some((end, next)) = text.get(at..).and_then(|rest| coding.line_end(rest, from - at)) {
            let (line, start) = (text.get(at..at + end).unwrap_or_default(), base + at as u64);
            at += next;
            from = at;
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            if let Some(wait) = self.take_line(line, start, coding, desk) {
                self.paused_until_ns = monotonic_ns + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX / 2);
                if !self.is_compressed() {
                    // The lines behind this one are read again then.
                    self.read_at = base + at as u64;
                    return self.keep(text.get(..at).unwrap_or_default(), at);
                }
            }
        }
        if text.len() - at > self.line_bytes_max() {
            let cut = coding.whole_units(self.line_bytes_max());
            if !std::mem::replace(&mut self.is_skipping, true) {
                desk.counters.cut.inc();
                let line = text.get(at..at + cut).unwrap_or_default();
                _ = self.take_line(line, base + at as u64, coding, desk);
            }
            at = text.len() - (text.len() - at) % 2;
        }
        self.keep(text, at);
    }

    /// Keeps what lies behind `taken`, and the guard before it.
    fn keep(&mut self, text: &[u8], taken: usize) {
        let from = taken.saturating_sub(TAIL_BYTES_MAX);
        self.guard = taken - from;
        self.rest.clear();
        self.rest.extend_from_slice(text.get(from..).unwrap_or_default());
        // After a long line the memory goes back.
        if self.rest.capacity() > 4096 && self.rest.len() < 1024 {
            self.rest.shrink_to(1024);
        }
    }

    fn take_line(&mut self, line: &[u8], start: u64, coding: Coding, desk: &mut Desk) -> Option<Duration> {
        let line = coding.decode(line, &mut desk.text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if memchr::memchr(0, line).is_some() {
            desk.counters.binary.inc();
        }
        let whole = self.framing.take(line, start)?;
        let out = &mut desk.out;
        push(&mut self.pipeline, &self.labels, (&mut self.last_ns, &mut self.last_framed_ns), whole, desk.now_ns, out)
    }

    /// Gives out what waits for its time; to be called once a second.
    pub(super) fn tick(&mut self, desk: &mut Desk) {
        let held = self.pipeline.held();
        self.pipeline.tick(desk.now_ns, &mut desk.out);
        self.is_dirty |= held != self.pipeline.held();
        let mishaps = self.framing.take_mishaps();
        desk.counters.malformed.inc_by(mishaps.malformed);
        desk.counters.cut.inc_by(mishaps.cut);
    }

    /// Nothing more will come: gives out what is held back, and the last line without an end if `with_last`.
    pub(super) fn finish(&mut self, desk: &mut Desk, with_last: bool) {
        if with_last && self.rest.len() > self.guard && !self.is_skipping {
            let rest = std::mem::take(&mut self.rest);
            let start = self.offset_of_rest(rest.len());
            let coding = self.coding.unwrap_or_else(|| Coding::of(self.target.rules.encoding, &self.head));
            _ = self.take_line(rest.get(self.guard..).unwrap_or_default(), start, coding, desk);
            self.keep(&rest, rest.len());
        }
        while let Some(whole) = self.framing.flush() {
            let (out, last) = (&mut desk.out, (&mut self.last_ns, &mut self.last_framed_ns));
            push(&mut self.pipeline, &self.labels, last, whole, desk.now_ns, out);
        }
        self.pipeline.flush(desk.now_ns, &mut desk.out);
        self.is_dirty = true;
        self.tick(desk);
    }

    fn offset_of_rest(&self, rest_bytes: usize) -> u64 {
        self.read_at - (rest_bytes - self.guard) as u64
    }

    /// Name of the format, as configured or recognised.
    pub(super) fn format_name(&self) -> &'static str {
        match self.framing.format() {
            FileFormat::Auto => "auto",
            FileFormat::Plain => "plain",
            FileFormat::Cri => "cri",
            FileFormat::Docker => "docker",
        }
    }

    /// Whether no name leads to it any more.
    pub(super) fn is_removed(&self) -> bool {
        match &self.content {
            Content::Plain(Some(file)) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
            _ => true,
        }
    }
}

/// Gives an entry to the pipeline, with a time that no other line of the file has: equal entries of a stream are one.
fn push(
    pipeline: &mut LogPipeline,
    labels: &[Labels; 3],
    (last_ns, last_framed_ns): (&mut i64, &mut i64),
    whole: Whole<'_>,
    now_ns: i64,
    out: &mut LogBuilder,
) -> Option<Duration> {
    let timestamp_ns = match whole.timestamp_ns {
        // Unless the clock was set back by more than such steps add up to.
        None if *last_ns >= now_ns && *last_ns - now_ns < 10_000_000_000 => *last_ns + 1,
        None => now_ns,
        Some(told) if told == *last_framed_ns => *last_ns + 1,
        Some(told) => told,
    };
    if let Some(told) = whole.timestamp_ns {
        *last_framed_ns = told;
    }
    *last_ns = timestamp_ns;
    let [none, stdout, stderr] = labels;
    let labels = match whole.channel {
        Channel::None => none,
        Channel::Stdout => stdout,
        Channel::Stderr => stderr,
    };
    let line = RawLine { now_ns, mark: whole.start, ..RawLine::new(timestamp_ns, labels.as_ref(), whole.text) };
    pipeline.push(line, out)
}

fn read_compressed(
    gunzip: &mut Option<Box<Gunzip>>,
    path: &Path,
    at: u64,
    space: &mut [u8],
) -> io::Result<Option<usize>> {
    match gunzip {
        Some(gunzip) => gunzip.read(at, space),
        None => gunzip.insert(Box::new(Gunzip::new(open(path)?.0)?)).read(at, space),
    }
}

/// Reads behind `at` into `space`, if the bytes before it still are `before`'s last.
fn read_plain(
    file: &mut Option<File>,
    path: &Path,
    inode: (u64, u64),
    at: u64,
    before: &[u8],
    space: &mut [u8],
) -> Result<usize, Outcome> {
    if file.is_none() {
        let (opened, metadata) = match open(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Outcome::Gone),
            Err(error) => return Err(Outcome::Failed(error)),
        };
        if (metadata.dev(), metadata.ino()) != inode {
            return Err(Outcome::Gone);
        }
        *file = Some(opened);
    }
    let Some(file) = file else { return Err(Outcome::Gone) };
    let guard_bytes = before.len().min(TAIL_BYTES_MAX);
    let guard = before.get(before.len() - guard_bytes..).unwrap_or_default();
    let mut found = [0; TAIL_BYTES_MAX];
    let found = found.get_mut(..guard_bytes).unwrap_or_default();
    let mut parts = [io::IoSliceMut::new(found), io::IoSliceMut::new(space)];
    let count = loop {
        match rustix::io::preadv(&*file, &mut parts, at - guard_bytes as u64) {
            Ok(count) => break count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Outcome::Failed(error.into())),
        }
    };
    if count < guard_bytes || found != guard {
        return Err(Outcome::Truncated);
    }
    // An empty guard tells nothing of a file that is shorter than what was read.
    Ok(count - guard_bytes)
}
