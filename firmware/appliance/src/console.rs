//! What stands on the screen of the appliance, and on its serial line: where its page is, what to type there, what is
//! wrong. Composed from what is known, drawn when it changes; nobody logs in here.

use crate::install::Phase;
use crate::slot::Slot;
use std::fmt::Write;
use std::net::IpAddr;

/// Clears a terminal and goes to its first line (ECMA-48), before each screen.
pub const CLEAR: &str = "\x1b[2J\x1b[H";

/// Columns that any console has.
const WIDTH: usize = 78;

/// Problems that are listed; of more only the number.
const PROBLEMS_MAX: usize = 8;

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Name of the machine.
    pub hostname: String,
    /// The board; empty when nobody says.
    pub model: String,
    /// Of Bramble.
    pub version: String,
    /// What is known of slots; `None` on a machine without.
    pub slots: Option<Slots>,
    /// Addresses that others reach it by.
    pub addresses: Vec<IpAddr>,
    /// Name by which it is found in the local network, with `.local`; empty when it is not announced.
    pub announced: String,
    /// Port of its page.
    pub port: u16,
    /// Whether Bramble answers.
    pub is_up: bool,
    /// The code of the set-up page, as long as there is no owner.
    pub setup_code: Option<String>,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
}

/// What is known of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The slot that runs.
    pub running: Slot,
    /// Whether it is on trial.
    pub on_trial: bool,
    /// The slot that failed.
    pub bad: Option<Slot>,
    /// Where an update is, with its share done in percent.
    pub update: (Phase, u8),
}

/// A page's address; the usual port is not said.
fn page(host: &str, port: u16) -> String {
    match port {
        80 => format!("http://{host}/"),
        port => format!("http://{host}:{port}/"),
    }
}

/// Whether somebody else's browser gets anywhere with this address.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

/// The screen: lines of at most 78 columns, without control characters but the ends of lines.
pub fn compose(view: &View) -> String {
    let mut text = String::from("\n");
    let model = if view.model.is_empty() { String::new() } else { format!(" ({})", view.model) };
    line(&mut text, 2, &format!("Bramble {} on {}{model}", view.version, view.hostname));
    if let Some(slots) = &view.slots {
        line(&mut text, 2, &told_of_slots(slots));
    }
    text.push('\n');
    match view.is_up {
        true => reach(&mut text, view),
        false => line(&mut text, 2, "Starting."),
    }
    if !view.problems.is_empty() {
        text.push_str("\n  What is wrong:\n");
        view.problems.iter().take(PROBLEMS_MAX).for_each(|problem| line(&mut text, 4, problem));
        let more = view.problems.len().saturating_sub(PROBLEMS_MAX);
        if more > 0 {
            line(&mut text, 4, &format!("and {more} more: run bramble doctor"));
        }
    }
    text
}

fn told_of_slots(slots: &Slots) -> String {
    let mut text = format!("Slot {}", slots.running);
    if slots.on_trial {
        text.push_str(", on trial: kept when it has been well for a minute");
    }
    match slots.update {
        (Phase::Writing | Phase::Receiving, percent) => _ = write!(text, "; an update is being installed, {percent} %"),
        (Phase::Verifying, percent) => _ = write!(text, "; an update is being checked, {percent} %"),
        (Phase::Ready, _) => text.push_str("; an update waits for a restart"),
        (Phase::Failed, _) => text.push_str("; the last update was refused"),
        (Phase::Idle, _) => {
            if let Some(bad) = slots.bad.filter(|bad| *bad != slots.running) {
                _ = write!(text, "; slot {bad} is not usable");
            }
        }
    }
    text
}

fn reach(text: &mut String, view: &View) {
    let addresses: Vec<String> = view.addresses.iter().filter(|address| is_reachable(address)).map(host).collect();
    if addresses.is_empty() {
        return line(text, 2, "No network yet: plug in a cable, or put wifi.txt on the card (docs: first boot).");
    }
    let announced = (!view.announced.is_empty()).then(|| view.announced.clone());
    match &view.setup_code {
        Some(_) => line(text, 2, "To set it up, open one of these in a browser:"),
        None => line(text, 2, "Its page:"),
    }
    announced.iter().chain(&addresses).for_each(|host| line(text, 4, &page(host, view.port)));
    if let Some(code) = &view.setup_code {
        text.push('\n');
        line(text, 2, "and enter this code:");
        text.push('\n');
        line(text, 10, &code.chars().map(String::from).collect::<Vec<_>>().join(" "));
    }
}

