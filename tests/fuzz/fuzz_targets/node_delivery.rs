//! Any bytes as what a node sends: the first chooses the message or the signal of a payload.
#![no_main]

use bramble_wire::delivery::{Deliver, DeliverAnswer, Hello, HelloAnswer};
use bramble_wire::delivery::{put_logs, put_metrics, put_spans, read_logs, read_metrics, read_spans};
use libfuzzer_sys::fuzz_target;

/// What was read can be written, and is read again as the same bytes.
macro_rules! again {
    ($body:expr, $read:ident, $put:ident) => {
        if let Ok(read) = $read($body, bramble_fuzz::BATCH_BYTES_MAX) {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            $put(&read.batch, &mut first);
            let back = $read(&first, usize::MAX).expect("what was written is read");
            assert!(back.rejected.is_empty(), "{:?}", back.rejected);
            $put(&back.batch, &mut second);
            assert!(first == second, "written twice, and not the same");
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, body)) = data.split_first() else { return };
    match kind {
        b'm' => again!(body, read_metrics, put_metrics),
        b'l' => again!(body, read_logs, put_logs),
        b's' => again!(body, read_spans, put_spans),
        b'h' => _ = Hello::decode(body),
        b'a' => _ = (HelloAnswer::decode(body), DeliverAnswer::decode(body)),
        _ => _ = Deliver::decode(body),
    }
});
