//! Bounded decompression of request bodies.
//!
//! A compressed body says nothing trustworthy about its size: a few kilobytes of gzip can unfold to gigabytes.
//! So output is limited while it is produced, and nothing is allocated ahead of data, except where the format
//! declares the size first (snappy's block format), which is then compared with the limit first.

use std::io::Read;

/// The content encodings that senders use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
    /// RFC 1950 (zlib), or the bare RFC 1951 stream that some senders mean by `deflate`.
    Deflate,
    /// Snappy's block format, as in remote write and Loki push; not the framing format.
    Snappy,
}

impl Encoding {
    /// The encoding that a `Content-Encoding` header names; empty means identity. Case is ignored.
    ///
    /// # Errors
    /// [`DecompressError::UnsupportedEncoding`] for any other name, and for lists of several encodings.
    pub fn from_header(header: &str) -> Result<Self, DecompressError> {
        let name = header.trim();
        let known = [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("zstd", Encoding::Zstd),
            ("deflate", Encoding::Deflate),
            ("snappy", Encoding::Snappy),
        ];
        let found = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        // A header is at most some kilobytes, but an answer and a log line should not be.
        found
            .map(|(_, encoding)| encoding)
            .ok_or_else(|| DecompressError::UnsupportedEncoding(name.chars().take(64).collect()))
    }
}

/// Why a body could not be decompressed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecompressError {
    /// More than the limit. Answer 413.
    #[error("decompressed body is larger than the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// Not this encoding, cut off, or damaged. Answer 400.
    #[error("body is not valid {0}")]
    Corrupt(String),
    /// An encoding not known here. Answer 415, or what the protocol has for it.
    #[error("content encoding is not supported: {0:?}")]
    UnsupportedEncoding(String),
}

/// Largest window that a zstd frame may ask for: 8 MiB, what RFC 8878 recommends decoders to support and what
/// levels up to 19 stay within.
pub(crate) const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Replaces `out` by the decompressed `body`, at most `limit_bytes` of it (exactly that many are allowed). The
/// memory of `out` is reused and grows with data that was really there, to at most twice `limit_bytes`.
///
/// # Errors
/// [`DecompressError`]; what `out` holds then is unspecified.
pub fn decompress(
    encoding: Encoding,
    body: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.clear();
    match encoding {
        Encoding::Identity if body.len() > limit_bytes => Err(DecompressError::TooLarge { limit_bytes }),
        Encoding::Identity => {
            out.extend_from_slice(body);
            Ok(())
        }
        Encoding::Gzip => drain("gzip", flate2::bufread::MultiGzDecoder::new(body), limit_bytes, out),
        Encoding::Zstd => {
            let corrupt = |e| DecompressError::Corrupt(format!("zstd: {e}"));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(corrupt)?;
            drain("zstd", decoder, limit_bytes, out)
        }
        Encoding::Deflate if is_zlib(body) => {
            drain("deflate", flate2::bufread::ZlibDecoder::new(body), limit_bytes, out)
        }
        Encoding::Deflate => drain("deflate", flate2::bufread::DeflateDecoder::new(body), limit_bytes, out),
        Encoding::Snappy => snappy(body, limit_bytes, out),
    }
}

/// RFC 1950: method 8 and a header divisible by 31. A bare stream passes by chance once in about 500.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 15 == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

fn drain(name: &str, reader: impl Read, limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    // One byte more than allowed tells "exactly the limit" from "more".
    let mut limited = reader.take((limit_bytes as u64).saturating_add(1));
    limited.read_to_end(out).map_err(|e| DecompressError::Corrupt(format!("{name}: {e}")))?;
    match out.len() > limit_bytes {
        true => Err(DecompressError::TooLarge { limit_bytes }),
        false => Ok(()),
    }
}

/// Snappy's densest element is a copy of 64 bytes in 3, or of 11 in 2: a body can not unfold more than this.
const SNAPPY_EXPANSION_MAX: usize = 22;

