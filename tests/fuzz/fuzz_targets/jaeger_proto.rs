//! Any bytes as a `PostSpansRequest`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = bramble_wire::jaeger::Decoder::new(bramble_fuzz::limits());
    let first = decoder.post_spans(data);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_spans(&decoded.batch);
    }
    assert_eq!(decoder.post_spans(data), first);
});
