//! Any bytes as a remote write 1.0 request.
#![no_main]

use bramble_wire::remote_write::{Decoder, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(bramble_fuzz::limits());
    let first = decoder.decode(Message::V1, data);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_metrics(&decoded.batch);
    }
    bramble_fuzz::check_same(&decoder.decode(Message::V1, data), &first);
});
