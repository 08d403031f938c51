//! `custom.toml`, as Raspberry Pi Imager and others write it for Raspberry Pi OS 12.
//!
//! Source of its keys: `init_config` of the package raspberrypi-sys-mods, which reads it there.

use super::settings::{add_keys, first_lines};
use super::wishes::Wishes;
use super::{Report, valid};
use toml_edit::{DocumentMut, Item};

const FILE: &str = "custom.toml";

/// Reads the file. There are no users here but the owner of Bramble, made on its page: those in the file are told to be
/// left out.
pub fn parse(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    let document: DocumentMut = match text.parse() {
        Ok(document) => document,
        Err(error) => {
            report.problem(FILE, format!("is no TOML, and none of it was taken: {}", first_lines(&error)));
            return wishes;
        }
    };
    let item = |section: &str, key: &str| document.get(section).and_then(|section| section.get(key));
    let text = |section, key| item(section, key).and_then(Item::as_str);
    let mut take = |value: Option<&str>, read: fn(&str) -> Result<String, String>, into: &mut Option<String>| {
        match value.map(read) {
            Some(Ok(value)) => *into = Some(value),
            Some(Err(why)) => report.problem(FILE, why),
            None => {}
        }
    };
    take(text("system", "hostname"), valid::hostname, &mut wishes.hostname);
    take(text("locale", "timezone"), valid::timezone, &mut wishes.timezone);
    take(text("wlan", "country").filter(|country| !country.is_empty()), valid::country, &mut wishes.country);
    if let Some(ssid) = text("wlan", "ssid") {
        let hidden = item("wlan", "hidden").and_then(Item::as_bool).unwrap_or(false);
        match valid::wifi(ssid, text("wlan", "password").unwrap_or_default(), hidden) {
            Ok(wifi) => wishes.add_wifi(wifi),
            Err(why) => report.problem(FILE, why),
        }
    }
    let keys = item("ssh", "authorized_keys").and_then(Item::as_array);
    let keys = keys.into_iter().flatten().filter_map(|key| key.as_str());
    add_keys(&mut wishes, keys, FILE, report);
    if item("ssh", "enabled").and_then(Item::as_bool) == Some(true) && wishes.ssh_keys.is_empty() {
        report.problem(FILE, "asks for ssh without a key: there are no passwords here, add authorized_keys");
    }
    if document.contains_key("user") {
        report.took(FILE, "user left out: there is no login by password; ssh goes by key, the page by the set-up code");
    }
    wishes
}
