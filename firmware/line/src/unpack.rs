//! Lines that a `pack` stage wrapped: an object of labels with the line as `_entry`.

use crate::json::{JsonError, Raw, members, unescape};

/// Why a line cannot be unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnpackError {
    /// The line is something else.
    #[error("expecting json object(6), but it is not")]
    NotAnObject,
    /// The object breaks off.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// Calls `label(key, value)` for the strings around the line, escapes of keys not resolved, and returns the line.
/// `None`, and nothing is called, when the object has no `_entry`, or there is no text at all.
///
/// # Errors
/// [`UnpackError`]; nothing was called then.
pub fn unpack(line: &str, mut label: impl FnMut(&str, &str)) -> Result<Option<String>, UnpackError> {
    if line.is_empty() {
        return Ok(None);
    }
    if !line.trim_start().starts_with('{') {
        return Err(UnpackError::NotAnObject);
    }
    let mut entry = None;
    for member in members(line) {
        if let ("_entry", Raw::Str(s)) = member? {
            entry = Some(unescape(s).into_owned());
        }
    }
    let Some(entry) = entry else { return Ok(None) };
    for (key, value) in members(line).flatten() {
        if let Raw::Str(s) = value
            && key != "_entry"
        {
            label(key, &unescape(s));
        }
    }
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_lines_unpack() {
        let mut labels = Vec::new();
        let mut read = |line: &str| unpack(line, |k, v| labels.push(format!("{k}={v}")));
        assert_eq!(read(r#"{"_entry":"x \"y\"","pod":"p","n":1}"#).unwrap().unwrap(), "x \"y\"");
        assert_eq!(read(r#"{"pod":"p"}"#), Ok(None));
        assert_eq!(read(r#"{"pod":"p""#), Err(UnpackError::Json(JsonError::Array)));
        assert_eq!(read("text"), Err(UnpackError::NotAnObject));
        assert_eq!(labels, ["pod=p"]);
    }
}
