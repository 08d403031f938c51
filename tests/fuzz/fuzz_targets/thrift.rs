//! Any bytes as Thrift: skipped, as a packet to Jaeger's agent, as a batch or a list of Zipkin's spans; the first byte
//! chooses.
#![no_main]

use bramble_wire::thrift::{Kind, Protocol, Reader};
use bramble_wire::{Decoded, jaeger, zipkin};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    let mut decoder = jaeger::Decoder::new(bramble_fuzz::limits());
    let mut decode = || match first {
        b'b' => decoder.thrift_batch(Protocol::Binary, body),
        b'c' => decoder.thrift_batch(Protocol::Compact, body),
        b'z' => zipkin::Decoder::new(bramble_fuzz::limits()).thrift(body, 7),
        _ => {
            let mut decoded = Decoded::default();
            decoder.packet(body, 7, &mut decoded).map(|()| decoded)
        }
    };
    let decoded = decode();
    assert_eq!(decode(), decoded, "what a decoder keeps must not show");
    if let Ok(decoded) = decoded {
        bramble_fuzz::check_spans(&decoded.batch);
        // A packet that fails takes nothing away, and one that does not adds as much again.
        let mut both = decoded.clone();
        if decoder.packet(body, 7, &mut both).is_err() {
            assert_eq!(both, decoded);
        }
        bramble_fuzz::check_spans(&both.batch);
    }
    for protocol in [Protocol::Binary, Protocol::Compact] {
        let mut reader = Reader::new(protocol, body);
        if reader.skip(Kind::Struct).is_ok() {
            assert_eq!(reader.position() + reader.left(), body.len());
        }
    }
});
