//! `user-data` and `network-config` of cloud-init, as Raspberry Pi Imager 2 writes them, and the part of them that people
//! write by hand for the same purpose: name, time zone, keys; wireless networks and wired addresses (netplan, version 2).
//!
//! Commands, packages, files and users in them are not taken: there is no place for them in a read-only system.

use super::settings::add_keys;
use super::wishes::{Interface, Wishes};
use super::{Report, valid};
use serde_json::{Map, Value};
use std::net::IpAddr;

const USER: &str = "user-data";
const NETWORK: &str = "network-config";

/// What a user may have asked for that is not done here.
const LEFT_OUT: [&str; 6] = ["runcmd", "bootcmd", "packages", "write_files", "chpasswd", "password"];

fn yaml(text: &str, place: &str, report: &mut Report) -> Map<String, Value> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Map::new();
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Object(map)) => map,
        Ok(Value::Null) => Map::new(),
        Ok(_) => {
            report.problem(place, "is no mapping, and none of it was taken");
            Map::new()
        }
        Err(error) => {
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            report.problem(place, format!("is no YAML, and none of it was taken: {first}"));
            Map::new()
        }
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => one.lines().collect(),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn take(
    value: Option<&Value>,
    read: fn(&str) -> Result<String, String>,
    place: &str,
    report: &mut Report,
) -> Option<String> {
    match value.and_then(Value::as_str).filter(|value| !value.is_empty()).map(read)? {
        Ok(value) => Some(value),
        Err(why) => {
            report.problem(place, why);
            None
        }
    }
}

/// Reads `user-data`. One that is a script is not for us.
pub fn parse_user_data(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    if text.starts_with("#!") {
        report.problem(USER, "is a script, and scripts are not run here");
        return wishes;
    }
    let map = yaml(text, USER, report);
    wishes.hostname = take(map.get("hostname").or(map.get("fqdn")), valid::hostname, USER, report);
    wishes.timezone = take(map.get("timezone"), valid::timezone, USER, report);
    add_keys(&mut wishes, texts(map.get("ssh_authorized_keys")), USER, report);
    for user in map.get("users").and_then(Value::as_array).into_iter().flatten() {
        add_keys(&mut wishes, texts(user.get("ssh_authorized_keys")), USER, report);
    }
    let left: Vec<&str> = LEFT_OUT.into_iter().filter(|key| map.contains_key(*key)).collect();
    if !left.is_empty() {
        report.problem(USER, format!("{} not taken: the system is read-only and has no such thing", left.join(", ")));
    }
    wishes
}

/// Reads `network-config`.
pub fn parse_network(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    let map = yaml(text, NETWORK, report);
    let network = map.get("network").and_then(Value::as_object).unwrap_or(&map);
    if network.get("version").and_then(Value::as_u64).is_some_and(|version| version != 2) {
        report.problem(NETWORK, "only version 2 (netplan) is read");
        return wishes;
    }
    let of = |key: &str| network.get(key).and_then(Value::as_object).into_iter().flatten();
    for (_, wireless) in of("wifis").filter(|(_, value)| value.is_object()) {
        let country = take(wireless.get("regulatory-domain"), valid::country, NETWORK, report);
        wishes.country = wishes.country.take().or(country);
        for (ssid, point) in wireless.get("access-points").and_then(Value::as_object).into_iter().flatten() {
            let auth = point.get("auth");
            let secret = point.get("password").or(auth.and_then(|auth| auth.get("password")));
            let hidden = point.get("hidden").and_then(Value::as_bool).unwrap_or(false);
            match valid::wifi(ssid, secret.and_then(Value::as_str).unwrap_or_default(), hidden) {
                Ok(wifi) => wishes.add_wifi(wifi),
                Err(why) => report.problem(NETWORK, why),
            }
        }
    }
    for (name, wired) in of("ethernets").filter(|(_, value)| value.is_object()) {
        match interface(name, wired) {
            Ok(Some(interface)) => wishes.interfaces.push(interface),
            Ok(None) => {}
            Err(why) => report.problem(NETWORK, why),
        }
    }
    wishes
}

/// `None` when it only asks for an address, as every interface does.
fn interface(name: &str, wired: &Value) -> Result<Option<Interface>, String> {
    let addresses: Vec<&str> = texts(wired.get("addresses"));
    if addresses.is_empty() {
        return Ok(None);
    }
    let routes = wired.get("routes").and_then(Value::as_array).into_iter().flatten();
    let is_default =
        |route: &&Value| matches!(route.get("to").and_then(Value::as_str), Some("default" | "0.0.0.0/0" | "::/0"));
    let via = routes.filter(is_default).find_map(|route| route.get("via")?.as_str());
    let gateway = via.or(wired.get("gateway4").and_then(Value::as_str));
    let servers = texts(wired.get("nameservers").and_then(|servers| servers.get("addresses")));
    let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| format!("{name}: {:?} is no address", valid::shown(text)));
    let with_length = |text: &str| {
        let wrong = || {
            format!("{name}: {:?} is no address with the length of its network, as 192.168.1.5/24", valid::shown(text))
        };
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let (address, length) = (ip(address)?, length.parse::<u8>().map_err(|_| wrong())?);
        if length <= if address.is_ipv4() { 32 } else { 128 } { Ok((address, length)) } else { Err(wrong()) }
    };
    Ok(Some(Interface {
        name: valid::interface(name)?,
        dhcp: wired.get("dhcp4").and_then(Value::as_bool).unwrap_or(false),
        addresses: addresses.into_iter().map(with_length).collect::<Result<_, String>>()?,
        gateway: gateway.map(ip).transpose()?,
        name_servers: servers.into_iter().map(ip).collect::<Result<_, _>>()?,
    }))
}
