//! The console's view of this machine: what is asked for it, and when it is drawn again.

use crate::commands::{ask_running, running_config, say};
use crate::config::{Config, Door, Role};
use crate::machine;
use axum::http::Method;
use bramble_appliance::console::{CLEAR, Slots, View, compose};
use bramble_appliance::first_boot::PROBLEMS_FILE;
use bramble_appliance::helper::{self, UpdateState};
use bramble_appliance::layout::Layout;
use bramble_appliance::medium::Card;
use bramble_serve::Problems;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// Between two looks: a person who waits for an address sees it soon, and an idle machine does next to nothing.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Draws the screen whenever it changes, or once.
///
/// # Errors
/// The terminal's.
pub(crate) fn run(layout: &Layout, once: bool) -> anyhow::Result<()> {
    let mut drawn = String::new();
    loop {
        let screen = compose(&look(layout));
        if once {
            say(&screen);
            return Ok(());
        }
        if screen != drawn {
            let mut terminal = std::io::stdout();
            let clear = if terminal.is_terminal() { CLEAR } else { "" };
            // A serial line may have lost its place in a line: each begins at its start.
            write!(terminal, "{clear}{}", screen.replace('\n', "\r\n"))?;
            terminal.flush()?;
            drawn = screen;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn look(layout: &Layout) -> View {
    let config = running_config(layout).unwrap_or_default();
    let asked = ask_running(&config, Method::GET, "/api/problems");
    let is_up = asked.is_ok();
    let told = asked.ok().and_then(|told| serde_json::from_value::<Problems>(told).ok());
    let mut problems = lines(&layout.etc().join(PROBLEMS_FILE));
    let parts = told.into_iter().flat_map(|told| told.problems);
    problems.extend(parts.map(|problem| format!("{}: {}: {}", problem.part, problem.what, problem.why)));
    let code = lines(&layout.data().join("setup-code")).into_iter().next();
    View {
        hostname: machine::hostname(),
        model: layout.model(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: slots(layout),
        addresses: addresses(),
        announced: announced(&config),
        port: config.doors.main.number().unwrap_or(80),
        is_up,
        setup_code: code.filter(|_| is_up),
        problems,
    }
}

fn slots(layout: &Layout) -> Option<Slots> {
    // The helper is asked only while it works anyway: it is not to be kept in memory by being looked at.
    let status = match Card::is_busy(layout) {
        true => helper::status(&layout.helper_socket()),
        false => helper::local_status(layout, UpdateState::default()),
    };
    let status = status.ok()?;
    let update = &status.update;
    let percent = update.bytes_done.saturating_mul(100).checked_div(update.bytes_total).unwrap_or(0).min(100) as u8;
    Some(Slots {
        running: status.slot,
        on_trial: status.trying == Some(status.slot),
        bad: status.bad,
        update: (update.state, percent),
    })
}

/// Non-empty lines of a small file; none when it is not there.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Addresses of interfaces that are up.
fn addresses() -> Vec<std::net::IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<_> = interfaces.into_iter().filter(|one| !one.is_loopback()).map(|one| one.ip()).collect();
    // The one that people type comes first.
    addresses.sort_by_key(|address| (address.is_ipv6(), *address));
    addresses.dedup();
    addresses
}

/// The name that the appliance announces, where it does.
fn announced(config: &Config) -> String {
    let reachable = crate::mdns::is_reachable(&config.doors.listen) && config.doors.main != Door::Off;
    let announced = config.cluster.announce && config.doors.otlp_grpc != Door::Off && config.cluster.role == Role::Hub;
    if reachable && announced { "bramble.local".to_owned() } else { String::new() }
}
