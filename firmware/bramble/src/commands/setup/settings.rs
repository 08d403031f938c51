//! The settings file: made when there is none, otherwise only what was asked for is changed in it.

use anyhow::Context;
use toml_edit::{Array, DocumentMut, Item, Table, Value, value};

/// What is written where there is no file yet, and by packages.
pub(super) const DEFAULT: &str = include_str!("../../../../../systemd/bramble.toml");

/// A setting as it shall be. `section` is empty for the top of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Wanted,
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// One text.
    Text(String),
    /// A list of them.
    List(Vec<String>),
}

impl Wanted {
    fn is(&self, found: &Item) -> bool {
        match self {
            Wanted::Text(text) => found.as_str() == Some(text),
            Wanted::List(list) => found.as_array().is_some_and(|found| {
                found.len() == list.len()
                    && found.iter().zip(list).all(|(found, wanted)| found.as_str() == Some(wanted))
            }),
        }
    }

    fn item(&self) -> Item {
        match self {
            Wanted::Text(text) => value(text.as_str()),
            Wanted::List(list) => Item::Value(Value::Array(list.iter().map(String::as_str).collect::<Array>())),
        }
    }
}

/// Comments at the top of the default text, which stay at the top when settings are added to it.
fn heading() -> String {
    DEFAULT.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn parse(text: &str) -> anyhow::Result<DocumentMut> {
    text.parse().context("the settings file is not TOML; correct it first (`bramble check-config` says where)")
}

/// Whether `text` says all of it already.
///
/// # Errors
/// It is not TOML.
pub(super) fn holds(text: &str, wanted: &[Setting]) -> anyhow::Result<bool> {
    let document = parse(text)?;
    Ok(wanted.iter().all(|setting| {
        let table = match setting.section {
            "" => Some(document.as_item()),
            section => document.get(section),
        };
        table.and_then(|table| table.get(setting.key)).is_some_and(|found| setting.value.is(found))
    }))
}

/// `text` (or the default) with these settings in it; everything else stays as it is, comments too.
///
/// # Errors
/// It is not TOML, or has a value where a section is needed.
pub(super) fn with(text: Option<&str>, wanted: &[Setting]) -> anyhow::Result<String> {
    let text = text.unwrap_or(DEFAULT);
    if wanted.is_empty() {
        return Ok(text.to_owned());
    }
    let untouched = text == DEFAULT;
    let mut document = if untouched { DocumentMut::new() } else { parse(text)? };
    for setting in wanted {
        let table: &mut Table = match setting.section {
            "" => document.as_table_mut(),
            section => {
                let made = document.entry(section).or_insert_with(toml_edit::table);
                made.as_table_mut().with_context(|| format!("the settings file has a value named {section}"))?
            }
        };
        // In place of an old value, so that a comment behind it stays.
        match table.get_mut(setting.key) {
            Some(old) => *old = setting.value.item(),
            None => drop(table.insert(setting.key, setting.value.item())),
        }
    }
    Ok(if untouched { format!("{}\n{document}", heading()) } else { document.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(role: &str) -> Setting {
        Setting { section: "", key: "role", value: Wanted::Text(role.to_owned()) }
    }

    fn presets(names: &[&str]) -> Setting {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Setting { section: "collect", key: "presets", value: Wanted::List(names) }
    }

    #[test]
    fn a_new_file_has_the_heading_and_what_was_asked_for() {
        let wanted = [role("node"), presets(&["mdso", "host"])];
        let text = with(None, &wanted).unwrap();
        assert!(text.starts_with("# Bramble's settings."), "{text}");
        assert!(
            text.contains("role = \"node\"\n") && text.contains("[collect]\npresets = [\"mdso\", \"host\"]"),
            "{text}"
        );
        assert!(holds(&text, &wanted).unwrap());
        assert_eq!(with(Some(&text), &wanted).unwrap(), text, "twice is once");
    }

    #[test]
    fn the_default_text_is_valid_and_says_nothing() {
        assert!(parse(DEFAULT).unwrap().is_empty());
        assert_eq!(with(None, &[]).unwrap(), DEFAULT);
    }

    #[test]
    fn an_old_file_keeps_its_comments_and_other_settings() {
        let old = "# mine\nrole = \"hub\"\n\n[doors]\n# why\nlisten = \"0.0.0.0\" # all\n";
        assert!(!holds(old, &[role("node")]).unwrap());
        let new = with(Some(old), &[role("node"), presets(&["k3s"])]).unwrap();
        assert!(new.contains("# mine\nrole = \"node\"") && new.contains("# why\nlisten = \"0.0.0.0\" # all"), "{new}");
        assert!(new.contains("presets = [\"k3s\"]"), "{new}");
    }

    #[test]
    fn a_broken_file_is_refused_not_replaced() {
        assert!(with(Some("role = "), &[role("node")]).is_err());
        assert!(with(Some("collect = 3"), &[presets(&["k3s"])]).is_err());
    }
}
