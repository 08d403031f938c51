//! Any bytes as a line, and as the name and value of a field: what is handed out as an id is one.
#![no_main]

use bramble_line::ids::{IdKind, find_ids, find_in_field};
use libfuzzer_sys::fuzz_target;

fn check(kind: IdKind, id: &[u8]) {
    let digits = id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|b| *b != b'0');
    match kind {
        IdKind::Trace => assert!(digits && matches!(id.len(), 16 | 32), "{kind:?} {id:?}"),
        IdKind::Span => assert!(digits && id.len() == 16, "{kind:?} {id:?}"),
        _ => assert!((1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic), "{kind:?} {id:?}"),
    }
}

fuzz_target!(|line: &[u8]| {
    let mut found = 0;
    find_ids(line, &mut |kind, id| {
        check(kind, id);
        found += 1;
        // Ids that are no digits are parts of the line: whoever looks for them there must find them.
        let is_part = || line.windows(id.len()).any(|part| part.as_ptr() == id.as_ptr());
        assert!(matches!(kind, IdKind::Trace | IdKind::Span) || is_part(), "{kind:?} {id:?} is no part of the line");
    });
    // Each needs at least a separator, and headers give two.
    assert!(found <= 2 * line.len(), "{found} ids");
    for separator in [b'=', b':'] {
        let mut parts = line.splitn(2, |b| *b == separator);
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        find_in_field(name, value, &mut check);
        if IdKind::of_name(name).is_some() {
            assert!(name.len() >= 3);
        }
    }
});
