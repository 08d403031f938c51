//! Any bytes as a remote read request, as a line of an import, as lines of logs, and as a compressed body in pieces: the first byte
//! chooses.
#![no_main]

use bramble_wire::Decoded;
use bramble_wire::compression::{Encoding, decompress};
use bramble_wire::inflate::Inflate;
use bramble_wire::json_lines::{self, FieldNames};
use bramble_wire::remote_read::{QUERIES_MAX, ReadRequest};
use bramble_wire::victoria::LineDecoder;
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    match first {
        b'r' => {
            if let Ok(request) = ReadRequest::decode(body) {
                assert!(request.queries.len() <= QUERIES_MAX);
            }
        }
        b'l' => {
            let mut decoded = Decoded::default();
            if LineDecoder::new(bramble_fuzz::limits()).line(body, &[], &mut decoded).is_ok() {
                bramble_fuzz::check_metrics(&decoded.batch);
            } else {
                assert!(decoded.batch.is_empty());
            }
        }
        b'j' => json_lines(body),
        other => inflate(other, body),
    }
});

/// Objects of logs, a line each, as they are and as a bulk; a decoder is the same after anything that it has read.
fn json_lines(body: &[u8]) {
    let names = FieldNames { stream: vec!["service".into(), "a.b".into()], ..FieldNames::default() };
    let mut decoder = json_lines::Decoder::new(bramble_fuzz::limits());
    for bulk in [false, true] {
        let first = decoder.decode(body, &names, bulk, 1);
        if let Ok(decoded) = &first {
            bramble_fuzz::check_logs(&decoded.batch);
        }
        assert_eq!(decoder.decode(body, &names, bulk, 1), first);
    }
}

/// In pieces as in one piece.
fn inflate(choice: u8, body: &[u8]) {
    let encoding = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd][usize::from(choice) % 3];
    let mut whole = Vec::new();
    let at_once = decompress(encoding, body, LIMIT_BYTES, &mut whole);
    let (mut inflate, mut out) = (Inflate::new(encoding).expect("known"), Vec::new());
    let mut in_pieces = Ok(());
    'body: for mut piece in body.chunks(usize::from(choice) % 7 + 1) {
        loop {
            let before = out.len();
            match inflate.step(piece, &mut out) {
                Ok(taken) => piece = &piece[taken..],
                Err(error) => {
                    in_pieces = Err(error);
                    break 'body;
                }
            }
            assert!(out.len() - before <= 256 << 10, "a step of {} bytes", out.len() - before);
            if piece.is_empty() && out.len() == before {
                break;
            }
        }
        if out.len() > LIMIT_BYTES {
            return;
        }
    }
    if at_once.is_ok() && !body.is_empty() {
        in_pieces.and_then(|()| inflate.finish(&mut out)).expect("it unfolds at once");
        assert!(out == whole, "{encoding:?}");
    }
}
