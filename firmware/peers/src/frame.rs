//! Frames: what travels back, and how it is packed.
//!
//! ```text
//! stream  = { chunk }                          the body of the answer
//! chunk   = length: u32 LE, bytes              0 to 64 KiB of the zstd stream; 0 bytes mean "still at work"
//! zstd    = { frame }, flushed after each      one zstd frame, window of 256 KiB at most
//! frame   = kind: u8, length: u32 LE, payload
//! ```
//!
//! The last frame is [`END`]. A stream that ends without it was cut, and is never taken for whole. Chunks are there so that
//! the sender can say that it is alive while its store looks for something: only then can the asker tell a slow query from
//! a dead hub.

use bramble_storage::ReadError;
use serde::{Deserialize, Serialize};
use std::io::Write;
use zstd::stream::raw::{CParameter, DParameter, Decoder, Operation};
use zstd::stream::write::Encoder;
use zstd::zstd_safe::{InBuffer, OutBuffer};

/// End of the stream; JSON of an [`End`].
pub(crate) const END: u8 = 0;
/// Series: rollups, then a batch as node deliveries have it.
pub(crate) const SERIES: u8 = 1;
/// Log entries: a batch as node deliveries have it.
pub(crate) const ENTRIES: u8 = 2;
/// Spans: a batch as node deliveries have it.
pub(crate) const SPANS: u8 = 3;
/// Ids of traces with the start of a span, 24 bytes each.
pub(crate) const IDS: u8 = 4;
/// Items of a list; a JSON array.
pub(crate) const LIST: u8 = 5;

/// Size at which a frame is closed when it can be.
pub(crate) const FRAME_BYTES: usize = 128 << 10;
/// Longest frame. One line, span or series part that is longer could not have been taken in.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;
/// Longest chunk.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// Memory of either side per stream, and how far back repetitions are found: 256 KiB.
const WINDOW_LOG: u32 = 18;
/// One core of a Pi packs faster than its Wi-Fi carries at this level.
const LEVEL: i32 = 1;
/// Bytes unpacked in one go.
const UNPACK_BYTES: usize = 64 << 10;

/// A chunk that only says that its sender is at work.
pub const ALIVE: [u8; 4] = [0; 4];

/// How an answer ended.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct End {
    /// Why it is not whole, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// What the asker must know.
    pub(crate) warnings: Vec<String>,
    /// Whether a list was cut off at its limit.
    pub(crate) more: bool,
    /// What was read: series, items, bytes, pages, blocks.
    pub(crate) read: [u64; 5],
}

/// Nobody listens any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

/// Where chunks go.
pub trait Sink {
    /// Hands over one or more chunks; waits while the asker is behind.
    ///
    /// # Errors
    /// [`Gone`], and then always.
    fn put(&mut self, chunks: Vec<u8>) -> Result<(), Gone>;
}

/// Packs frames into chunks.
pub(crate) struct FrameWriter<'s> {
    zstd: Encoder<'static, Vec<u8>>,
    sink: &'s mut dyn Sink,
}

impl<'s> FrameWriter<'s> {
    pub(crate) fn new(sink: &'s mut dyn Sink) -> Result<Self, ReadError> {
        let mut zstd = Encoder::new(Vec::new(), LEVEL).map_err(failed)?;
        zstd.set_parameter(CParameter::WindowLog(WINDOW_LOG)).map_err(failed)?;
        Ok(FrameWriter { zstd, sink })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// [`ReadError::Cancelled`] when nobody listens any more; [`ReadError::Limit`] when the frame is too long.
    pub(crate) fn send(&mut self, kind: u8, payload: &[u8]) -> Result<(), ReadError> {
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= FRAME_BYTES_MAX);
        let Some(length) = length else {
            return Err(ReadError::Limit(format!("an item of {} bytes is too long for a frame", payload.len())));
        };
        self.zstd.write_all(&[kind]).map_err(failed)?;
        self.zstd.write_all(&length.to_le_bytes()).map_err(failed)?;
        self.zstd.write_all(payload).map_err(failed)?;
        self.zstd.flush().map_err(failed)?;
        self.hand_over()
    }

