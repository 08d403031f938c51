//! xxHash64: a hash that is the same on every host and in every version.
//!
//! Algorithm: the xxHash specification, version 0.1.1 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

#[inline]
fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// The hash of some bytes. Hashes are chained by taking one as the next one's seed.
pub fn xxhash64(bytes: &[u8], seed: u64) -> u64 {
    let (stripes, mut rest) = bytes.as_chunks::<32>();
    let mut hash = seed.wrapping_add(PRIME_5);
    if !stripes.is_empty() {
        let [mut a, mut b, mut c, mut d] = [
            seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
            seed.wrapping_add(PRIME_2),
            seed,
            seed.wrapping_sub(PRIME_1),
        ];
        for stripe in stripes {
            let ([w, x, y, z], _) = stripe.as_chunks::<8>() else { continue };
            a = round(a, u64::from_le_bytes(*w));
            b = round(b, u64::from_le_bytes(*x));
            c = round(c, u64::from_le_bytes(*y));
            d = round(d, u64::from_le_bytes(*z));
        }
        hash = a.rotate_left(1).wrapping_add(b.rotate_left(7));
        hash = hash.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
        for lane in [a, b, c, d] {
            hash = (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((eight, tail)) = rest.split_first_chunk::<8>() {
        let word = round(0, u64::from_le_bytes(*eight));
        hash = (hash ^ word).rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
        rest = tail;
    }
    if let Some((four, tail)) = rest.split_first_chunk::<4>() {
        let word = u64::from(u32::from_le_bytes(*four)).wrapping_mul(PRIME_1);
        hash = (hash ^ word).rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
        rest = tail;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME_5)).rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIME_2);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME_3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        assert_eq!(xxhash64(b"", 0), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxhash64(b"abc", 0), 0x44BC_2CF5_AD77_0999);
        assert_eq!(xxhash64(b"Nobody inspects the spammish repetition", 0), 0xFBCE_A83C_8A37_8BF1);
        // The specification's sanity buffer: bytes of a multiplicative generator, seeds 0 and 2654435761.
        let mut generator = 2_654_435_761u64;
        let buffer: Vec<u8> = (0..222)
            .map(|_| {
                let byte = (generator >> 56) as u8;
                generator = generator.wrapping_mul(11_400_714_785_074_694_797);
                byte
            })
            .collect();
        let prime = 2_654_435_761;
        assert_eq!((xxhash64(b"", prime), xxhash64(&buffer[..1], 0)), (0xAC75_FDA2_929B_17EF, 0xE934_A84A_DB05_2768));
        assert_eq!(xxhash64(&buffer[..14], 0), 0x8282_DCC4_994E_35C8);
        assert_eq!(xxhash64(&buffer[..222], prime), 0x20CB_8AB7_AE10_C14A);
    }
}
