//! Any bytes as a compressed body; the first byte chooses the encoding.
#![no_main]

use bramble_wire::compression::{DecompressError, Encoding, decompress};
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 64 << 10;

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    let encodings = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate, Encoding::Snappy];
    let encoding = encodings[usize::from(first) % encodings.len()];
    let mut out = Vec::new();
    let result = decompress(encoding, body, LIMIT_BYTES, &mut out);
    assert!(out.capacity() <= 2 * LIMIT_BYTES + 64, "{encoding:?} holds {} bytes", out.capacity());
    if result.is_ok() {
        // The limit is exact.
        let mut again = Vec::new();
        assert_eq!(decompress(encoding, body, out.len(), &mut again), Ok(()));
        assert_eq!(again, out);
        if let Some(limit_bytes) = out.len().checked_sub(1) {
            let refused = decompress(encoding, body, limit_bytes, &mut again);
            assert_eq!(refused, Err(DecompressError::TooLarge { limit_bytes }));
        }
    }
});
