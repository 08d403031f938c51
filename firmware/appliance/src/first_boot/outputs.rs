//! What is written below `/data/etc`.

use super::settings::merge;
use super::wishes::{Interface, Wishes};
use super::{Report, wpa};
use crate::durable;
use crate::helper::user_id;
use crate::layout::{Layout, read};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// What is wrong with the boot partition's files, a line each; no file when nothing is. Below `/data/etc`.
pub const PROBLEMS_FILE: &str = "first-boot.problems";

/// The user's settings as they were taken last.
const USER_SETTINGS: &str = "user.toml";

/// What `[appliance]` set for Bramble, as it was taken last.
const SET: &str = "appliance.set";

/// Whether a file changed.
pub type Written = bool;

/// Writes everything, one thing after the other; what cannot be written is told, and the rest goes on.
pub(super) fn write(layout: &Layout, wishes: &Wishes, check: &dyn Fn(&str) -> Result<(), String>, report: &mut Report) {
    let etc = layout.etc();
    let put = |name: &str, content: &str, mode: u32, what: String, report: &mut Report| match durable::update(
        &etc.join(name),
        content.as_bytes(),
        mode,
    ) {
        Ok(true) => report.took("written", what),
        Ok(false) => {}
        Err(error) => report.problem("data partition", error.to_string()),
    };
    if let Some(name) = &wishes.hostname {
        put("hostname", &format!("{name}\n"), 0o644, format!("host name {name}"), report);
    }
    if !wishes.ssh_keys.is_empty() {
        let keys = wishes.ssh_keys.join("\n") + "\n";
        put("ssh/authorized_keys", &keys, 0o600, format!("{} ssh key(s)", wishes.ssh_keys.len()), report);
    }
    if !wishes.wifi.is_empty() {
        let names: Vec<&str> = wishes.wifi.iter().map(|wifi| wifi.ssid.as_str()).collect();
        let text = wpa::write(&wishes.wifi, wishes.country.as_deref());
        put("network/wpa_supplicant.conf", &text, 0o600, format!("wireless network(s) {}", names.join(", ")), report);
    }
    for interface in &wishes.interfaces {
        let name = format!("network/10-{}.network", interface.name);
        put(&name, &network_text(interface), 0o644, format!("addresses of {}", interface.name), report);
    }
    let settled = [timezone(layout, wishes, report), settings(layout, wishes, check, report)];
    settled.into_iter().filter_map(Result::err).for_each(|error| report.problem("data partition", error.to_string()));
    apply_hostname(layout, report);
    let problems = report.problems.join("\n");
    let told = match problems.is_empty() {
        true => durable::remove(&etc.join(PROBLEMS_FILE)),
        false => durable::update(&etc.join(PROBLEMS_FILE), (problems + "\n").as_bytes(), 0o644),
    };
    if let Err(error) = told {
        report.problem("data partition", error.to_string());
    }
}

fn network_text(interface: &Interface) -> String {
    let Interface { name, dhcp, addresses, gateway, name_servers } = interface;
    let dhcp = if *dhcp { "yes" } else { "no" };
    let mut text =
        format!("# Written by bramble appliance first-boot.\n[Match]\nName={name}\n\n[Network]\nDHCP={dhcp}\n");
    for (address, length) in addresses {
        _ = writeln!(text, "Address={address}/{length}");
    }
    if let Some(gateway) = gateway {
        _ = writeln!(text, "Gateway={gateway}");
    }
    for server in name_servers {
        _ = writeln!(text, "DNS={server}");
    }
    text
}

