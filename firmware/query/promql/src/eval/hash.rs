//! Prometheus' hash of a label set, which decides what `limit_ratio` keeps: xxHash64 of its encoding.

use bramble_signal::Labels;
use bramble_signal::hash::xxhash64;

/// The hash of a label set: lengths and texts one after the other, a length of 255 and more in four bytes.
pub(crate) fn label_hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(labels.as_bytes().len() + 8);
    for text in labels.iter().flat_map(|(n, v)| [n, v]) {
        match u8::try_from(text.len()) {
            Ok(short) if short < 255 => bytes.push(short),
            _ => {
                bytes.push(255);
                bytes.extend(text.len().to_le_bytes().into_iter().take(3));
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash64(&bytes, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stand_before_texts() {
        let short = Labels::from_pairs([("a", "b")]);
        assert_eq!(label_hash(&short), xxhash64(b"\x01a\x01b", 0));
        let long = "x".repeat(300);
        let encoded = [b"\x01a\xff\x2c\x01\x00".as_slice(), long.as_bytes()].concat();
        assert_eq!(label_hash(&Labels::from_pairs([("a", long.as_str())])), xxhash64(&encoded, 0));
    }
}
