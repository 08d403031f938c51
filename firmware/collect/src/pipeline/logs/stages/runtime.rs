//! `cri`, `docker`: lines as container runtimes write them, cut ones joined.
//!
//! A runtime cuts what a container prints at 16 KiB or so. CRI marks the pieces `P` and the last one `F`; of Docker's JSON the
//! last piece is the one whose text ends in a line break.

use super::super::chain::{Context, Flow, Release, Stage};
use super::super::compile::Build;
use super::super::config::CriConfig;
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::time::TimeFormat;
use super::super::values::Slot;
use super::held::{Waiting, key};
use bramble_line::json::{Raw, members, unescape};
use memchr::memchr;
use std::sync::Arc;

/// Bytes of a joined line, if nothing else is said.
const BYTES_MAX: usize = 256 << 10;
/// How long a piece waits for the rest.
const WAIT_NS: i64 = 10_000_000_000;

struct Compiled {
    docker: bool,
    time: TimeFormat,
    bytes_max: usize,
    /// Whether what is longer is cut rather than passed on in pieces.
    truncate: bool,
    /// Values: stream, time, content, flags.
    slots: [Slot; 4],
}

/// See the module.
pub(in super::super) struct Runtime {
    compiled: Arc<Compiled>,
    waiting: Waiting,
}

impl Runtime {
    pub(in super::super) fn cri(config: &CriConfig, build: &mut Build) -> Result<Self, Fault> {
        let bytes_max = usize::try_from(config.max_partial_line_size).ok().filter(|n| *n > 0).unwrap_or(BYTES_MAX);
        Self::new(
            false,
            bytes_max,
            config.max_partial_line_size_truncate,
            ["stream", "time", "content", "flags"],
            build,
        )
    }

    pub(in super::super) fn docker(build: &mut Build) -> Result<Self, Fault> {
        Self::new(true, BYTES_MAX, false, ["stream", "timestamp", "output", "flags"], build)
    }

    fn new(
        docker: bool,
        bytes_max: usize,
        truncate: bool,
        names: [&'static str; 4],
        build: &mut Build,
    ) -> Result<Self, Fault> {
        let [stream, time, content, flags] = names;
        let slots = [build.slot("", stream)?, build.slot("", time)?, build.slot("", content)?, build.slot("", flags)?];
        let time = TimeFormat::new("RFC3339Nano", None).map_err(Fault::whole)?;
        Ok(Runtime {
            compiled: Arc::new(Compiled { docker, time, bytes_max, truncate, slots }),
            waiting: Waiting::default(),
        })
    }
}

/// What a runtime says of a line.
struct Piece {
    time_ns: Option<i64>,
    stderr: bool,
    partial: bool,
}

/// `2024-05-01T10:00:00.123456789Z stdout F text`: the text goes to `spare`.
fn cri(entry: &mut Entry, compiled: &Compiled, now_ns: i64) -> Option<Piece> {
    let Entry { line, spare, values, .. } = entry;
    let (time, rest) = line.split_at_checked(memchr(b' ', line)?)?;
    let rest = rest.get(1..)?;
    let (stream, rest) = rest.split_at_checked(memchr(b' ', rest)?)?;
    let rest = rest.get(1..)?;
    let stderr = match stream {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    // An empty line has no blank behind its flags in some runtimes.
    let end = memchr(b' ', rest).unwrap_or(rest.len());
    let (flags, content) = rest.split_at_checked(end)?;
    let content = content.get(1..).unwrap_or(b"");
    let time_text = std::str::from_utf8(time).ok()?;
    let time_ns = compiled.time.parse(time_text, now_ns);
    let [stream_slot, time_slot, content_slot, flags_slot] = compiled.slots;
    values.set(stream_slot, if stderr { "stderr" } else { "stdout" });
    values.set(time_slot, time_text);
    values.set_bytes(flags_slot, flags);
    values.set_bytes(content_slot, content);
    spare.clear();
    spare.extend_from_slice(content);
    let partial = flags.split(|b| *b == b':').any(|flag| flag == b"P");
    Some(Piece { time_ns, stderr, partial })
}

/// `{"log":"text\n","stream":"stdout","time":"…"}`: the text goes to `spare`.
fn docker(entry: &mut Entry, compiled: &Compiled, now_ns: i64) -> Option<Piece> {
    let Entry { line, spare, values, .. } = entry;
    let text = std::str::from_utf8(line).ok()?;
    let [stream_slot, time_slot, content_slot, _] = compiled.slots;
    let (mut piece, mut any) = (Piece { time_ns: None, stderr: false, partial: true }, false);
    for member in members(text) {
        match member.ok()? {
            ("log", Raw::Str(log)) => {
                let log = unescape(log);
                let whole = log.strip_suffix('\n').map(|l| l.strip_suffix('\r').unwrap_or(l));
                (piece.partial, any) = (whole.is_none(), true);
                let content = whole.unwrap_or(&log);
                values.set(content_slot, content);
                spare.clear();
                spare.extend_from_slice(content.as_bytes());
            }
            ("stream", Raw::Str(stream)) => {
                piece.stderr = stream == "stderr";
                values.set(stream_slot, &unescape(stream));
            }
            ("time", Raw::Str(time)) => {
                piece.time_ns = compiled.time.parse(time, now_ns);
                values.set(time_slot, &unescape(time));
            }
            _ => {}
        }
    }
    any.then_some(piece)
}

impl Stage for Runtime {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = self.compiled.clone();
        let read = if compiled.docker { docker } else { cri };
        let Some(piece) = read(entry, &compiled, context.now_ns) else { return context.fail() };
        entry.take_spare();
        entry.label_from("stream", compiled.slots[0]);
        match piece.time_ns {
            Some(time_ns) => entry.timestamp_ns = time_ns,
            None => context.failed = true,
        }
        let stream = key(entry) ^ u64::from(piece.stderr);
        let Some(held) = self.waiting.get(stream) else {
            if !piece.partial {
                return Flow::On;
            }
            let other = self.waiting.put(stream, entry, context.now_ns);
            return if other { Flow::On } else { Flow::Held };
        };
        held.last_ns = context.now_ns;
        let room = compiled.bytes_max.saturating_sub(held.entry.line.len());
        if entry.line.len() > room {
            context.failed = true;
            if !compiled.truncate && piece.partial {
                // What there is goes on, and this piece begins another line.
                self.waiting.swap(stream, entry, context.now_ns);
                return Flow::On;
            }
        }
        let cut = if compiled.truncate { room.min(entry.line.len()) } else { entry.line.len() };
        held.entry.line.extend_from_slice(entry.line.get(..cut).unwrap_or(&[]));
        held.entry.line_changed();
        if piece.partial {
            return Flow::Held;
        }
        // The time is that of the last piece, as it was written when the line was complete.
        let time_ns = entry.timestamp_ns;
        self.waiting.take(stream, entry);
        entry.timestamp_ns = time_ns;
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Runtime { compiled: self.compiled.clone(), waiting: Waiting::default() })
    }

    fn release(&mut self, how: Release, entry: &mut Entry, _: &mut Context<'_>) -> bool {
        let until_ns = match how {
            Release::Due(now_ns) => now_ns.saturating_sub(WAIT_NS),
            Release::All => i64::MAX,
        };
        self.waiting.take_due(until_ns, entry)
    }

    fn held(&self) -> Option<u64> {
        self.waiting.oldest()
    }
}
