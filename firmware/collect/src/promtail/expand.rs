//! Environment variables in a configuration, as `-config.expand-env=true` has them.
//!
//! Source: Promtail's documentation, "Use environment variables in the configuration": `${VAR}`, `${VAR:default}`,
//! `${VAR:-default}`, and `${VAR:?text}` for one that must be there; a double backslash becomes one. What is no name of a
//! variable, such as the `${1}` of a replacement, stays.

/// The text with its variables expanded. Lines keep their numbers unless a value has line breaks.
///
/// # Errors
/// The line, and the variable that must be set and is not.
pub(super) fn expand(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<String, (u64, String)> {
    let (mut out, mut rest, mut line) = (String::with_capacity(text.len()), text, 1u64);
    while let Some(at) = rest.find(['$', '\\', '\n']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = found.strip_prefix("\\\\") {
            out.push('\\');
            rest = after;
        } else if let Some((reference, after)) = reference(found) {
            out.push_str(&value(&reference, &environment).map_err(|error| (line, error))?);
            line += reference.default.matches('\n').count() as u64;
            rest = after;
        } else {
            line += u64::from(found.starts_with('\n'));
            let next = found.chars().next().map_or(0, char::len_utf8);
            let (kept, after) = found.split_at(next);
            out.push_str(kept);
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// `${NAME`, and what follows the name up to the brace.
struct Reference<'a> {
    name: &'a str,
    required: bool,
    default: &'a str,
}

fn reference(text: &str) -> Option<(Reference<'_>, &str)> {
    let (inside, after) = text.strip_prefix("${")?.split_once('}')?;
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (required, default) = match rest.strip_prefix(':') {
        None if rest.is_empty() => (false, ""),
        None => return None,
        Some(rest) => match (rest.strip_prefix('?'), rest.strip_prefix(['-', '='])) {
            (Some(message), _) => (true, message),
            (None, Some(default)) => (false, default),
            (None, None) => (false, rest),
        },
    };
    Some((Reference { name, required, default }, after))
}

fn value(reference: &Reference<'_>, environment: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    match environment(reference.name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value),
        None if reference.required => Err(format!("variable {} is not set: {}", reference.name, reference.default)),
        None => Ok(reference.default.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, (u64, &str)>) {
        let environment = |name: &str| match name {
            "HOST" => Some("pi".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let expanded = expand(text, environment);
        let expected = expected.map(str::to_owned).map_err(|(line, error)| (line, error.to_owned()));
        assert_eq!(expanded, expected, "{text}");
    }

    #[test]
    fn variables_are_expanded_and_captures_are_not() {
        check("a: ${HOST}-${NONE}.", Ok("a: pi-."));
        check("${NONE:x} ${NONE:-y z} ${EMPTY:=w} ${HOST:-no}", Ok("x y z w pi"));
        check("replacement: $1 ${1} ${2}$$ ${", Ok("replacement: $1 ${1} ${2}$$ ${"));
        check(r"expression: '\\d+\s'", Ok(r"expression: '\d+\s'"));
        check("a\nb: ${NONE:?say it}\n", Err((2, "variable NONE is not set: say it")));
        check("ü${HOST}ü\n", Ok("üpiü\n"));
    }
}