fn timezone(layout: &Layout, wishes: &Wishes, report: &mut Report) -> io::Result<()> {
    let Some(zone) = &wishes.timezone else { return Ok(()) };
    let zones = Path::new("/usr/share/zoneinfo");
    let target = zones.join(zone);
    if !layout.path("/usr/share/zoneinfo").join(zone).is_file() {
        report.problem("time zone", format!("{zone} is not known; as Europe/Berlin"));
        return Ok(());
    }
    let link = layout.etc().join("localtime");
    if fs::read_link(&link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    fs::create_dir_all(layout.etc())?;
    let new = layout.etc().join("localtime.new");
    durable::remove(&new)?;
    std::os::unix::fs::symlink(&target, &new)?;
    fs::rename(&new, &link)?;
    fs::File::open(layout.etc())?.sync_all()?;
    report.took("written", format!("time zone {zone}"));
    Ok(())
}

/// `bramble.toml`: the image's settings, the user's over them. What Bramble would not start with is left out.
fn settings(
    layout: &Layout,
    wishes: &Wishes,
    check: &dyn Fn(&str) -> Result<(), String>,
    report: &mut Report,
) -> io::Result<()> {
    let defaults = read(&layout.path("/usr/lib/bramble/bramble.toml"));
    let kept = |name: &str| Some(read(&layout.etc().join(name))).filter(|text| !text.is_empty());
    let user = wishes.settings.clone().or_else(|| kept(USER_SETTINGS));
    let set = set_text(wishes).or_else(|| kept(SET)).unwrap_or_default();
    let merged = |user: Option<&str>, set: &str| {
        let text = merge(&defaults, user, &set_of(set))?;
        check(&text).map(|()| text)
    };
    // What is good is kept for boots without the file; what is not leaves what was good before.
    let text = match merged(user.as_deref(), &set) {
        Ok(text) => {
            keep(layout, USER_SETTINGS, user.as_deref().unwrap_or_default())?;
            keep(layout, SET, &set)?;
            text
        }
        Err(why) => {
            report.problem("bramble.toml", format!("not taken: {why}"));
            let before = merged(kept(USER_SETTINGS).as_deref(), &kept(SET).unwrap_or_default());
            before.or_else(|_| merged(None, "")).unwrap_or(defaults)
        }
    };
    let path = layout.etc().join("bramble.toml");
    let group = group_of_bramble(layout);
    // With secrets in it, for Bramble's user alone; where there is none, for everybody who runs it.
    let mode = if group.is_some() { 0o640 } else { 0o644 };
    if durable::update(&path, text.as_bytes(), mode)? {
        report.took("written", "settings of Bramble");
    }
    match group {
        Some(group) if rustix::process::getuid().is_root() => {
            Ok(rustix::fs::chown(&path, None, Some(rustix::fs::Gid::from_raw(group)))?)
        }
        _ => Ok(()),
    }
}

fn keep(layout: &Layout, name: &str, text: &str) -> io::Result<()> {
    let path = layout.etc().join(name);
    match text.is_empty() {
        true => durable::remove(&path).map(drop),
        false => durable::update(&path, text.as_bytes(), 0o600).map(drop),
    }
}

/// Settings that `[appliance]` names, a line each; `None` when it names none.
fn set_text(wishes: &Wishes) -> Option<String> {
    let code = wishes.setup_code.as_ref().map(|code| format!("security setup_code {code}\n"));
    let token = wishes.enrolment_token.as_ref().map(|token| format!("node token {token}\n"));
    match code.is_none() && token.is_none() {
        true => None,
        false => Some(code.unwrap_or_default() + &token.unwrap_or_default()),
    }
}

fn set_of(text: &str) -> Vec<(&str, &str, &str)> {
    let parts = text.lines().map(|line| line.splitn(3, ' ').collect::<Vec<_>>());
    parts.filter_map(|parts| Some((*parts.first()?, *parts.get(1)?, *parts.get(2)?))).collect()
}

/// Group of the user that Bramble runs as.
fn group_of_bramble(layout: &Layout) -> Option<u32> {
    // The image gives user and group one number.
    user_id(layout, "bramble")
}

/// The kernel's name of the machine, where the layout is this machine's own.
fn apply_hostname(layout: &Layout, report: &mut Report) {
    let name = read(&layout.etc().join("hostname"));
    let name = name.trim();
    if name.is_empty() || layout.path("/") != Path::new("/") || !rustix::process::getuid().is_root() {
        return;
    }
    if let Err(error) = rustix::system::sethostname(name.as_bytes()) {
        report.problem("host name", error.to_string());
    }
}
