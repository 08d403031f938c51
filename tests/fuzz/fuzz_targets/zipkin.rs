//! Any bytes as Zipkin's spans in JSON or protobuf.
#![no_main]

use bramble_wire::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((format, body)) = bramble_fuzz::split_format(data) else { return };
    let mut decoder = bramble_wire::zipkin::Decoder::new(bramble_fuzz::limits());
    let mut decode = || match format {
        Format::Json => decoder.json(body, 7),
        Format::Protobuf => decoder.protobuf(body, 7),
    };
    let first = decode();
    if let Ok(decoded) = &first {
        bramble_fuzz::check_spans(&decoded.batch);
    }
    assert_eq!(decode(), first);
});
