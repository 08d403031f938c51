//! Any bytes as an OTLP metrics request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((format, body)) = bramble_fuzz::split_format(data) else { return };
    let mut decoder = bramble_wire::otlp::Decoder::new(bramble_fuzz::limits());
    let first = decoder.metrics(format, body);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_metrics(&decoded.batch);
    }
    // What a decoder keeps between requests must not show.
    assert_eq!(decoder.metrics(format, body), first);
});
