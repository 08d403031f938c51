//! `bramble setup` and `bramble teardown`: from the bare program to a service that starts with the machine, and back.
//!
//! Each step is a value that knows whether it is done, how it is done and how it is undone ([`step`]); [`plan`] makes the
//! list, [`engine`] runs it and keeps a record ([`state`]), so that running it twice is running it once, and running it after
//! an interruption goes on. Where a package installed the program and its units, only users, directories and settings are
//! left to do.
//!
//! There is no step for certificates: no door speaks TLS yet.

mod engine;
mod host;
mod plan;
mod settings;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod users;

use super::say;
use crate::config::Role;
use anyhow::Context;
use clap::{Args, ValueEnum};
use engine::Event;
use host::Host;
use state::State;
use std::path::PathBuf;
use step::{Keep, Step};

/// What a machine is for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArgument {
    /// Stores and answers.
    Hub,
    /// Collects and sends.
    Node,
}

/// Arguments of `bramble setup`.
#[derive(Args, Clone, Default)]
pub(crate) struct SetupArguments {
    /// Hub (stores, answers) or node (collects, sends); a node where a hub is named.
    #[arg(long, value_enum)]
    role: Option<RoleArgument>,
    /// A node's hub, as `host`, `host:port` or a URL; may be given twice. None: found by mDNS.
    #[arg(long, value_name = "HUB")]
    hub: Vec<String>,
    /// The token that enrols a node (`bramble token create` on the hub).
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with that token, which keeps it out of the list of processes.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// What to collect: host, k3s, docker, mdso; may be given several times. The order matters (docs/collecting.md).
    #[arg(long, value_name = "NAME", value_parser = ["host", "k3s", "docker", "mdso"])]
    preset: Vec<String>,
    /// Address to listen on; loopback unless told otherwise.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A line for /etc/hosts, where no DNS or mDNS knows the hub; may be given several times.
    #[arg(long, value_name = "ADDRESS=NAME")]
    hosts_entry: Vec<String>,
    /// On a Raspberry Pi: let Bramble drive its status light, buttons and fan (docs/board.md); from the next restart on.
    #[arg(long)]
    board: bool,
    /// Start with the machine, but not now.
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    place: PlaceArguments,
}

/// Where, and whether at all.
#[derive(Args, Clone, Default)]
struct PlaceArguments {
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Root directory of the machine, for one that does not run.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Arguments of `bramble teardown`.
#[derive(Args, Clone)]
pub(crate) struct TeardownArguments {
    /// Remove the data too. Otherwise it stays, and belongs to root until the next set-up.
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    place: PlaceArguments,
}

impl SetupArguments {
    fn role(&self) -> Role {
        match self.role {
            Some(RoleArgument::Hub) => Role::Hub,
            Some(RoleArgument::Node) => Role::Node,
            None if self.hub.is_empty() => Role::Hub,
            None => Role::Node,
        }
    }

    /// The token, wherever it stands.
    fn token(&self) -> anyhow::Result<Option<String>> {
        match &self.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Ok(Some(text.trim().to_owned()))
            }
            None => Ok(self.token.clone()),
        }
    }
}

/// The host, where it may be changed.
fn host(place: &PlaceArguments) -> anyhow::Result<Host> {
    let host = Host::new(&place.root);
    anyhow::ensure!(
        place.dry_run || !host.live || host.is_privileged(),
        "this changes users, /etc and units: run it as root (sudo bramble …), or look first with --dry-run"
    );
    let command_line = host.read("/proc/cmdline").unwrap_or_default().unwrap_or_default();
    anyhow::ensure!(
        !(host.live && command_line.split_whitespace().any(|word| word.starts_with("bramble.slot="))),
        "this is the appliance: it is set up already; settings go into bramble.toml on its boot partition"
    );
    Ok(host)
}

fn tell(step: &Step, event: Event) -> anyhow::Result<()> {
    match event {
        Event::WasDone => say(&format!("  ok      {}", step.text())),
        Event::Recorded => {}
        Event::Done => say(&format!("  done    {}", step.text())),
        Event::Undone => say(&format!("  undone  {}", step.text())),
    }
    Ok(())
}

/// `bramble setup`.
pub(crate) fn setup(arguments: &SetupArguments) -> anyhow::Result<()> {
    let host = host(&arguments.place)?;
    let plan = plan::plan(&host, arguments)?;
    if arguments.place.dry_run {
        return dry_run(&host, &plan);
    }
    engine::set_up(&host, &plan, &mut tell)?;
    if host.live && !host.has_systemd() {
        say("systemd does not run here: start it with `bramble serve --data-dir /var/lib/bramble` as the user bramble");
    }
    Ok(())
}

/// Looks at every step and changes nothing.
fn dry_run(host: &Host, plan: &[Step]) -> anyhow::Result<()> {
    let planned: Vec<String> = plan.iter().map(Step::name).collect();
    for entry in State::load(host)?.entries.iter().rev().filter(|entry| entry.made) {
        if !planned.contains(&entry.step.name()) {
            say(&format!("  would undo  {}", entry.step.text()));
        }
    }
    let mut changed = false;
    for step in plan {
        let done = step.is_done(host, changed)?;
        changed |= !done;
        say(&format!("  {}  {}", if done { "ok        " } else { "would do  " }, step.text()));
    }
    Ok(())
}

/// `bramble teardown`.
pub(crate) fn teardown(arguments: &TeardownArguments) -> anyhow::Result<()> {
    let host = host(&arguments.place)?;
    let state = State::load(&host)?;
    if state.entries.is_empty() {
        say("bramble setup has done nothing here that could be undone");
    }
    if arguments.place.dry_run {
        for entry in state.entries.iter().rev().filter(|entry| entry.made) {
            say(&format!("  would undo  {}", entry.step.text()));
        }
        return Ok(());
    }
    let keep = if arguments.purge { Keep::Nothing } else { Keep::Data };
    engine::tear_down(&host, keep, &mut tell)?;
    if keep == Keep::Data && host.at(step::DATA).exists() {
        say(&format!("the data stays in {}; `bramble teardown --purge` removes it too", step::DATA));
    }
    Ok(())
}
