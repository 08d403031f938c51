//! One step of set-up: what it says, whether it is done, how it is done and undone.

use super::host::{Host, Owner};
use super::settings::{self, Setting};
use super::users;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs;

/// The settings.
pub(super) const SETTINGS: &str = "/etc/bramble/bramble.toml";
/// Where data goes.
pub(super) const DATA: &str = "/var/lib/bramble";
/// What marks our lines in /etc/hosts.
const MARK: &str = "# bramble setup";

/// A step. All paths are absolute, as the host will see them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Step {
    /// This program, where units start it from.
    Program { path: String },
    /// The system user.
    User,
    /// That user in a group, where the group exists.
    Member { group: String },
    /// A directory.
    Directory { path: String, mode: u32, owner: Owner },
    /// The data directory: what is in it belongs to Bramble too, and stays unless it is purged.
    Data,
    /// A file that is wholly ours.
    File { path: String, mode: u32, owner: Owner, text: String },
    /// The settings file; what it must say is not kept with the state, since it may be a secret.
    Settings {
        #[serde(skip)]
        wanted: Vec<Setting>,
    },
    /// A line in /etc/hosts.
    HostsEntry { address: String, name: String },
    /// A unit that is started with the machine.
    Enabled { unit: String },
    /// A unit that runs.
    Started { unit: String },
}

/// What an undone step leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The data directory, and settings that somebody changed.
    Data,
    /// Nothing.
    Nothing,
}

impl Step {
    /// What makes it the same step in another run.
    pub(super) fn name(&self) -> String {
        match self {
            Step::Program { .. } => "program".to_owned(),
            Step::User => "user".to_owned(),
            Step::Member { group } => format!("member {group}"),
            Step::Directory { path, .. } | Step::File { path, .. } => path.clone(),
            Step::Data => "data".to_owned(),
            Step::Settings { .. } => "settings".to_owned(),
            Step::HostsEntry { address, name } => format!("hosts {address} {name}"),
            Step::Enabled { unit } => format!("enabled {unit}"),
            Step::Started { unit } => format!("started {unit}"),
        }
    }

    /// A line for people.
    pub(super) fn text(&self) -> String {
        match self {
            Step::Program { path } => format!("program {path}"),
            Step::User => "system user bramble".to_owned(),
            Step::Member { group } => format!("bramble in group {group}"),
            Step::Directory { path, mode, .. } => format!("directory {path} ({mode:o})"),
            Step::Data => format!("data directory {DATA} (750)"),
            Step::File { path, .. } => format!("file {path}"),
            Step::Settings { wanted } if wanted.is_empty() => format!("settings {SETTINGS} (640)"),
            Step::Settings { wanted } => {
                let keys = wanted.iter().map(|setting| match setting.section {
                    "" => setting.key.to_owned(),
                    section => format!("{section}.{}", setting.key),
                });
                format!("settings {SETTINGS} (640): {}", keys.collect::<Vec<_>>().join(", "))
            }
            Step::HostsEntry { address, name } => format!("{name} as {address} in /etc/hosts"),
            Step::Enabled { unit } => format!("{unit} started with the machine"),
            Step::Started { unit } => format!("{unit} running"),
        }
    }

    /// Whether it is already as it shall be. `changed`: whether an earlier step of this run changed anything.
    pub(super) fn is_done(&self, host: &Host, changed: bool) -> anyhow::Result<bool> {
        Ok(match self {
            Step::Program { path } => {
                fs::read(host.at(path)).is_ok_and(|there| host.program().is_ok_and(|own| own == there))
            }
            Step::User => users::exists(host)?,
            Step::Member { group } => users::is_member(host, group)?,
            Step::Directory { path, mode, owner } => host.is(path, *mode, *owner)?,
            Step::Data => host.is(DATA, 0o750, Owner::Bramble)?,
            Step::File { path, mode, owner, text } => {
                host.read(path)?.as_ref() == Some(text) && host.is(path, *mode, *owner)?
            }
            Step::Settings { wanted } => match host.read(SETTINGS)? {
                Some(text) => settings::holds(&text, wanted)? && host.is(SETTINGS, 0o640, Owner::RootForBramble)?,
                None => false,
            },
            Step::HostsEntry { address, name } => host.read("/etc/hosts")?.is_some_and(|text| {
                text.lines().any(|line| {
                    let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
                    words.next() == Some(address) && words.any(|word| word == name)
                })
            }),
            Step::Enabled { unit } => host.at(&wants(unit)).symlink_metadata().is_ok(),
            Step::Started { unit } => {
                !host.has_systemd() || (!changed && host.run(&["systemctl", "is-active", "--quiet", unit]).is_ok())
            }
        })
    }

    /// The text of the file that it changes, before and after; for those whose undoing needs it.
    pub(super) fn change(&self, host: &Host) -> anyhow::Result<(Option<String>, Option<String>)> {
        match self {
            Step::Settings { wanted } => {
                let before = host.read(SETTINGS)?;
                let after = settings::with(before.as_deref(), wanted)?;
                Ok((before, Some(after)))
            }
            _ => Ok((None, None)),
        }
    }

