//! Any bytes as logs posted to the correlation API: the first byte chooses how the body is said to be written.
#![no_main]

use bramble_wire::correlation_logs::{BodyKind, Decoder, REFUSED_MAX};
use libfuzzer_sys::fuzz_target;

/// A small model of what finds ids: names that end so are.
fn ids(name: &str, value: &str, found: &mut dyn FnMut(&'static str, &str)) -> bool {
    match name {
        "trace_id" | "traceId" => found("trace_id", value),
        "circuit_id" => found("circuit_id", value),
        "traceparent" => {
            value.split('-').skip(1).take(1).for_each(|id| found("trace_id", id));
            return false;
        }
        _ => return false,
    }
    true
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    let kind = match first {
        b'j' => BodyKind::Json,
        b'l' => BodyKind::JsonLines,
        _ => BodyKind::Unknown,
    };
    let defaults = [("service".to_owned(), "x".to_owned())];
    let mut decoder = Decoder::new(bramble_fuzz::limits(), ids);
    let first = decoder.decode(body, kind, &defaults, 1_795_240_800_000_000_000);
    if let Ok(posted) = &first {
        bramble_fuzz::check_logs(&posted.batch);
        // No record is lost between the good and the bad ones.
        let bad = posted.rejected.count();
        assert_eq!(posted.records, posted.batch.entry_count() as u64 + bad);
        assert_eq!(posted.refused.len() as u64, bad.min(REFUSED_MAX as u64));
        assert!(posted.refused.iter().all(|refused| refused.index < posted.records && refused.reason.len() < 400));
        assert!(posted.warnings.iter().all(|warning| warning.index < posted.records));
        for stream in posted.batch.streams() {
            assert!(stream.labels().iter().all(|(name, _)| !name.starts_with("__")), "{}", stream.labels());
        }
    }
    assert_eq!(decoder.decode(body, kind, &defaults, 1_795_240_800_000_000_000), first);
});
