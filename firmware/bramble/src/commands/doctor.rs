//! `bramble doctor`: what is wrong here, and what to do about it.

use super::asking::Running;
use super::say;
use crate::ConfigArguments;
use crate::checking::check;
use crate::clock_trust::KernelTrust;
use crate::config::{Config, Loaded};
use crate::machine;
use crate::serving::{data_dir, disk_choice, door_addresses};
use crate::span_doors::OF_PACKETS;
use axum::http::Method;
use bramble_ingest::TimeTrust;
use bramble_serve::Problems;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

/// What `bramble appliance first-boot` could not use of what it found on the card; a line each.
const FIRST_BOOT_PROBLEMS: &str = "/data/etc/first-boot.problems";

/// Collects what was found, so that the end can say how it went.
#[derive(Default)]
pub(super) struct Report {
    problems: usize,
    /// Whether the data directory is in use, so that taken ports are probably Bramble's own.
    runs: bool,
}

impl Report {
    pub(super) fn good(&self, what: &str) {
        say(&format!("  ok    {what}"));
    }

    pub(super) fn note(&self, what: &str) {
        say(&format!("  note  {what}"));
    }

    pub(super) fn bad(&mut self, what: &str, hint: &str) {
        self.problems += 1;
        say(&format!("  BAD   {what}\n        hint: {hint}"));
    }

    /// How it went, for the exit code.
    pub(super) fn outcome(&self) -> anyhow::Result<()> {
        match self.problems {
            0 => Ok(()),
            n => anyhow::bail!("{n} thing(s) need a hand"),
        }
    }

    #[cfg(test)]
    pub(super) fn problems(&self) -> usize {
        self.problems
    }
}

/// Arguments of `bramble doctor`.
#[derive(clap::Args, Clone)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Only try out the storage: write, sync, read back, recover, and say whether the card is fit.
    #[arg(long)]
    self_test: bool,
}

/// Checks everything and says it; fails when something needs a hand.
pub(crate) fn doctor(arguments: &DoctorArguments) -> anyhow::Result<()> {
    if arguments.self_test {
        return super::self_test::self_test(&data_dir(&arguments.config.load()?.config)?);
    }
    let mut report = Report::default();
    say("configuration");
    let loaded = arguments.config.load()?;
    match &loaded.file {
        Some(file) => report.good(&file.display().to_string()),
        None => report.good("defaults, no file"),
    }
    declared_section(&loaded, &mut report);
    first_boot_section(Path::new(FIRST_BOOT_PROBLEMS), &mut report);
    say("machine");
    machine_section(&loaded.config, &mut report);
    say("data directory");
    match data_dir(&loaded.config) {
        Ok(directory) => storage_section(&loaded.config, &directory, &mut report),
        Err(error) => report.bad(&error.to_string(), "set storage.data_dir"),
    }
    say("ports");
    ports_section(&loaded.config, &mut report);
    if report.runs {
        say("what runs");
        running_section(&loaded.config, &mut report);
    } else if !loaded.config.cluster.peers.0.is_empty() {
        say("other hubs");
        peers_section(&loaded.config, &mut report)?;
    }
    report.outcome()
}

fn declared_section(loaded: &Loaded, report: &mut Report) {
    match check(loaded) {
        Ok(notes) => notes.iter().for_each(|note| report.note(note)),
        Err(error) => report.bad(&format!("{error:#}"), "correct it: Bramble does not start with it"),
    }
}

/// On the appliance, where that file is.
fn first_boot_section(file: &Path, report: &mut Report) {
    let told = std::fs::read_to_string(file).unwrap_or_default();
    for line in told.lines().filter(|line| !line.trim().is_empty()) {
        report.bad(&format!("first boot: {line}"), "correct that file on the card's boot partition and restart");
    }
}

fn machine_section(config: &Config, report: &mut Report) {
    let memory = machine::memory_bytes() >> 20;
    let cap = config.memory.cap.0.map_or_else(machine::default_cap_bytes, |s| s.0) >> 20;
    if cap < 32 {
        report.bad(&format!("memory cap of {cap} MiB"), "set memory.cap to at least 32MiB");
    } else {
        report.good(&format!("{memory} MiB of memory, cap {cap} MiB"));
    }
    match bramble_disk::uring::probe() {
        Ok(()) => report.good("io_uring works"),
        Err(why) => report.note(&format!("io_uring does not work ({why}); plain threads are used")),
    }
    if KernelTrust::new(config.storage.time_trust).is_synchronised() {
        report.good("clock is synchronised or has a battery");
    } else {
        report.note(
            "clock is not synchronised: nothing expires or is merged until it is (or storage.time_trust = \"always\")",
        );
    }
}

