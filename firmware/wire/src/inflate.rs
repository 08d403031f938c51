//! Decompression of bodies that are taken piece by piece: what comes out of one step is bounded, whatever went in.
//!
//! For bodies that are read whole there is [`compression`](crate::compression).

use crate::compression::{DecompressError, Encoding, ZSTD_WINDOW_LOG_MAX};
use std::io::Write;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

/// Undoes a content encoding, step by step.
pub struct Inflate {
    kind: Kind,
    /// Whether the body may end here.
    is_whole: bool,
}

enum Kind {
    Identity,
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Zlib(flate2::Decompress),
    Zstd(ZstdDecoder<'static>),
}

/// Bytes that one step makes, about.
const STEP_BYTES: usize = 64 << 10;

fn corrupt(name: &str, error: impl std::fmt::Display) -> DecompressError {
    DecompressError::Corrupt(format!("{name}: {error}"))
}

impl Inflate {
    /// A decompressor at the start of a body.
    ///
    /// # Errors
    /// [`DecompressError::UnsupportedEncoding`] for snappy, whose block format cannot be read in pieces.
    pub fn new(encoding: Encoding) -> Result<Self, DecompressError> {
        let kind = match encoding {
            Encoding::Identity => Kind::Identity,
            Encoding::Gzip => Kind::Gzip(flate2::write::MultiGzDecoder::new(Vec::new())),
            Encoding::Deflate => Kind::Zlib(flate2::Decompress::new(true)),
            Encoding::Zstd => {
                let mut decoder = ZstdDecoder::new().map_err(|e| corrupt("zstd", e))?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|e| corrupt("zstd", e))?;
                Kind::Zstd(decoder)
            }
            Encoding::Snappy => return Err(DecompressError::UnsupportedEncoding("snappy".to_owned())),
        };
        let is_whole = matches!(kind, Kind::Identity | Kind::Gzip(_));
        Ok(Inflate { kind, is_whole })
    }

    /// Takes some of `input` and appends what it becomes to `out`: some tens of kilobytes at most. Returns how much was
    /// taken; to be called until all of it is, and again while `out` grew.
    ///
    /// # Errors
    /// [`DecompressError::Corrupt`].
    pub fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecompressError> {
        let before = out.len();
        let taken = match &mut self.kind {
            Kind::Identity => {
                let taken = input.len().min(STEP_BYTES);
                out.extend_from_slice(input.get(..taken).unwrap_or_default());
                taken
            }
            Kind::Gzip(decoder) => {
                let taken = decoder.write(input).map_err(|e| corrupt("gzip", e))?;
                out.append(decoder.get_mut());
                taken
            }
            Kind::Zlib(decoder) => {
                let mut step = Vec::with_capacity(STEP_BYTES);
                let already = decoder.total_in();
                let status = decoder
                    .decompress_vec(input, &mut step, flate2::FlushDecompress::None)
                    .map_err(|e| corrupt("deflate", e))?;
                self.is_whole = status == flate2::Status::StreamEnd;
                out.append(&mut step);
                (decoder.total_in() - already) as usize
            }
            Kind::Zstd(decoder) => {
                let mut step = vec![0; STEP_BYTES];
                let status = decoder.run_on_buffers(input, &mut step).map_err(|e| corrupt("zstd", e))?;
                out.extend_from_slice(step.get(..status.bytes_written).unwrap_or_default());
                // At the end of a frame nothing remains; more frames may follow.
                if status.bytes_read > 0 || status.bytes_written > 0 {
                    self.is_whole = status.remaining == 0;
                }
                status.bytes_read
            }
        };
        match taken == 0 && !input.is_empty() && out.len() == before {
            true => Err(DecompressError::Corrupt("there is more behind the end".to_owned())),
            false => Ok(taken),
        }
    }

    /// Ends the body, and appends what was held back.
    ///
    /// # Errors
    /// [`DecompressError::Corrupt`] when the body is cut off.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), DecompressError> {
        if let Kind::Gzip(decoder) = self.kind {
            let rest = decoder.finish().map_err(|e| corrupt("gzip", e))?;
            out.extend_from_slice(&rest);
        }
        match self.is_whole {
            true => Ok(()),
            false => Err(DecompressError::Corrupt("the compressed body ends too early".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::stream::encode_all(data, 3).unwrap(),
            _ => data.to_vec(),
        }
    }

    const ENCODINGS: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    #[test]
    fn bodies_unfold_in_bounded_steps() {
        let data = vec![b'x'; 3 << 20];
        for encoding in ENCODINGS {
            let body = packed(encoding, &data);
            for piece in [7, 4096, body.len()] {
                let (mut inflate, mut out) = (Inflate::new(encoding).unwrap(), Vec::new());
                for mut input in body.chunks(piece) {
                    loop {
                        let before = out.len();
                        let taken = inflate.step(input, &mut out).unwrap();
                        assert!(out.len() - before <= 256 << 10, "{encoding:?}: {}", out.len() - before);
                        input = &input[taken..];
                        if input.is_empty() && out.len() == before {
                            break;
                        }
                    }
                }
                inflate.finish(&mut out).unwrap();
                assert!(out == data, "{encoding:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn damage_is_found() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let body = packed(encoding, b"some text that is cut short, cut short, cut short");
            let (mut inflate, mut out) = (Inflate::new(encoding).unwrap(), Vec::new());
            let cut = &body[..body.len() - 6];
            let mut at = 0;
            while at < cut.len() {
                at += inflate.step(&cut[at..], &mut out).unwrap();
            }
            assert!(inflate.finish(&mut out).is_err(), "{encoding:?}");
            let mut inflate = Inflate::new(encoding).unwrap();
            assert!(inflate.step(b"this is neither of them", &mut out).is_err(), "{encoding:?}");
        }
        assert!(Inflate::new(Encoding::Snappy).is_err());
    }
}
