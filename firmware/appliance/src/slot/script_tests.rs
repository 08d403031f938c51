//! `initramfs/slot.sh` leaves behind what the rules say, on every state.

use super::rules::{self, Decision, Then};
use super::{BootState, Slot, config_txt, state};
use std::fs;
use std::path::Path;
use std::process::Command;

const CONFIG: &[u8] = b"# mine\r\narm_64bit=1\nos_prefix=A/\nkernel=kernel8.img\n\xff\n";

/// Exit status, config.txt and bootstate after `call` of the script.
fn script(directory: &Path, state: &[u8], config: &[u8], call: &str) -> (i32, Vec<u8>, Vec<u8>) {
    fs::write(directory.join("bootstate"), state).unwrap();
    fs::write(directory.join("config.txt"), config).unwrap();
    let slot_sh = Path::new(env!("CARGO_MANIFEST_DIR")).join("initramfs/slot.sh");
    let text = format!("set -eu; BOOT=$1 SCRATCH=$1; . {}; {call}", slot_sh.display());
    let status = Command::new("sh").args(["-c", &text, "sh"]).arg(directory).status().unwrap();
    let read = |name| fs::read(directory.join(name)).unwrap();
    (status.code().unwrap(), read("config.txt"), read("bootstate"))
}

fn expected(decision: Decision, before: &BootState, config: &[u8]) -> (i32, Vec<u8>, Vec<u8>) {
    let code = match decision.then {
        Then::Boot => 0,
        Then::Reboot => 1,
        Then::Stay => 2,
    };
    let config = decision.prefix.map_or(config.to_vec(), |slot| config_txt::with_slot(config, slot).unwrap());
    (code, config, decision.state.unwrap_or(*before).encode().to_vec())
}

#[test]
fn the_script_follows_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    let configs = [CONFIG.to_vec(), config_txt::with_slot(CONFIG, Slot::B).unwrap()];
    for before in state::all() {
        for own in Slot::ALL {
            for config in &configs {
                let run = |call: &str| script(directory.path(), &before.encode(), config, call);
                let at_boot = rules::at_boot(Some(before), own);
                assert_eq!(run(&format!("slot_at_boot {own}")), expected(at_boot, &before, config), "{before:?} {own}");
            }
            let failed = rules::root_failed(Some(before), own);
            let ran = script(directory.path(), &before.encode(), CONFIG, &format!("slot_root_failed {own}"));
            assert_eq!(ran, expected(failed, &before, CONFIG), "{before:?} {own}");
        }
    }
}

#[test]
fn the_script_decides_nothing_by_what_it_cannot_read() {
    let directory = tempfile::tempdir().unwrap();
    for damaged in [&b""[..], b"version=2\nslot=A\n", b"slot=Z\ntrying=B\n", &[0xff; 512]] {
        let (code, config, state) = script(directory.path(), damaged, CONFIG, "slot_at_boot B");
        assert_eq!((code, &config[..], &state[..]), (0, CONFIG, damaged));
    }
}
