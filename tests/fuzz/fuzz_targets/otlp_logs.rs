//! Any bytes as an OTLP logs request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((format, body)) = bramble_fuzz::split_format(data) else { return };
    let mut decoder = bramble_wire::otlp::Decoder::new(bramble_fuzz::limits());
    let first = decoder.logs(format, body, 7);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_logs(&decoded.batch);
    }
    // What a decoder keeps between requests must not show.
    assert_eq!(decoder.logs(format, body, 7), first);
});
