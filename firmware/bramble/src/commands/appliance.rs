//! `bramble appliance`: what the flashed appliance's own units run, as root. docs/updates.md, docs/install.md.

use super::asking::Running;
use super::say;
use crate::appliance_console;
use crate::config::{self, Config, Role};
use anyhow::Context;
use axum::http::Method;
use bramble_appliance::confirm::{Trial, Verdict, WELL_FOR, WITHIN};
use bramble_appliance::first_boot;
use bramble_appliance::helper::{self, Helper, Power, Request, SystemPower, listener_of_systemd, user_id};
use bramble_appliance::layout::Layout;
use bramble_appliance::medium::Card;
use bramble_appliance::slot;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The helper ends when nobody has asked for so long.
const HELPER_IDLE: Duration = Duration::from_secs(60);

/// Between two looks at whether Bramble is well.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The sample that is written and read back.
const SAMPLE: &str = "bramble_commit_check";

/// Arguments of `bramble appliance`.
#[derive(Args, Clone)]
pub(crate) struct ApplianceArguments {
    /// All paths are below this directory; for tests.
    #[arg(long = "below", value_name = "DIR", default_value = "/", global = true, hide = true)]
    below: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone)]
enum What {
    /// Do what needs root for Bramble, which has no privileges; started by systemd through its socket.
    Helper,
    /// Keep the slot that is on trial once Bramble has been well for a minute; restart when it is not within five.
    Commit {
        /// Seconds that it must be well without a break.
        #[arg(long, default_value_t = WELL_FOR.as_secs(), value_name = "SECONDS")]
        well_for: u64,
        /// Seconds that it has for that.
        #[arg(long, default_value_t = WITHIN.as_secs(), value_name = "SECONDS")]
        within: u64,
    },
    /// Take what was put on the boot partition: name, networks, keys, settings.
    FirstBoot,
    /// Show addresses, set-up code and problems on this terminal, and again whenever they change.
    Console {
        /// Show them once.
        #[arg(long)]
        once: bool,
    },
    /// Restart; into the other slot if an update waits there.
    Reboot,
    /// Shut down.
    Poweroff,
    /// Forget everything that was stored and set, and restart.
    FactoryReset {
        /// Yes, everything.
        #[arg(long)]
        yes: bool,
    },
}

/// `bramble appliance …`.
pub(crate) fn appliance(arguments: &ApplianceArguments) -> anyhow::Result<()> {
    let layout = Layout::below(&arguments.below);
    let ask = |request| helper::ask(&layout.helper_socket(), &request).map(drop).map_err(anyhow::Error::msg);
    match &arguments.what {
        What::Helper => serve_helper(&layout),
        What::Commit { well_for, within } => {
            commit(&layout, Duration::from_secs(*well_for), Duration::from_secs(*within))
        }
        What::FirstBoot => {
            first_boot(&layout);
            Ok(())
        }
        What::Console { once } => appliance_console::run(&layout, *once),
        What::Reboot => ask(Request::Reboot),
        What::Poweroff => ask(Request::Poweroff),
        What::FactoryReset { yes } => {
            anyhow::ensure!(yes, "this forgets all data, the owner and all settings; say --yes");
            ask(Request::FactoryReset)
        }
    }
}

fn serve_helper(layout: &Layout) -> anyhow::Result<()> {
    let listener = match listener_of_systemd() {
        Some(listener) => listener,
        None => {
            let socket = layout.helper_socket();
            // Left by one that was killed; one that runs has the directory, and clients find the newer one.
            _ = std::fs::remove_file(&socket);
            UnixListener::bind(&socket).with_context(|| socket.display().to_string())?
        }
    };
    let (data, allowed) = (layout.data(), user_id(layout, "bramble").into_iter().collect());
    let stored = Box::new(move || bramble_disk::data_version(&data));
    let helper = Helper::new(layout.clone(), Box::new(SystemPower), allowed, stored);
    Ok(helper.serve(&listener, HELPER_IDLE)?)
}

/// Says in the journal what was taken; never fails, since the boot goes on.
fn first_boot(layout: &Layout) {
    let report = first_boot::run(layout, &|text| config::check_text(text).map_err(|error| error.to_string()));
    report.took.iter().for_each(|what| say(what));
    report.problems.iter().for_each(|what| eprintln!("<4>{what}"));
}