    /// Does it. Doing it twice does no harm.
    pub(super) fn apply(&self, host: &Host) -> anyhow::Result<()> {
        match self {
            Step::Program { path } => host.write(path, &host.program()?, 0o755, Owner::Root),
            Step::User => users::make(host),
            Step::Member { group } => users::join(host, group),
            Step::Directory { path, mode, owner } => directory(host, path, *mode, *owner),
            Step::Data => {
                directory(host, DATA, 0o750, Owner::Bramble)?;
                host.own_tree(DATA, Owner::Bramble)
            }
            Step::File { path, mode, owner, text } => host.write(path, text.as_bytes(), *mode, *owner),
            Step::Settings { wanted } => {
                let text = settings::with(host.read(SETTINGS)?.as_deref(), wanted)?;
                host.write(SETTINGS, text.as_bytes(), 0o640, Owner::RootForBramble)
            }
            Step::HostsEntry { address, name } => {
                let mut text = host.read("/etc/hosts")?.unwrap_or_default();
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&hosts_line(address, name));
                host.rewrite("/etc/hosts", text.as_bytes())
            }
            Step::Enabled { unit } => enable(host, unit),
            Step::Started { unit } => host.run(&["systemctl", "restart", unit]),
        }
    }

    /// Takes it back; `before` and `after` are what [`change`](Self::change) said. Undoing what is not there is no error.
    pub(super) fn undo(
        &self,
        host: &Host,
        (before, after): (Option<&str>, Option<&str>),
        keep: Keep,
    ) -> anyhow::Result<()> {
        match self {
            Step::Program { path } | Step::File { path, .. } => {
                host.remove(path)?;
                // The directory of a drop-in, which was made for it.
                if let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| parent.ends_with(".service.d")) {
                    host.remove_if_empty(parent);
                }
                Ok(())
            }
            Step::User => {
                // Data that stays belongs to root from now on, since the user's number may be given to another; the next
                // set-up gives it back.
                if host.at(DATA).exists() {
                    host.own_tree(DATA, Owner::Root)?;
                }
                users::remove(host)
            }
            Step::Member { group } => users::leave(host, group),
            Step::Directory { path, .. } => {
                host.remove_if_empty(path);
                Ok(())
            }
            Step::Data => undo_data(host, keep),
            Step::Settings { .. } => undo_settings(host, before, after, keep),
            Step::HostsEntry { address, name } => {
                let text = host.read("/etc/hosts")?.unwrap_or_default();
                let kept = text.replacen(&hosts_line(address, name), "", 1);
                match kept == text {
                    true => Ok(()),
                    false => host.rewrite("/etc/hosts", kept.as_bytes()),
                }
            }
            Step::Enabled { unit } => {
                host.remove(&wants(unit))?;
                reload(host)
            }
            Step::Started { unit } if host.has_systemd() => host.run(&["systemctl", "stop", unit]),
            Step::Started { .. } => Ok(()),
        }
    }
}

fn hosts_line(address: &str, name: &str) -> String {
    format!("{address} {name} {MARK}\n")
}

fn wants(unit: &str) -> String {
    format!("/etc/systemd/system/multi-user.target.wants/{unit}")
}

/// As `systemctl enable` does it, which not every root that is set up can run.
fn enable(host: &Host, unit: &str) -> anyhow::Result<()> {
    let link = wants(unit);
    let unit_file = super::plan::unit_path(host, unit);
    let place = host.at(&link);
    fs::create_dir_all(place.parent().context("no directory")?)?;
    std::os::unix::fs::symlink(&unit_file, &place).with_context(|| format!("cannot link {link}"))?;
    reload(host)
}

fn reload(host: &Host) -> anyhow::Result<()> {
    if host.has_systemd() { host.run(&["systemctl", "daemon-reload"]) } else { Ok(()) }
}

fn directory(host: &Host, path: &str, mode: u32, owner: Owner) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let place = host.at(path);
    fs::create_dir_all(&place).with_context(|| format!("cannot make {path}"))?;
    fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
    host.own(&place, owner)
}

/// An empty directory goes in any case.
fn undo_data(host: &Host, keep: Keep) -> anyhow::Result<()> {
    let place = host.at(DATA);
    if !place.exists() {
        return Ok(());
    }
    match keep {
        Keep::Nothing => fs::remove_dir_all(&place).with_context(|| format!("cannot remove {DATA}")),
        Keep::Data => {
            host.remove_if_empty(DATA);
            Ok(())
        }
    }
}

/// As it was before, unless somebody changed it since: then it is kept beside the data.
fn undo_settings(host: &Host, before: Option<&str>, after: Option<&str>, keep: Keep) -> anyhow::Result<()> {
    let now = host.read(SETTINGS)?;
    let untouched = now.is_none() || now.as_deref() == after || now.as_deref() == before;
    match (before, now) {
        (Some(before), _) if untouched => host.write(SETTINGS, before.as_bytes(), 0o640, Owner::RootForBramble),
        // It was there before us and is somebody's now.
        (Some(_), _) => Ok(()),
        (None, Some(text)) if !untouched && keep == Keep::Data => {
            host.write(&format!("{DATA}/bramble.toml.saved"), text.as_bytes(), 0o600, Owner::Root)?;
            host.remove(SETTINGS)
        }
        (None, _) => host.remove(SETTINGS),
    }
}