fn host(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// A line, indented and cut to the width; what a terminal would obey is left out.
fn line(text: &mut String, indent: usize, content: &str) {
    let plain = content.chars().filter(|c| !c.is_control());
    text.extend(std::iter::repeat_n(' ', indent).chain(plain).take(WIDTH));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view() -> View {
        View {
            hostname: "attic".to_owned(),
            model: "Raspberry Pi 4 Model B Rev 1.5".to_owned(),
            version: "0.1.0".to_owned(),
            slots: Some(Slots { running: Slot::A, on_trial: false, bad: None, update: (Phase::Idle, 0) }),
            addresses: vec!["127.0.0.1".parse().unwrap(), "192.168.1.20".parse().unwrap(), "fe80::1".parse().unwrap()],
            announced: "bramble.local".to_owned(),
            port: 80,
            is_up: true,
            setup_code: Some("482913".to_owned()),
            problems: Vec::new(),
        }
    }

    #[test]
    fn before_there_is_an_owner() {
        let expected = "
  Bramble 0.1.0 on attic (Raspberry Pi 4 Model B Rev 1.5)
  Slot A

  To set it up, open one of these in a browser:
    http://bramble.local/
    http://192.168.1.20/

  and enter this code:

          4 8 2 9 1 3
";
        assert_eq!(compose(&view()), expected);
    }

    #[test]
    fn with_an_owner_and_troubles() {
        let slots = Slots { running: Slot::B, on_trial: true, bad: None, update: (Phase::Idle, 0) };
        let problems = vec![
            "wifi.txt: the password of \"attic\" must be 8 to 63 plain characters".to_owned(),
            "\x1b[31mred".to_owned(),
        ];
        let view = View { setup_code: None, port: 3000, slots: Some(slots), problems, ..view() };
        let expected = "
  Bramble 0.1.0 on attic (Raspberry Pi 4 Model B Rev 1.5)
  Slot B, on trial: kept when it has been well for a minute

  Its page:
    http://bramble.local:3000/
    http://192.168.1.20:3000/

  What is wrong:
    wifi.txt: the password of \"attic\" must be 8 to 63 plain characters
    [31mred
";
        assert_eq!(compose(&view), expected);
    }

    #[test]
    fn without_a_network_and_while_starting() {
        let alone = View { addresses: vec!["169.254.3.4".parse().unwrap()], ..view() };
        assert!(compose(&alone).contains("No network yet"));
        assert!(!compose(&alone).contains("4 8 2"));
        assert!(compose(&View { is_up: false, ..view() }).ends_with("\n  Starting.\n"));
    }

    #[test]
    fn an_update_is_shown() {
        let with = |update, bad| {
            let slots = Some(Slots { running: Slot::A, on_trial: false, bad, update });
            compose(&View { slots, ..view() }).lines().nth(2).unwrap().to_owned()
        };
        assert_eq!(with((Phase::Writing, 40), Some(Slot::B)), "  Slot A; an update is being installed, 40 %");
        assert_eq!(with((Phase::Ready, 100), None), "  Slot A; an update waits for a restart");
        assert_eq!(with((Phase::Idle, 0), Some(Slot::B)), "  Slot A; slot B is not usable");
    }

    proptest! {
        #[test]
        fn a_screen_is_plain_and_fits(hostname in "\\PC{0,90}", problems in proptest::collection::vec(any::<String>(), 0..30)) {
            let screen = compose(&View { hostname, problems, ..view() });
            prop_assert!(screen.lines().all(|line| line.chars().count() <= WIDTH));
            prop_assert!(screen.chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(screen.lines().count() < 30);
        }
    }
}
