//! SHA-256 (FIPS 180-4) and SHA3-256 (FIPS 202), for values that are to be told apart without being told.

const SHA2_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
#[rustfmt::skip]
const SHA2_ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of the parts joined.
pub(super) fn sha2_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut message = parts.concat();
    let bits = (message.len() as u64).wrapping_mul(8);
    message.push(0x80);
    message.resize(message.len().next_multiple_of(64), 0);
    if message.len() - (bits / 8) as usize <= 8 {
        message.resize(message.len() + 64, 0);
    }
    let end = message.len() - 8;
    message.truncate(end);
    message.extend_from_slice(&bits.to_be_bytes());
    let mut state = SHA2_START;
    for block in message.as_chunks::<64>().0 {
        sha2_block(&mut state, block);
    }
    let mut out = [0; 32];
    for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    out
}

fn sha2_block(state: &mut [u32; 8], block: &[u8; 64]) {
    let mut words = [0u32; 64];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for t in 16..64 {
        let (a, b) = (words[t - 15], words[t - 2]);
        let small = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
        let large = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
        words[t] = words[t - 16].wrapping_add(small).wrapping_add(words[t - 7]).wrapping_add(large);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (word, round) in words.iter().zip(SHA2_ROUNDS) {
        let choice = (e & f) ^ (!e & g);
        let first = h
            .wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25))
            .wrapping_add(choice)
            .wrapping_add(round)
            .wrapping_add(*word);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let second = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22)).wrapping_add(majority);
        (h, g, f, e) = (g, f, e, d.wrapping_add(first));
        (d, c, b, a) = (c, b, a, first.wrapping_add(second));
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}

/// Bytes of SHA3-256 that are mixed in at a time.
const SHA3_RATE_BYTES: usize = 136;

/// SHA3-256 of the parts joined.
pub(super) fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut message = parts.concat();
    message.push(0x06);
    message.resize(message.len().next_multiple_of(SHA3_RATE_BYTES), 0);
    if let Some(last) = message.last_mut() {
        *last |= 0x80;
    }
    let mut state = [0u64; 25];
    for block in message.as_chunks::<SHA3_RATE_BYTES>().0 {
        for (lane, bytes) in state.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane ^= u64::from_le_bytes(*bytes);
        }
        keccak(&mut state);
    }
    let mut out = [0; 32];
    for (bytes, lane) in out.as_chunks_mut::<8>().0.iter_mut().zip(state) {
        *bytes = lane.to_le_bytes();
    }
    out
}

/// Keccak-f[1600]; lane (x, y) is `state[x + 5 * y]`.
fn keccak(state: &mut [u64; 25]) {
    let mut register = 1u8;
    for _ in 0..24 {
        let mut columns = [0u64; 5];
        for (at, lane) in state.iter().enumerate() {
            columns[at % 5] ^= lane;
        }
        for (at, lane) in state.iter_mut().enumerate() {
            *lane ^= columns[(at + 4) % 5] ^ columns[(at + 1) % 5].rotate_left(1);
        }
        let (mut x, mut y, mut moved) = (1, 0, state[1]);
        for t in 0..24u32 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            let lane = &mut state[x + 5 * y];
            moved = std::mem::replace(lane, moved.rotate_left(((t + 1) * (t + 2) / 2) % 64));
        }
        for row in state.as_chunks_mut::<5>().0 {
            let before = *row;
            for (x, lane) in row.iter_mut().enumerate() {
                *lane = before[x] ^ (!before[(x + 1) % 5] & before[(x + 2) % 5]);
            }
        }
        state[0] ^= round_constant(&mut register);
    }
}

/// The next round's constant: bits 2^j - 1 from a shift register.
fn round_constant(register: &mut u8) -> u64 {
    let mut constant = 0;
    for j in 0..7 {
        if *register & 1 == 1 {
            constant |= 1u64 << ((1u32 << j) - 1);
        }
        *register = (*register << 1) ^ (if *register & 0x80 == 0 { 0 } else { 0x71 });
    }
    constant
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of NIST's examples.
    #[test]
    fn published_values() {
        for (text, sha2, sha3) in [
            (
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
            ),
            (
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
            ),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
                "41c0dba2a9d6240849100376a8235e2c82e1b9998a999e21db32dd97496d3376",
            ),
        ] {
            assert_eq!((hex(&sha2_256(&[text.as_bytes()])).as_str(), text), (sha2, text));
            assert_eq!((hex(&sha3_256(&[text.as_bytes()])).as_str(), text), (sha3, text));
        }
    }
}
