//! `wpa_supplicant.conf`, read and written. Format: wpa_supplicant.conf(5).

use super::wishes::{Wifi, WifiSecret, Wishes};
use super::{Report, valid};
use crate::bundle::hex;
use std::fmt::Write;

/// One `network={…}` as it is read.
#[derive(Default)]
struct Block {
    ssid: Option<String>,
    secret: String,
    open: bool,
    hidden: bool,
    other: Option<String>,
}

/// Reads networks and the country; what is neither is not taken, and a network that needs more than a password is told.
pub fn parse(text: &str, place: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    let mut block: Option<Block> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (&mut block, line) {
            (Some(_), "}") => finish(block.take().unwrap_or_default(), place, &mut wishes, report),
            (Some(open), line) => read_field(open, line),
            (None, line) if line.replace(' ', "") == "network={" => block = Some(Block::default()),
            // Where its socket is and the like is ours to say.
            (None, line) => {
                let country = line.split_once('=').filter(|(key, _)| key.trim() == "country");
                match country.map(|(_, value)| valid::country(value)) {
                    Some(Ok(country)) => wishes.country = Some(country),
                    Some(Err(why)) => report.problem(place, why),
                    None => {}
                }
            }
        }
    }
    if block.is_some() {
        report.problem(place, "a network has no } at its end, and was not taken");
    }
    wishes
}

fn read_field(block: &mut Block, line: &str) {
    let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
        block.other = Some(line.to_owned());
        return;
    };
    match key {
        "ssid" => block.ssid = text_of(value),
        // A key of 64 digits stands without quotes.
        "psk" | "sae_password" => block.secret = quoted(value).unwrap_or(value).to_owned(),
        "key_mgmt" if value == "NONE" => block.open = true,
        "key_mgmt" if value.split_whitespace().any(|one| one.contains("PSK") || one == "SAE") => {}
        "scan_ssid" => block.hidden = value == "1",
        "priority" | "id_str" | "proto" | "pairwise" | "group" | "ieee80211w" | "disabled" | "auth_alg" => {}
        _ => block.other = Some(key.to_owned()),
    }
}

fn quoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// A name in quotes, or in hex digits.
fn text_of(value: &str) -> Option<String> {
    if let Some(text) = quoted(value) {
        return Some(text.to_owned());
    }
    let digits = value.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(digits.collect::<Option<_>>()?).ok()
}

fn finish(block: Block, place: &str, wishes: &mut Wishes, report: &mut Report) {
    let Some(ssid) = block.ssid else { return report.problem(place, "a network without a name (ssid) was not taken") };
    if let Some(other) = block.other {
        let name = valid::shown(&ssid);
        let why = format!(
            "network {name:?} was not taken: it has {:?}, and only open networks and those with a password are supported",
            valid::shown(&other)
        );
        return report.problem(place, why);
    }
    if block.secret.is_empty() && !block.open {
        return report.problem(
            place,
            format!("network {:?} has no password (psk) and does not say key_mgmt=NONE", valid::shown(&ssid)),
        );
    }
    let secret = if block.open { "" } else { block.secret.as_str() };
    match valid::wifi(&ssid, secret, block.hidden) {
        Ok(wifi) => wishes.add_wifi(wifi),
        Err(why) => report.problem(place, why),
    }
}

/// The file for these networks.
pub fn write(networks: &[Wifi], country: Option<&str>) -> String {
    let mut text = String::from(
        "# Written by bramble appliance first-boot; changes are lost.\nctrl_interface=DIR=/run/wpa_supplicant\n",
    );
    if let Some(country) = country {
        _ = writeln!(text, "country={country}");
    }
    for Wifi { ssid, secret, hidden } in networks {
        // In hex digits no name needs quoting.
        _ = write!(text, "\nnetwork={{\n\tssid={}\n", hex(ssid.as_bytes()));
        _ = match secret {
            WifiSecret::Open => writeln!(text, "\tkey_mgmt=NONE"),
            WifiSecret::Key(key) => writeln!(text, "\tkey_mgmt=WPA-PSK\n\tpsk={key}"),
            // The last quote ends it, whatever is between. WPA3 where the access point has it.
            WifiSecret::Passphrase(phrase) => {
                writeln!(text, "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\"{phrase}\"")
            }
        };
        if *hidden {
            text.push_str("\tscan_ssid=1\n");
        }
        text.push_str("}\n");
    }
    text
}