fn snappy(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let corrupt = |e: snap::Error| DecompressError::Corrupt(format!("snappy: {e}"));
    let declared = snap::raw::decompress_len(body).map_err(corrupt)?;
    if declared > limit_bytes {
        return Err(DecompressError::TooLarge { limit_bytes });
    }
    if declared > body.len().saturating_mul(SNAPPY_EXPANSION_MAX) {
        return Err(DecompressError::Corrupt(format!("snappy: {} bytes can not hold {declared}", body.len())));
    }
    out.resize(declared, 0);
    let written = snap::raw::Decoder::new().decompress(body, out).map_err(corrupt)?;
    out.truncate(written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn compress(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Identity => data.to_vec(),
            Encoding::Gzip => {
                let mut w = flate2::write::GzEncoder::new(Vec::new(), level);
                w.write_all(data).unwrap();
                w.finish().unwrap()
            }
            Encoding::Zstd => zstd::stream::encode_all(data, 3).unwrap(),
            Encoding::Deflate => {
                let mut w = flate2::write::ZlibEncoder::new(Vec::new(), level);
                w.write_all(data).unwrap();
                w.finish().unwrap()
            }
            Encoding::Snappy => snap::raw::Encoder::new().compress_vec(data).unwrap(),
        }
    }

    const ALL: [Encoding; 5] =
        [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate, Encoding::Snappy];

    #[test]
    fn round_trips_up_to_exactly_the_limit() {
        let data: Vec<u8> = (0..10_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let mut out = vec![9; 3];
        for encoding in ALL {
            let body = compress(encoding, &data);
            decompress(encoding, &body, data.len(), &mut out).unwrap();
            assert_eq!(out, data, "{encoding:?}");
            assert_eq!(
                decompress(encoding, &body, data.len() - 1, &mut out),
                Err(DecompressError::TooLarge { limit_bytes: data.len() - 1 }),
                "{encoding:?}"
            );
        }
        let mut w = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        w.write_all(&data).unwrap();
        decompress(Encoding::Deflate, &w.finish().unwrap(), data.len(), &mut out).unwrap();
        assert_eq!(out, data, "bare deflate");
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let bomb = vec![0; 64 << 20];
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
            let body = compress(encoding, &bomb);
            let mut out = Vec::new();
            let limit_bytes = 100_000;
            assert_eq!(
                decompress(encoding, &body, limit_bytes, &mut out),
                Err(DecompressError::TooLarge { limit_bytes })
            );
            assert!(out.capacity() <= 2 * limit_bytes + 64, "{encoding:?} allocated {}", out.capacity());
        }
        // Snappy that declares 4 GiB, and one that declares 1 MiB but brings three bytes.
        for (body, limit) in [(&[0xff, 0xff, 0xff, 0xff, 0x0f][..], 1 << 20), (&[0x80, 0x80, 0x40, 0, 0], 4 << 20)] {
            let mut out = Vec::new();
            assert!(decompress(Encoding::Snappy, body, limit, &mut out).is_err());
            assert!(out.capacity() < 1024);
        }
    }

    #[test]
    fn damage_is_an_error_at_every_cut() {
        let data = b"some text, some text, some other text".repeat(20);
        for encoding in ALL.into_iter().skip(1) {
            let body = compress(encoding, &data);
            for cut in 1..body.len() {
                let result = decompress(encoding, &body[..cut], 1 << 20, &mut Vec::new());
                assert!(result.is_err(), "{encoding:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn headers_name_encodings() {
        assert_eq!(Encoding::from_header(" GZip "), Ok(Encoding::Gzip));
        assert_eq!(Encoding::from_header(""), Ok(Encoding::Identity));
        assert!(matches!(Encoding::from_header("br"), Err(DecompressError::UnsupportedEncoding(name)) if name == "br"));
        assert!(Encoding::from_header("gzip, snappy").is_err());
    }
}
