//! Any bytes as a line of syslog: what is found is in the line, and the message is its end.
#![no_main]

use bramble_wire::syslog::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for now_ns in [1_795_240_800_000_000_000, i64::MIN, i64::MAX] {
        let Some(line) = parse(data, now_ns) else { continue };
        let end = data.len() - data.iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
        let end = if data[..end].ends_with(b"\0") { end - 1 } else { end };
        assert!(data[..end].ends_with(line.message), "the message is not the end of the line");
        for word in [line.host, line.app, line.procid, line.msgid].into_iter().flatten() {
            assert!(!word.is_empty() && !word.contains([' ', '\n']), "{word:?}");
        }
        let mut elements = 0;
        for element in line.structured_data.elements() {
            elements += 1;
            assert!(!element.id.is_empty());
            element.values().for_each(|(name, _)| assert!(!name.is_empty()));
        }
        assert_eq!(elements == 0, line.structured_data.is_empty());
        // A header that was read is read again from its parts.
        if let (Some(host), Some(app), Some(procid), Some(msgid)) = (line.host, line.app, line.procid, line.msgid) {
            let data = if line.structured_data.is_empty() { "-" } else { line.structured_data.as_str() };
            let mut again = format!("<14>1 2026-11-21T06:00:00Z {host} {app} {procid} {msgid} {data} ").into_bytes();
            again.extend_from_slice(b"m");
            let again = parse(&again, now_ns).expect("what was read is written");
            assert_eq!((again.host, again.app, again.procid), (line.host, line.app, line.procid));
            assert_eq!((again.msgid, again.structured_data), (line.msgid, line.structured_data));
        }
    }
});