fn storage_section(config: &Config, directory: &Path, report: &mut Report) {
    report.good(&directory.display().to_string());
    match bramble_disk::open_disk(directory, disk_choice(config)) {
        Ok((disk, why)) => {
            report.good(&format!("can be written with {} ({why})", disk.kind().as_str()));
            match disk.space() {
                Ok(space) if space.available_bytes < 256 << 20 => {
                    let hint = "free some space, or move storage.data_dir to a larger card";
                    report.bad(&format!("only {} MiB free", space.available_bytes >> 20), hint);
                }
                Ok(space) => {
                    report.good(&format!("{} of {} MiB free", space.available_bytes >> 20, space.total_bytes >> 20))
                }
                Err(error) => report.bad(&error.to_string(), "is the card sound?"),
            }
            let damaged = disk.list("damaged").map_or(0, |d| d.len());
            if damaged > 0 {
                report.note(&format!("{damaged} damaged block(s) were set aside under damaged/; they may be deleted"));
            }
        }
        Err(bramble_disk::DiskError::InUse { .. }) => {
            report.runs = true;
            report.note("in use: Bramble runs (ports below will be taken by it)");
        }
        Err(error) => report.bad(&error.to_string(), "see the message"),
    }
}

/// What the Bramble that runs says of itself.
fn running_section(config: &Config, report: &mut Report) {
    let told = Running::of(config).and_then(|running| running.ask(Method::GET, "/api/problems", None));
    let told = told.and_then(|told| Ok(serde_json::from_value::<Problems>(told)?));
    match told {
        Err(error) => report.bad(&format!("{error:#}"), "is it of the same version, and its main door open?"),
        Ok(told) if told.problems.is_empty() => report.good("it collects and sends without trouble"),
        Ok(told) => {
            for problem in &told.problems {
                report.bad(&format!("{}: {}: {}", problem.part, problem.what, problem.why), &problem.hint);
            }
            if told.omitted > 0 {
                report.note(&format!("and {} more of these", told.omitted));
                report.problems += told.omitted;
            }
        }
    }
}

/// Asks the other hubs who they are. One that runs knows that already, and tells it among its problems.
fn peers_section(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for address in &config.cluster.peers.0 {
        match runtime.block_on(bramble_peers::who_is(
            address,
            &config.cluster.peer_token.0,
            config.cluster.peer_timeout.0,
        )) {
            Ok(hub) => report.good(&format!("{address}: {} (id {})", hub.name, hub.hub_id)),
            Err(why) => report.bad(&format!("{address}: {why}"), "is that hub on, and this its main door?"),
        }
    }
    Ok(())
}

fn ports_section(config: &Config, report: &mut Report) {
    let (on, off): (Vec<_>, Vec<_>) = door_addresses(config).into_iter().partition(|(_, address)| address.is_some());
    if !off.is_empty() {
        report.note(&format!("off: {}", off.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")));
    }
    for (name, address) in on {
        let Some(address) = address else { continue };
        let bound = match OF_PACKETS.contains(&name) {
            true => UdpSocket::bind(&address).map(drop),
            false => TcpListener::bind(&address).map(drop),
        };
        match bound {
            Ok(()) => report.good(&format!("{name}: {address} is free")),
            Err(_) if report.runs => {
                report.note(&format!("{name}: {address} is taken, probably by the Bramble that runs"))
            }
            Err(error) if name == "main" => {
                report.bad(&format!("{name}: {address}: {error}"), "stop what has the port, or set doors.main")
            }
            Err(error) => report.note(&format!("{name}: {address}: {error}; this door will stay closed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_boot_could_not_use_is_a_problem_each() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("first-boot.problems");
        let mut report = Report::default();
        first_boot_section(&file, &mut report);
        assert_eq!(report.problems(), 0, "no appliance, no file");
        std::fs::write(&file, "wifi.txt: no password\n\nhostname: two words\n").unwrap();
        first_boot_section(&file, &mut report);
        assert_eq!(report.problems(), 2);
    }
}
