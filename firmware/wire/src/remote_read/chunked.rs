//! `ChunkedReadResponse`: frames of a few chunks each.
//!
//! A frame is the length of its message as a varint, the CRC-32C of the message (four bytes, big-endian), the message. A
//! series whose chunks do not fit one frame goes on in the next, with its labels again.

use super::histogram_chunk::FloatHistogramChunk;
use super::samples::write_labels;
use super::xor::{CHUNK_SAMPLES_MAX, XorChunk};
use crate::protobuf::Writer;
use bramble_signal::{SeriesSamples, is_histogram_marker};

/// Bytes of a frame, about: Prometheus' default limit is 1 MiB, a smaller frame is sent sooner.
const FRAME_BYTES: usize = 64 << 10;

/// Types of chunks on the wire.
const XOR: u64 = 1;
const FLOAT_HISTOGRAM: u64 = 3;

/// Appends series of one answer; keeps its scratch memory from one to the next.
#[derive(Clone, Default, Debug)]
pub struct ChunkWriter {
    floats: XorChunk,
    histograms: FloatHistogramChunk,
    /// Chunks of the current frame, encoded as fields of `ChunkedSeries`.
    chunks: Vec<u8>,
    message: Vec<u8>,
}

impl ChunkWriter {
    /// A writer of an empty answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the frames of one series to `out`. `query_index` is the place of its query in the request.
    pub fn series(&mut self, series: &SeriesSamples, query_index: usize, out: &mut Vec<u8>) {
        self.floats.clear();
        self.histograms.clear();
        for (timestamp_ms, value) in series.timestamps_ms.iter().zip(&series.values) {
            // Chunks of a series do not overlap in time, so a change of kind ends one.
            match series.histogram(*value) {
                Some(histogram) => {
                    let is_cut = !self.floats.is_empty() || self.histograms.len() >= CHUNK_SAMPLES_MAX;
                    if is_cut || !self.histograms.push(*timestamp_ms, histogram) {
                        self.end_chunks(series, query_index, out);
                        self.histograms.push(*timestamp_ms, histogram);
                    }
                }
                None if is_histogram_marker(*value) => {}
                None => {
                    if !self.histograms.is_empty() || self.floats.len() >= CHUNK_SAMPLES_MAX {
                        self.end_chunks(series, query_index, out);
                    }
                    self.floats.push(*timestamp_ms, *value);
                }
            }
        }
        self.end_chunks(series, query_index, out);
        self.end_frame(series, query_index, out);
    }

    fn end_chunks(&mut self, series: &SeriesSamples, query_index: usize, out: &mut Vec<u8>) {
        if !self.floats.is_empty() {
            push_chunk(self.floats.range_ms(), XOR, self.floats.bytes(), &mut self.chunks);
            self.floats.clear();
        }
        if !self.histograms.is_empty() {
            push_chunk(self.histograms.range_ms(), FLOAT_HISTOGRAM, self.histograms.bytes(), &mut self.chunks);
            self.histograms.clear();
        }
        if self.chunks.len() >= FRAME_BYTES {
            self.end_frame(series, query_index, out);
        }
    }

    fn end_frame(&mut self, series: &SeriesSamples, query_index: usize, out: &mut Vec<u8>) {
        if self.chunks.is_empty() {
            return;
        }
        self.message.clear();
        let mut w = Writer::new(&mut self.message);
        w.message(1, |w| {
            write_labels(series.labels.as_ref(), w);
            w.out().extend_from_slice(&self.chunks);
        });
        w.varint(2, query_index as u64);
        self.chunks.clear();
        push_frame(&self.message, out);
    }
}

fn push_chunk((min_ms, max_ms): (i64, i64), kind: u64, data: &[u8], out: &mut Vec<u8>) {
    Writer::new(out).message(2, |chunk| {
        chunk.varint(1, min_ms.cast_unsigned());
        chunk.varint(2, max_ms.cast_unsigned());
        chunk.varint(3, kind);
        chunk.bytes(4, data);
    });
}

fn push_frame(message: &[u8], out: &mut Vec<u8>) {
    let mut length = message.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
    out.extend_from_slice(message);
}
