//! The helper over a real socket, on a card that is a directory.

use super::*;
use crate::bundle::tests::{bundle_of, contents, signer, tar_of};
use crate::bundle::{Architecture, Contents};
use crate::layout::Layout;
use crate::slot::{BootState, Slot};
use parking_lot::Mutex;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

struct Recorded(Arc<Mutex<Vec<String>>>);

impl Power for Recorded {
    fn reboot(&self, argument: Option<&str>) -> io::Result<()> {
        self.0.lock().push(format!("reboot {}", argument.unwrap_or("plainly")));
        Ok(())
    }
    fn power_off(&self) -> io::Result<()> {
        self.0.lock().push("power off".to_owned());
        Ok(())
    }
}

struct Machine {
    _directory: tempfile::TempDir,
    layout: Layout,
    socket: PathBuf,
    done: Arc<Mutex<Vec<String>>>,
    bundle: Vec<u8>,
    served: std::thread::JoinHandle<io::Result<()>>,
}

fn machine(model: &str, allowed: bool) -> Machine {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::below(directory.path());
    let put = |path: &str, content: &[u8]| {
        let path = layout.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let signer = signer();
    put("/boot/firmware/config.txt", b"os_prefix=A/\n");
    put("/boot/firmware/bootstate", &BootState::settled(Slot::A).encode());
    put("/boot/firmware/A/release.json", br#"{"version":"0.1.0","build_id":"old"}"#);
    put("/dev/disk/bramble/root-a", b"old root");
    put("/dev/disk/bramble/root-b", &[0; 200_000]);
    put("/proc/cmdline", b"quiet bramble.slot=A\n");
    put("/proc/device-tree/model", model.as_bytes());
    put("/usr/share/bramble/update-keys/test.pub", signer.public_text().as_bytes());
    fs::create_dir_all(layout.path("/run")).unwrap();
    let contents = Contents { architecture: Architecture::own(), ..contents() };
    let bundle = bundle_of(&contents, &signer, &vec![9; 150_000], &tar_of(&[("kernel8.img", b"kernel")]));
    let socket = layout.helper_socket();
    let listener = UnixListener::bind(&socket).unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let uid = rustix::process::getuid().as_raw();
    let allowed = if allowed { vec![uid] } else { Vec::new() };
    let helper = Helper::new(layout.clone(), Box::new(Recorded(done.clone())), allowed, Box::new(|| Some(1)));
    let served = std::thread::spawn(move || helper.serve(&listener, Duration::from_millis(300)));
    Machine { _directory: directory, layout, socket, done, bundle, served }
}

#[test]
fn an_update_over_the_socket_and_the_restart_into_it() {
    let machine = machine("Raspberry Pi 4 Model B Rev 1.5\0", true);
    fs::create_dir_all(machine.layout.path("/usr/lib/bramble")).unwrap();
    fs::write(machine.layout.path("/usr/lib/bramble/tryboot"), "").unwrap();
    let before = status(&machine.socket).unwrap();
    assert_eq!((before.slot, before.committed, before.trying), (Slot::A, Slot::A, None));
    assert_eq!(before.slots["A"].as_ref().unwrap().version, "0.1.0");
    assert_eq!((before.model.as_str(), before.slots["B"].clone()), ("Raspberry Pi 4 Model B Rev 1.5", None));
    let mut phases = Vec::new();
    let installed =
        send_update(&machine.socket, &mut &machine.bundle[..], None, &mut |p| phases.push(p.phase)).unwrap();
    assert_eq!((installed["version"].as_str(), installed["slot"].as_str()), (Some("0.2.0"), Some("B")));
    assert_eq!(phases.last(), Some(&crate::install::Phase::Ready));
    assert!(fs::read(machine.layout.root_device(Slot::B)).unwrap().starts_with(&[9; 150_000]));
    assert_eq!(fs::read(machine.layout.root_device(Slot::A)).unwrap(), b"old root");
    let after = status(&machine.socket).unwrap();
    assert_eq!(after.update.state, crate::install::Phase::Ready);
    assert_eq!(after.slots["B"].as_ref().unwrap().build_id, "0.2.0-1");
    ask(&machine.socket, &Request::Reboot).unwrap();
    assert_eq!(*machine.done.lock(), ["reboot 0 tryboot"]);
    let trial = status(&machine.socket).unwrap();
    assert_eq!((trial.trying, trial.tries_left), (Some(Slot::B), 3));
    assert_eq!(fs::read(machine.layout.boot().join("tryboot.txt")).unwrap(), b"os_prefix=B/\n");
    assert_eq!(fs::read(machine.layout.boot().join("config.txt")).unwrap(), b"os_prefix=A/\n");
    machine.served.join().unwrap().unwrap();
}

#[test]
fn boards_without_tryboot_are_pointed_at_the_other_slot() {
    // A board that could, with a kernel that does not.
    let machine = machine("Raspberry Pi 4 Model B Rev 1.5\0", true);
    let length = Some(machine.bundle.len() as u64);
    send_update(&machine.socket, &mut &machine.bundle[..], length, &mut |_| {}).unwrap();
    ask(&machine.socket, &Request::Reboot).unwrap();
    assert_eq!(*machine.done.lock(), ["reboot plainly"]);
    assert_eq!(fs::read(machine.layout.boot().join("config.txt")).unwrap(), b"os_prefix=B/\n");
    fs::write(machine.layout.path("/proc/cmdline"), "bramble.slot=B").unwrap();
    assert_eq!(ask(&machine.socket, &Request::Commit).unwrap()["changed"], true);
    let kept = status(&machine.socket).unwrap();
    assert_eq!((kept.slot, kept.committed, kept.trying, kept.bad), (Slot::B, Slot::B, None, None));
    ask(&machine.socket, &Request::Poweroff).unwrap();
    assert_eq!(machine.done.lock().last().unwrap(), "power off");
}

#[test]
fn a_damaged_bundle_is_refused_and_told() {
    let machine = machine("", true);
    let mut bundle = machine.bundle.clone();
    let last = bundle.len() - 1;
    bundle[last] ^= 1;
    let why = send_update(&machine.socket, &mut &bundle[..], None, &mut |_| {}).unwrap_err();
    assert!(why.contains("damaged") || why.contains("too early"), "{why}");
    let why = send_update(&machine.socket, &mut &vec![0; 4 << 20][..], None, &mut |_| {}).unwrap_err();
    assert!(why.contains("no Bramble bundle"), "{why}");
    let after = status(&machine.socket).unwrap();
    assert_eq!((after.update.state, after.bad), (crate::install::Phase::Failed, Some(Slot::B)));
    assert!(after.update.message.contains("no Bramble bundle"));
    let part = Some(bundle.len() as u64 / 2);
    assert!(
        send_update(&machine.socket, &mut &machine.bundle[..], part, &mut |_| {}).unwrap_err().contains("too early")
    );
}

#[test]
fn others_are_sent_away() {
    let machine = machine("", false);
    // Root always may: then there is nobody to send away.
    if !rustix::process::getuid().is_root() {
        assert!(ask(&machine.socket, &Request::Status).unwrap_err().contains("may not"));
    }
    assert!(machine.done.lock().is_empty());
}

#[test]
fn a_machine_without_slots_says_so() {
    let machine = machine("", true);
    fs::write(machine.layout.path("/proc/cmdline"), "quiet").unwrap();
    assert!(status(&machine.socket).unwrap_err().contains("no slots"));
    let refused = send_update(&machine.socket, &mut &machine.bundle[..], None, &mut |_| {}).unwrap_err();
    assert!(refused.contains("package manager"), "{refused}");
    assert_eq!(user_id(&machine.layout, "bramble"), None);
}

#[test]
fn a_factory_reset_is_noted_and_restarts() {
    let machine = machine("", true);
    ask(&machine.socket, &Request::FactoryReset).unwrap();
    assert!(machine.layout.path(crate::first_boot::RESET_FILE).exists());
    assert_eq!(*machine.done.lock(), ["reboot plainly"]);
}