    /// Sends the last frame.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn end(mut self, end: &End) -> Result<(), ReadError> {
        let payload = serde_json::to_vec(end).map_err(|error| ReadError::Storage(error.to_string()))?;
        self.send(END, &payload)?;
        self.zstd.do_finish().map_err(failed)?;
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), ReadError> {
        let packed = std::mem::take(self.zstd.get_mut());
        let mut chunks = Vec::with_capacity(packed.len() + 8);
        for chunk in packed.chunks(CHUNK_BYTES_MAX) {
            chunks.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
            chunks.extend_from_slice(chunk);
        }
        if chunks.is_empty() {
            return Ok(());
        }
        self.sink.put(chunks).map_err(|Gone| ReadError::Cancelled)
    }
}

fn failed(error: std::io::Error) -> ReadError {
    ReadError::Storage(format!("packing an answer: {error}"))
}

/// Unpacks what arrives, in pieces of any size, into frames.
pub(crate) struct Unpacker {
    decoder: Decoder<'static>,
    /// As it came, behind what was taken of it.
    arrived: Vec<u8>,
    taken: usize,
    /// What is left of the chunk begun.
    chunk_left: usize,
    /// Unpacked, and not yet given out.
    unpacked: Vec<u8>,
}

impl Unpacker {
    pub(crate) fn new() -> Result<Self, String> {
        let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|error| error.to_string())?;
        Ok(Unpacker { decoder, arrived: Vec::new(), taken: 0, chunk_left: 0, unpacked: Vec::new() })
    }

    /// Takes a piece in.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.arrived.drain(..self.taken);
        self.taken = 0;
        self.arrived.extend_from_slice(piece);
    }

    /// Kind and length of the next frame once its head is there, and the first bytes of what follows it.
    ///
    /// # Errors
    /// What is wrong with the stream, for people.
    pub(crate) fn head(&mut self) -> Result<Option<(u8, usize)>, String> {
        if !self.fill(5)? {
            return Ok(None);
        }
        let Some((&[kind, a, b, c, d], _)) = self.unpacked.split_first_chunk::<5>() else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(format!("a frame of {length} bytes"));
        }
        Ok(Some((kind, length)))
    }

    /// The payload of the frame whose head is there, of this length, once it is all there.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    pub(crate) fn payload(&mut self, length: usize) -> Result<Option<Vec<u8>>, String> {
        if !self.fill(5 + length)? {
            return Ok(None);
        }
        let rest = self.unpacked.split_off(5 + length);
        let mut payload = std::mem::replace(&mut self.unpacked, rest);
        payload.drain(..5);
        Ok(Some(payload))
    }

    /// Unpacks until so many bytes are there; `false` when more must arrive first.
    fn fill(&mut self, wanted: usize) -> Result<bool, String> {
        while self.unpacked.len() < wanted {
            let end = self.arrived.len().min(self.taken + self.chunk_left);
            let before = self.unpacked.len();
            self.unpacked.resize(before + UNPACK_BYTES.min(wanted - before), 0);
            let (read, written) = {
                let mut input = InBuffer::around(self.arrived.get(self.taken..end).unwrap_or_default());
                let mut output = OutBuffer::around(self.unpacked.get_mut(before..).unwrap_or_default());
                let ran = self.decoder.run(&mut input, &mut output);
                ran.map_err(|error| format!("what came cannot be unpacked: {error}"))?;
                (input.pos(), output.pos())
            };
            self.unpacked.truncate(before + written);
            self.taken += read;
            self.chunk_left -= read.min(self.chunk_left);
            // The decoder may hold back what had no room, so that it is asked also when nothing is left to give it.
            if read == 0 && written == 0 && (self.chunk_left > 0 || !self.next_chunk()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to the next chunk with bytes, if its length is there.
    fn next_chunk(&mut self) -> Result<bool, String> {
        while self.chunk_left == 0 {
            let Some(length) = self.arrived.get(self.taken..).and_then(|rest| rest.first_chunk::<4>()) else {
                return Ok(false);
            };
            let length = u32::from_le_bytes(*length) as usize;
            if length > CHUNK_BYTES_MAX {
                return Err(format!("a chunk of {length} bytes"));
            }
            self.taken += 4;
            self.chunk_left = length;
        }
        Ok(true)
    }
}
