//! Units of systemd, as `systemctl` lists them: a text that all versions print, without a D-Bus library.
//!
//! Asked every minute on a thread of its own, since systemd may take its time; a round repeats the last answer, for at most
//! five minutes.

use super::emit::Emitter;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ASK_EVERY: Duration = Duration::from_secs(60);
const ANSWER_AGE_MAX: Duration = Duration::from_secs(300);
/// Units with a series of their own.
const UNITS_MAX: usize = 256;
/// States in node_exporter's order.
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];
/// Kinds that node_exporter leaves out by default: there are hundreds, and they come and go.
const SKIPPED_KINDS: [&str; 5] = [".automount", ".device", ".mount", ".scope", ".slice"];

/// What systemd said last.
#[derive(Default)]
pub(super) struct Systemd {
    answer: Arc<Mutex<Option<(Instant, String)>>>,
    asked: Option<Instant>,
    is_asking: Arc<AtomicBool>,
}

impl Systemd {
    /// Asks if it is time to, and adds what was answered last.
    pub(super) fn round(&mut self, run: &Path, emit: &mut Emitter<'_>) {
        // The directory is there exactly where systemd is the first process (sd_booted(3)).
        if !run.join("systemd/system").is_dir() {
            return;
        }
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if is_due && !self.is_asking.swap(true, Ordering::AcqRel) {
            self.asked = Some(Instant::now());
            self.ask();
        }
        if let Some((when, text)) = &*self.answer.lock()
            && when.elapsed() < ANSWER_AGE_MAX
        {
            units(text, emit);
        }
    }

    fn ask(&self) {
        let (answer, is_asking) = (Arc::clone(&self.answer), Arc::clone(&self.is_asking));
        let work = move || {
            if let Some(text) = list_units() {
                *answer.lock() = Some((Instant::now(), text));
            }
            is_asking.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("bramble-systemctl".to_owned()).spawn(work).is_err() {
            self.is_asking.store(false, Ordering::Release);
        }
    }
}

fn list_units() -> Option<String> {
    let arguments = ["list-units", "--all", "--plain", "--full", "--no-legend", "--no-pager", "--no-ask-password"];
    let mut command = Command::new("systemctl");
    // It gives up by itself when systemd does not answer (25 s).
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Of lines `unit load active sub description`. Services have all their states, other units whether they are active or
/// have failed.
fn units(text: &str, emit: &mut Emitter<'_>) {
    let mut totals: BTreeMap<&str, u32> = STATES.into_iter().map(|state| (state, 0)).collect();
    let (mut shown, mut has_failed) = (0, false);
    for line in text.lines() {
        let mut fields = line.trim_start_matches(['●', '*', ' ']).split_ascii_whitespace();
        let (Some(unit), Some(load), Some(active)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if load != "loaded" {
            continue;
        }
        if let Some(total) = totals.get_mut(active) {
            *total += 1;
        }
        has_failed |= active == "failed";
        if SKIPPED_KINDS.iter().any(|kind| unit.ends_with(kind)) || shown >= UNITS_MAX {
            continue;
        }
        shown += 1;
        let is_service = unit.ends_with(".service");
        for state in STATES.into_iter().filter(|state| is_service || matches!(*state, "active" | "failed")) {
            let value = f64::from(u8::from(state == active));
            emit.put("node_systemd_unit_state", &[("name", unit), ("state", state)], value);
        }
    }
    for (state, total) in &totals {
        emit.put("node_systemd_units", &[("state", state)], f64::from(*total));
    }
    if !text.is_empty() {
        // Degraded is what systemd calls a system with failed units.
        emit.put("node_systemd_system_running", &[], f64::from(u8::from(!has_failed)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    /// As systemd 252 prints it.
    const UNITS: &str = "\
proc-sys-fs-binfmt_misc.automount loaded    active   waiting   Arbitrary Executable File Formats
dev-mmcblk0.device                loaded    active   plugged   /dev/mmcblk0
ssh.service                       loaded    active   running   OpenBSD Secure Shell server
app.service                       loaded    failed   failed    App
auditd.service                    not-found inactive dead      auditd.service
apt-daily.timer                   loaded    active   waiting   Daily apt download activities
";

    #[test]
    fn units_by_state() {
        let lines = emitted(|emit| units(UNITS, emit));
        for line in [
            r#"node_systemd_unit_state{name="ssh.service",state="active"} 1"#,
            r#"node_systemd_unit_state{name="ssh.service",state="failed"} 0"#,
            r#"node_systemd_unit_state{name="app.service",state="failed"} 1"#,
            r#"node_systemd_unit_state{name="apt-daily.timer",state="active"} 1"#,
            r#"node_systemd_units{state="active"} 4"#,
            r#"node_systemd_units{state="failed"} 1"#,
            "node_systemd_system_running{} 0",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        }
        assert_eq!(lines.len(), 5 + 5 + 2 + 5 + 1);
    }

    #[test]
    fn a_machine_without_systemd_is_not_asked() {
        let mut systemd = Systemd::default();
        assert!(emitted(|emit| systemd.round(Path::new("/nowhere"), emit)).is_empty());
        assert!(systemd.asked.is_none());
    }
}
