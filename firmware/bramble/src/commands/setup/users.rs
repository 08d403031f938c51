//! The system user: by the host's programs on a running machine, in the files of one that does not run.

use super::host::{Host, USER};
use anyhow::Context;

/// Numbers of system users, from the top, as systemd-sysusers gives them out.
const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 101..=999;
const HOME: &str = "/var/lib/bramble";
const SHELL: &str = "/usr/sbin/nologin";

fn has(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.split(':').next() == Some(name))
}

/// Whether the user and its group are there.
pub(super) fn exists(host: &Host) -> anyhow::Result<bool> {
    let both = (host.read("/etc/passwd")?, host.read("/etc/group")?);
    Ok(has(&both.0.unwrap_or_default(), USER) && has(&both.1.unwrap_or_default(), USER))
}

/// Makes the user and its group.
pub(super) fn make(host: &Host) -> anyhow::Result<()> {
    if host.live {
        let made =
            ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", HOME, "--shell", SHELL, USER];
        return host.run(&made);
    }
    let (passwd, group) = (host.read("/etc/passwd")?.unwrap_or_default(), host.read("/etc/group")?.unwrap_or_default());
    let taken = |id: &u32| {
        let is = |line: &str| line.split(':').nth(2).and_then(|found| found.parse().ok()) == Some(*id);
        passwd.lines().chain(group.lines()).any(is)
    };
    let id = SYSTEM_IDS.rev().find(|id| !taken(id)).context("no number is free for a system user")?;
    // The group first: a user without its group would be half a user, and `exists` asks for both.
    add(host, "/etc/group", &format!("{USER}:x:{id}:"))?;
    add(host, "/etc/passwd", &format!("{USER}:x:{id}:{id}::{HOME}:{SHELL}"))?;
    for (file, line) in [("/etc/shadow", format!("{USER}:!*:::::::")), ("/etc/gshadow", format!("{USER}:!*::"))] {
        if host.at(file).exists() {
            add(host, file, &line)?;
        }
    }
    Ok(())
}

fn add(host: &Host, file: &str, line: &str) -> anyhow::Result<()> {
    let mut text = host.read(file)?.unwrap_or_default();
    if has(&text, USER) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    host.rewrite(file, text.as_bytes())
}

/// Removes the user and its group, with its memberships.
pub(super) fn remove(host: &Host) -> anyhow::Result<()> {
    if host.live {
        if has(&host.read("/etc/passwd")?.unwrap_or_default(), USER) {
            host.run(&["userdel", USER])?;
        }
        // userdel takes the group along where login.defs says so.
        if has(&host.read("/etc/group")?.unwrap_or_default(), USER) {
            host.run(&["groupdel", USER])?;
        }
        return Ok(());
    }
    for file in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"] {
        let Some(text) = host.read(file)? else { continue };
        let kept = text.lines().filter(|line| line.split(':').next() != Some(USER));
        let kept: String = kept.map(|line| without_member(line, file) + "\n").collect();
        if kept != text {
            host.rewrite(file, kept.as_bytes())?;
        }
    }
    Ok(())
}

/// A line of a group file without Bramble among its members; other lines as they are.
fn without_member(line: &str, file: &str) -> String {
    match line.rsplit_once(':') {
        Some((group, members)) if file.ends_with("group") => {
            let others: Vec<&str> = members.split(',').filter(|member| *member != USER).collect();
            format!("{group}:{}", others.join(","))
        }
        _ => line.to_owned(),
    }
}

/// Members of a group; `None` when there is no such group.
fn members(host: &Host, group: &str) -> anyhow::Result<Option<Vec<String>>> {
    let text = host.read("/etc/group")?.unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(group));
    Ok(line.map(|line| line.rsplit(':').next().unwrap_or_default().split(',').map(str::to_owned).collect()))
}

/// Whether Bramble is in a group, or there is no such group.
pub(super) fn is_member(host: &Host, group: &str) -> anyhow::Result<bool> {
    Ok(members(host, group)?.is_none_or(|members| members.iter().any(|member| member == USER)))
}

/// Puts Bramble into a group.
pub(super) fn join(host: &Host, group: &str) -> anyhow::Result<()> {
    if host.live {
        return host.run(&["usermod", "--append", "--groups", group, USER]);
    }
    rewrite(host, group, |line| match line.ends_with(':') {
        true => format!("{line}{USER}"),
        false => format!("{line},{USER}"),
    })
}

/// Takes Bramble out of a group.
pub(super) fn leave(host: &Host, group: &str) -> anyhow::Result<()> {
    match members(host, group)? {
        Some(members) if members.iter().any(|member| member == USER) => {}
        _ => return Ok(()),
    }
    if host.live {
        return host.run(&["gpasswd", "--delete", USER, group]);
    }
    rewrite(host, group, |line| without_member(line, "/etc/group"))
}

fn rewrite(host: &Host, group: &str, change: impl Fn(&str) -> String) -> anyhow::Result<()> {
    let text = host.read("/etc/group")?.unwrap_or_default();
    let is_it = |line: &str| line.split(':').next() == Some(group);
    let changed: String =
        text.lines().map(|line| if is_it(line) { change(line) } else { line.to_owned() } + "\n").collect();
    host.rewrite("/etc/group", changed.as_bytes())
}
