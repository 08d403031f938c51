//! Keys of lines as label names.

/// Whether `name` can be a label's as it is: letters, digits and underscores of ASCII, no digit first.
pub fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|b| !b.is_ascii_digit()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Appends `key` to `out` as a label name, or a part of one that begins earlier: blanks around it go, what a name may
/// not have becomes an underscore, and so does what would stand before a leading digit.
pub fn sanitize(key: &str, out: &mut String) {
    let key = key.trim();
    if out.is_empty() && key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let made = |key: &str| {
            let mut out = String::new();
            sanitize(key, &mut out);
            out
        };
        assert_eq!((made(" x-id "), made("1st"), made("größe")), ("x_id".into(), "_1st".into(), "gr__e".into()));
        assert!(is_plain("a_1") && is_plain("_") && !is_plain("1a") && !is_plain("") && !is_plain("a-b"));
    }
}
