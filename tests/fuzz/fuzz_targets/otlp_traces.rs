//! Any bytes as an OTLP traces request; what decodes must survive both encoders.
#![no_main]

use bramble_signal::SpanBatch;
use bramble_wire::Format;
use bramble_wire::otlp::{Decoder, JsonDialect, encode_traces_json, encode_traces_protobuf};
use libfuzzer_sys::fuzz_target;

fn protobuf(batch: &SpanBatch) -> Vec<u8> {
    let mut out = Vec::new();
    encode_traces_protobuf(batch, &mut out);
    out
}

fn json(batch: &SpanBatch) -> String {
    let mut out = String::new();
    encode_traces_json(batch, JsonDialect::Otlp, &mut out);
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((format, body)) = bramble_fuzz::split_format(data) else { return };
    let Ok(first) = Decoder::new(bramble_fuzz::limits()).traces(format, body) else { return };
    // What is written may be longer than what was read, and then pass the small limit: use the default.
    let mut decoder = Decoder::default();
    let (bytes, text) = (protobuf(&first.batch), json(&first.batch));
    let again = decoder.traces(Format::Protobuf, &bytes).expect("own protobuf decodes");
    assert!(again.rejected.is_empty());
    assert_eq!(protobuf(&again.batch), bytes);
    let again = decoder.traces(Format::Json, text.as_bytes()).expect("own JSON decodes");
    assert!(again.rejected.is_empty());
    assert_eq!(json(&again.batch), text);
});
