//! Any bytes as a Loki push; labels that were read must parse again from their text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((format, body)) = bramble_fuzz::split_format(data) else { return };
    let mut decoder = bramble_wire::loki::Decoder::new(bramble_fuzz::limits());
    let first = decoder.decode(format, body);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_logs(&decoded.batch);
        for stream in decoded.batch.streams() {
            // JSON may bring names that the text form has no way to write.
            if stream.labels().iter().all(|(name, _)| bramble_signal::labels::is_plain_name(name)) {
                let text = stream.labels().to_string();
                let parsed = bramble_wire::loki::parse_label_text(&text).expect("printed labels parse");
                assert!(parsed.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(stream.labels().iter()), "{text}");
            }
        }
    }
    assert_eq!(decoder.decode(format, body), first);
});
