//! From what was asked for to steps.

use super::SetupArguments;
use super::host::{Host, Owner};
use super::settings::{Setting, Wanted};
use super::step::Step;
use crate::config::Role;
use anyhow::Context;

/// The units as packages install them.
const HUB_UNIT: &str = include_str!("../../../../../systemd/bramble.service");
const NODE_UNIT: &str = include_str!("../../../../../systemd/bramble-node.service");
const READ_LOGS: &str = include_str!("../../../../../systemd/read-logs.conf");
const BOARD: &str = include_str!("../../../../../systemd/board.conf");
const BOARD_RULES: &str = include_str!("../../../../board/60-bramble-board.rules");
const RULES_FILE: &str = "60-bramble-board.rules";
/// Where packages put the program, and where the bare one goes.
const PACKAGED: &str = "/usr/bin/bramble";
const BARE: &str = "/usr/local/bin/bramble";
/// Directories of units that packages install.
const VENDOR: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
/// Groups whose logs Bramble reads, where they exist.
const LOG_GROUPS: [&str; 2] = ["adm", "systemd-journal"];
/// Presets for logs that belong to root or to other users.
const PRIVATE_LOGS: [&str; 3] = ["k3s", "docker", "mdso"];

/// The unit file that counts: a package's if there is one, else our own.
pub(super) fn unit_path(host: &Host, unit: &str) -> String {
    let packaged =
        VENDOR.map(|directory| format!("{directory}/{unit}")).into_iter().find(|path| host.at(path).exists());
    packaged.unwrap_or_else(|| format!("/etc/systemd/system/{unit}"))
}

/// All steps, in the order in which they are done.
///
/// # Errors
/// Arguments that do not go together.
pub(super) fn plan(host: &Host, asked: &SetupArguments) -> anyhow::Result<Vec<Step>> {
    let role = asked.role();
    let (unit, unit_text) = match role {
        Role::Hub => ("bramble.service", HUB_UNIT),
        Role::Node => ("bramble-node.service", NODE_UNIT),
    };
    let packaged = unit_path(host, unit).starts_with("/usr/lib") || unit_path(host, unit).starts_with("/lib");
    let mut steps = Vec::new();
    if !packaged {
        steps.push(Step::Program { path: BARE.to_owned() });
    }
    steps.push(Step::User);
    steps.extend(LOG_GROUPS.map(|group| Step::Member { group: group.to_owned() }));
    steps.push(Step::Directory { path: "/etc/bramble".to_owned(), mode: 0o750, owner: Owner::RootForBramble });
    steps.push(Step::Data);
    steps.push(Step::Settings { wanted: wanted(asked)? });
    for entry in &asked.hosts_entry {
        let (address, name) = entry.split_once('=').context("--hosts-entry is ADDRESS=NAME")?;
        address.parse::<std::net::IpAddr>().with_context(|| format!("{address} is no IP address"))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        anyhow::ensure!(!name.is_empty() && name.chars().all(fits), "{name:?} is no host name");
        steps.push(Step::HostsEntry { address: address.to_owned(), name: name.to_owned() });
    }
    let file = |path: String, text: String| Step::File { path, mode: 0o644, owner: Owner::Root, text };
    if !packaged {
        steps.push(file(format!("/etc/systemd/system/{unit}"), unit_text.replace(PACKAGED, BARE)));
    }
    if asked.board {
        let packaged = host.at(&format!("/usr/lib/udev/rules.d/{RULES_FILE}")).exists();
        if !packaged {
            steps.push(file(format!("/etc/udev/rules.d/{RULES_FILE}"), BOARD_RULES.to_owned()));
        }
        steps.push(file(format!("/etc/systemd/system/{unit}.d/board.conf"), BOARD.to_owned()));
    }
    if role == Role::Hub && asked.preset.iter().any(|preset| PRIVATE_LOGS.contains(&preset.as_str())) {
        let path = "/etc/systemd/system/bramble.service.d/read-logs.conf".to_owned();
        steps.push(file(path, READ_LOGS.to_owned()));
    }
    steps.push(Step::Enabled { unit: unit.to_owned() });
    if !asked.no_start {
        steps.push(Step::Started { unit: unit.to_owned() });
    }
    Ok(steps)
}

/// What the settings file must say.
fn wanted(asked: &SetupArguments) -> anyhow::Result<Vec<Setting>> {
    let text = |section, key, value: &str| Setting { section, key, value: Wanted::Text(value.to_owned()) };
    let mut wanted = Vec::new();
    match asked.role() {
        Role::Node => {
            wanted.push(text("", "role", "node"));
            if !asked.hub.is_empty() {
                wanted.push(Setting { section: "node", key: "hubs", value: Wanted::List(asked.hub.clone()) });
            }
            if let Some(token) = asked.token()? {
                wanted.push(text("node", "token", &token));
            }
        }
        Role::Hub => {
            anyhow::ensure!(asked.token()?.is_none(), "--token enrols a node: say --role node, and --hub");
            if asked.role.is_some() {
                wanted.push(text("", "role", "hub"));
            }
        }
    }
    if let Some(listen) = &asked.listen {
        listen.parse::<std::net::IpAddr>().with_context(|| format!("--listen {listen}: no IP address"))?;
        wanted.push(text("doors", "listen", listen));
    }
    if !asked.preset.is_empty() {
        wanted.push(Setting { section: "collect", key: "presets", value: Wanted::List(asked.preset.clone()) });
    }
    Ok(wanted)
}
