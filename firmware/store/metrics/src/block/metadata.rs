//! Metadata (type, unit, help) of metric families as a page: `count, (name, kind, help, unit)*`.

use crate::bytes::{Take, put_bytes, put_varint};
use bramble_signal::{MetricKind, MetricMetadata};

/// A page of `metadata`.
pub(crate) fn encode_metadata(metadata: &[MetricMetadata]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, metadata.len() as u64);
    for family in metadata {
        put_bytes(&mut out, family.name.as_bytes());
        out.push(family.kind.code());
        put_bytes(&mut out, family.help.as_bytes());
        put_bytes(&mut out, family.unit.as_bytes());
    }
    out
}

/// Reads such a page; `None` when it is damaged.
pub(crate) fn decode_metadata(page: &[u8]) -> Option<Vec<MetricMetadata>> {
    let mut bytes = Take(page);
    let text = |bytes: &mut Take<'_>| String::from_utf8(bytes.bytes()?.to_vec()).ok();
    let mut all = Vec::new();
    for _ in 0..bytes.count(page.len())? {
        let name = text(&mut bytes)?;
        let kind = MetricKind::from_code(bytes.u8()?)?;
        all.push(MetricMetadata { name, kind, help: text(&mut bytes)?, unit: text(&mut bytes)? });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_damage() {
        let family =
            |name: &str, kind| MetricMetadata { name: name.into(), kind, help: "Wha\u{df}t".into(), unit: "s".into() };
        let all: Vec<_> = MetricKind::ALL.iter().map(|&kind| family(kind.as_str(), kind)).collect();
        let page = encode_metadata(&all);
        assert_eq!(decode_metadata(&page), Some(all));
        assert_eq!(decode_metadata(&page[..page.len() - 1]), None);
    }
}
