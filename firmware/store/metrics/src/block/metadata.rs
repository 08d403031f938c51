//! Metadata (type, unit, help) of metric families as a page: `count, (name, kind, help, unit)*`.

use crate::bytes::{Take, put_bytes, put_varint};
use bramble_signal::{MetricKind, MetricMetadata};

const KINDS: [MetricKind; 8] = [
    MetricKind::Unknown,
    MetricKind::Counter,
    MetricKind::Gauge,
    MetricKind::Histogram,
    MetricKind::GaugeHistogram,
    MetricKind::Summary,
    MetricKind::Info,
    MetricKind::StateSet,
];

/// A page of `metadata`.
pub(crate) fn encode_metadata(metadata: &[MetricMetadata]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, metadata.len() as u64);
    for family in metadata {
        put_bytes(&mut out, family.name.as_bytes());
        out.push(KINDS.iter().position(|&kind| kind == family.kind).unwrap_or(0) as u8);
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
        let kind = *KINDS.get(usize::from(bytes.u8()?))?;
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
        let all: Vec<_> = KINDS.iter().map(|&kind| family(kind.as_str(), kind)).collect();
        let page = encode_metadata(&all);
        assert_eq!(decode_metadata(&page), Some(all));
        assert_eq!(decode_metadata(&page[..page.len() - 1]), None);
    }
}
