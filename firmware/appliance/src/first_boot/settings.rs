//! `bramble.toml`: settings of Bramble, and `[appliance]` for the machine around it.

use super::Report;
use super::valid;
use super::wishes::Wishes;
use toml_edit::{DocumentMut, Item, TableLike, Value};

const FILE: &str = "bramble.toml";
const SECTION: &str = "appliance";

/// Reads the file; what is wrong with `[appliance]` is reported, what is wrong with the settings only Bramble knows.
pub fn parse(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    let mut document: DocumentMut = match text.parse() {
        Ok(document) => document,
        Err(error) => {
            report.problem(FILE, format!("is no TOML, and none of it was taken: {}", first_lines(&error)));
            return wishes;
        }
    };
    let appliance = document.remove(SECTION);
    match appliance.as_ref().map(Item::as_table_like) {
        Some(Some(table)) => read_section(table, &mut wishes, report),
        Some(None) => report.problem(FILE, "appliance must be a section: [appliance]"),
        None => {}
    }
    if document.iter().next().is_some() {
        wishes.settings = Some(document.to_string());
    }
    wishes
}

/// What the parser says, on one line.
pub(super) fn first_lines(error: &toml_edit::TomlError) -> String {
    error.to_string().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn read_section(table: &dyn TableLike, wishes: &mut Wishes, report: &mut Report) {
    for (key, item) in table.iter() {
        let outcome = match key {
            "hostname" => text_of(item).and_then(valid::hostname).map(|name| wishes.hostname = Some(name)),
            "timezone" => text_of(item).and_then(valid::timezone).map(|zone| wishes.timezone = Some(zone)),
            "country" => text_of(item).and_then(valid::country).map(|country| wishes.country = Some(country)),
            "setup_code" => one_line(item).map(|code| wishes.setup_code = Some(code)),
            "enrolment_token" => one_line(item).map(|token| wishes.enrolment_token = Some(token)),
            "ssh_authorized_keys" => {
                texts_of(item).map(|keys| add_keys(wishes, keys, &format!("{FILE}: appliance.{key}"), report))
            }
            "wifi" => read_networks(item, wishes, report),
            _ => Err("is not known; known are hostname, timezone, country, wifi, ssh_authorized_keys, setup_code, \
                      enrolment_token"
                .to_owned()),
        };
        if let Err(why) = outcome {
            report.problem(FILE, format!("appliance.{key}: {why}"));
        }
    }
}

fn text_of(item: &Item) -> Result<&str, String> {
    item.as_str().ok_or_else(|| "must be a text".to_owned())
}

fn one_line(item: &Item) -> Result<String, String> {
    let text = text_of(item)?.trim();
    match text.is_empty() || text.contains(char::is_control) {
        true => Err("must be a text of one line".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn texts_of(item: &Item) -> Result<Vec<&str>, String> {
    match item.as_value() {
        Some(Value::String(one)) => Ok(one.value().lines().collect()),
        Some(Value::Array(many)) => {
            many.iter().map(|one| one.as_str().ok_or_else(|| "must be a list of texts".to_owned())).collect()
        }
        _ => Err("must be a list of texts".to_owned()),
    }
}

/// Adds keys, and tells of those that are none. Empty lines and comments are neither.
pub(super) fn add_keys<'a>(
    wishes: &mut Wishes,
    keys: impl IntoIterator<Item = &'a str>,
    place: &str,
    report: &mut Report,
) {
    for line in keys.into_iter().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match valid::ssh_key(line) {
            Ok(key) => wishes.add_key(key),
            Err(why) => report.problem(place, why),
        }
    }
}

fn read_networks(item: &Item, wishes: &mut Wishes, report: &mut Report) -> Result<(), String> {
    let wanted = || "must be a list, as wifi = [{ ssid = \"…\", password = \"…\", country = \"DE\" }]".to_owned();
    let networks: Vec<&dyn TableLike> = match (item.as_array(), item.as_array_of_tables(), item.as_table_like()) {
        (Some(array), ..) => {
            let tables = array.iter().map(|value| value.as_inline_table().map(|table| table as &dyn TableLike));
            tables.collect::<Option<_>>().ok_or_else(wanted)?
        }
        (_, Some(tables), _) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        (.., Some(table)) => vec![table],
        _ => return Err(wanted()),
    };
    for network in networks {
        if let Err(why) = read_network(network, wishes) {
            report.problem(FILE, format!("appliance.wifi: {why}"));
        }
    }
    Ok(())
}

fn read_network(network: &dyn TableLike, wishes: &mut Wishes) -> Result<(), String> {
    let text = |key: &str| network.get(key).map_or(Ok(""), |item| text_of(item).map_err(|why| format!("{key} {why}")));
    if let Some((key, _)) = network.iter().find(|(key, _)| !["ssid", "password", "country", "hidden"].contains(key)) {
        return Err(format!("{key} is not known; known are ssid, password, country, hidden"));
    }
    let hidden = network.get("hidden").and_then(Item::as_bool).unwrap_or(false);
    wishes.add_wifi(valid::wifi(text("ssid")?, text("password")?, hidden)?);
    if network.contains_key("country") {
        wishes.country = Some(valid::country(text("country")?)?);
    }
    Ok(())
}

/// The image's settings with the user's over them, and the few that `[appliance]` names.
///
/// # Errors
/// That one of them is no TOML.
pub fn merge(defaults: &str, user: Option<&str>, set: &[(&str, &str, &str)]) -> Result<String, String> {
    let parse = |text: &str| text.parse::<DocumentMut>().map_err(|error| first_lines(&error));
    let mut merged = parse(defaults)?;
    if let Some(user) = user {
        let user = parse(user)?;
        overlay(merged.as_table_mut(), user.as_table());
    }
    for (section, key, value) in set {
        let table = merged.entry(section).or_insert_with(toml_edit::table);
        table.as_table_like_mut().ok_or(format!("{section} is no section"))?.insert(key, toml_edit::value(*value));
    }
    Ok(merged.to_string())
}

fn overlay(base: &mut toml_edit::Table, over: &toml_edit::Table) {
    for (key, item) in over {
        let both = match (base.get_mut(key).and_then(Item::as_table_mut), item.as_table()) {
            (Some(base), Some(over)) => {
                overlay(base, over);
                true
            }
            _ => false,
        };
        if !both {
            base.insert(key, item.clone());
        }
    }
}