/// The configuration that the appliance's Bramble runs with.
pub(crate) fn running_config(layout: &Layout) -> anyhow::Result<Config> {
    let file = layout.etc().join("bramble.toml");
    let mut config = config::load(file.exists().then_some(file.as_path()), std::iter::empty())?.config;
    config.storage.data_dir = config::Optional(Some(layout.data().display().to_string()));
    Ok(config)
}

/// What the Bramble with this configuration answers, if it does.
pub(crate) fn ask_running(config: &Config, method: Method, path: &str) -> anyhow::Result<Value> {
    Running::of(config)?.ask(method, path, None)
}

fn commit(layout: &Layout, well_for: Duration, within: Duration) -> anyhow::Result<()> {
    let Some(own) = layout.running_slot() else {
        say("this machine has no slots: nothing to commit");
        return Ok(());
    };
    let state = slot::load(&mut Card::read_only(layout), own)?;
    if state.slot == own && state.trying.is_none() {
        say(&format!("slot {own} is committed"));
        return Ok(());
    }
    let (mut trial, began) = (Trial::new(well_for, within), Instant::now());
    loop {
        let looked = look(layout);
        if let Err(why) = &looked {
            eprintln!("not well yet: {why:#}");
        }
        match trial.look(began.elapsed(), looked.is_ok()) {
            Verdict::Wait => std::thread::sleep(LOOK_EVERY),
            Verdict::Keep => break,
            Verdict::GiveUp => {
                eprintln!(
                    "slot {own} was not well for {} s within {} s: restarting",
                    well_for.as_secs(),
                    within.as_secs()
                );
                SystemPower.reboot(None)?;
                anyhow::bail!("slot {own} is not kept");
            }
        }
    }
    slot::commit(&mut Card::open(layout)?, own)?;
    // Only now: until here the slot before would have found what it reads.
    bramble_disk::stamp_data_version(&layout.data())?;
    say(&format!("slot {own} is committed"));
    Ok(())
}

/// Whether Bramble is ready, and what it takes in can be read back.
fn look(layout: &Layout) -> anyhow::Result<()> {
    let config = running_config(layout)?;
    let running = Running::of(&config)?;
    running.ask(Method::GET, "/-/ready", None)?;
    if config.cluster.role == Role::Node {
        // It keeps nothing that could be read back, and its hub may be away.
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    running.ask(Method::POST, "/v1/metrics", Some(sample(now)))?;
    let answer = running.ask(Method::GET, &format!("/prometheus/api/v1/query?query={SAMPLE}"), None)?;
    anyhow::ensure!(holds(&answer, now.as_secs()), "what was written is not read back");
    Ok(())
}

/// One gauge by OTLP, whose value is the time.
fn sample(now: Duration) -> Value {
    let point = json!({"timeUnixNano": now.as_nanos().to_string(), "asInt": now.as_secs().to_string()});
    let metric = json!({"name": SAMPLE, "gauge": {"dataPoints": [point]}});
    let service = json!({"key": "service.name", "value": {"stringValue": "bramble-commit"}});
    json!({"resourceMetrics": [{
        "resource": {"attributes": [service]},
        "scopeMetrics": [{"scope": {"name": "bramble"}, "metrics": [metric]}],
    }]})
}

fn holds(answer: &Value, expected: u64) -> bool {
    let results = answer.pointer("/data/result").and_then(Value::as_array).into_iter().flatten();
    let values = results.filter_map(|result| result.pointer("/value/1")?.as_str()?.parse::<f64>().ok());
    values.into_iter().any(|value| value == expected as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_is_compared() {
        let answer = json!({"data": {"result": [{"metric": {}, "value": [1.0, "1790000000"]}]}});
        assert!(holds(&answer, 1_790_000_000) && !holds(&answer, 1_790_000_005));
        assert!(!holds(&json!({"data": {"result": []}}), 0) && !holds(&Value::Null, 0));
        let sample = sample(Duration::new(7, 5)).to_string();
        assert!(sample.contains(r#""timeUnixNano":"7000000005""#) && sample.contains(r#""asInt":"7""#), "{sample}");
    }

    #[test]
    fn where_there_are_no_slots_nothing_is_committed() {
        let directory = tempfile::tempdir().unwrap();
        commit(&Layout::below(directory.path()), Duration::ZERO, Duration::ZERO).unwrap();
    }
}
