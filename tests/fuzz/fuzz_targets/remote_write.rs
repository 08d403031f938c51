//! Any bytes as a remote write request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = bramble_wire::remote_write::Decoder::new(bramble_fuzz::limits());
    let first = decoder.decode(data);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_metrics(&decoded.batch);
    }
    assert_eq!(decoder.decode(data), first);
});
