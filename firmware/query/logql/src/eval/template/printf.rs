//! Go's `Print` and `Printf`.

use super::value::{Value, exponent_text, float_text};
use crate::syntax::quote;

/// The values side by side, with a blank between two of which neither is text.
pub(super) fn print(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| values.get(i));
        if before.is_some_and(|b| !matches!(b, Value::Str(_)) && !matches!(value, Value::Str(_))) {
            out.push(' ');
        }
        out.push_str(&value.text());
    }
    out
}

/// Go's `Printf`, with the verbs that make sense for these values.
pub(super) fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| "-+0# ".contains(*c)) {
            flags.push(flag);
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut digits = String::new();
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                digits.push(d);
            }
            digits.parse::<usize>().ok().map(|n| n.min(1000))
        };
        let width = number(&mut chars);
        let precision = chars.next_if_eq(&'.').map(|_| number(&mut chars).unwrap_or(0));
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = arguments.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let body = verb_text(verb, value, precision, flags.contains('+'));
        let missing = width.unwrap_or(0).saturating_sub(body.chars().count());
        if flags.contains('-') {
            out.push_str(&body);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if flags.contains('0') && verb != 's' {
            let (sign, digits) = body.strip_prefix('-').map_or(("", body.as_str()), |d| ("-", d));
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&body);
        }
    }
    let extra: Vec<String> = arguments.map(|a| format!("{}={}", a.type_name(), a.text())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn verb_text(verb: char, value: &Value, precision: Option<usize>, plus: bool) -> String {
    let signed = |text: String, positive: bool| if plus && positive { format!("+{text}") } else { text };
    match (verb, value) {
        ('s' | 'v', value) => match precision {
            Some(n) => value.text().chars().take(n).collect(),
            None => value.text(),
        },
        ('q', value) => quote(&value.text()),
        ('d', Value::Int(n)) => signed(n.to_string(), *n >= 0),
        ('x', Value::Int(n)) => format!("{n:x}"),
        ('X', Value::Int(n)) => format!("{n:X}"),
        ('o', Value::Int(n)) => format!("{n:o}"),
        ('b', Value::Int(n)) => format!("{n:b}"),
        ('c', Value::Int(n)) => u32::try_from(*n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        ('x', Value::Str(s)) => s.bytes().map(|b| format!("{b:02x}")).collect(),
        ('f' | 'F', Value::Float(n)) => signed(format!("{n:.*}", precision.unwrap_or(6)), *n >= 0.0),
        ('e', Value::Float(n)) => exponent_text(&format!("{n:.*e}", precision.unwrap_or(6))),
        ('g', Value::Float(n)) => float_text(*n),
        ('T', value) => value.type_name().to_owned(),
        ('U', Value::Int(n)) => format!("U+{n:04X}"),
        ('t', Value::Bool(b)) => b.to_string(),
        (verb, value) => {
            let kind = value.type_name();
            format!("%!{verb}({kind}={})", value.text())
        }
    }
}
