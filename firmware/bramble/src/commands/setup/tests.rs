use super::engine::{Event, set_up, tear_down};
use super::host::Host;
use super::plan::plan;
use super::state::State;
use super::step::{DATA, Keep, SETTINGS};
use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A root with what every machine has.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    std::fs::create_dir_all(at("etc/systemd/system/multi-user.target.wants")).unwrap();
    std::fs::create_dir_all(at("etc/udev/rules.d")).unwrap();
    std::fs::create_dir_all(at("var/lib")).unwrap();
    std::fs::create_dir_all(at("usr/local/bin")).unwrap();
    std::fs::write(at("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nother:x:999:999::/:/bin/false\n").unwrap();
    std::fs::write(at("etc/group"), "root:x:0:\nadm:x:4:syslog\nsystemd-journal:x:101:\nother:x:999:\n").unwrap();
    std::fs::write(at("etc/shadow"), "root:*:1::::::\n").unwrap();
    std::fs::set_permissions(at("etc/shadow"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::write(at("etc/hosts"), "127.0.0.1 localhost").unwrap();
    root
}

fn program(root: &Path) -> PathBuf {
    let program = root.with_extension("program");
    std::fs::write(&program, "the program").unwrap();
    program
}

/// A machine that does not run.
fn host(root: &Path) -> Host {
    Host::with(root, false, program(root), Box::new(|words| anyhow::bail!("{words:?} was run")))
}

fn node(root: &Path) -> SetupArguments {
    SetupArguments {
        hub: vec!["attic.lan".to_owned()],
        token: Some("id.secret".to_owned()),
        preset: vec!["mdso".to_owned(), "host".to_owned()],
        hosts_entry: vec!["192.0.2.7=attic.lan".to_owned()],
        place: PlaceArguments { dry_run: false, root: root.to_owned() },
        ..SetupArguments::default()
    }
}

fn hub(root: &Path) -> SetupArguments {
    SetupArguments {
        preset: vec!["k3s".to_owned()],
        listen: Some("0.0.0.0".to_owned()),
        board: true,
        place: PlaceArguments { dry_run: false, root: root.to_owned() },
        ..SetupArguments::default()
    }
}

/// Every path below a root, with mode, owner and content: what must be equal.
fn everything(root: &Path) -> BTreeMap<String, (u32, u32, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut places = vec![root.to_owned()];
    while let Some(place) = places.pop() {
        let metadata = place.symlink_metadata().unwrap();
        let content = match metadata.file_type() {
            kind if kind.is_symlink() => std::fs::read_link(&place).unwrap().into_os_string().into_encoded_bytes(),
            kind if kind.is_dir() => Vec::new(),
            _ => std::fs::read(&place).unwrap(),
        };
        if metadata.is_dir() {
            places.extend(std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = place.strip_prefix(root).unwrap().display().to_string();
        found.insert(name, (metadata.mode(), metadata.uid(), metadata.gid(), content));
    }
    found
}

fn silent(_: &Step, _: Event) -> anyhow::Result<()> {
    Ok(())
}

fn set_up_all(host: &Host, arguments: &SetupArguments) {
    set_up(host, &plan(host, arguments).unwrap(), &mut silent).unwrap();
}

#[test]
fn a_bare_machine_becomes_a_node() {
    let root = root();
    let host = host(root.path());
    set_up_all(&host, &node(root.path()));
    let read = |path: &str| std::fs::read_to_string(root.path().join(path)).unwrap();
    assert!(read("etc/passwd").ends_with("bramble:x:998:998::/var/lib/bramble:/usr/sbin/nologin\n"));
    assert!(read("etc/group").contains("adm:x:4:syslog,bramble\nsystemd-journal:x:101:bramble\n"));
    assert!(read("etc/shadow").ends_with("bramble:!*:::::::\n"));
    assert_eq!(read("etc/hosts"), "127.0.0.1 localhost\n192.0.2.7 attic.lan # bramble setup\n");
    assert_eq!(read("usr/local/bin/bramble"), "the program");
    let settings = read("etc/bramble/bramble.toml");
    assert!(settings.contains("role = \"node\"") && settings.contains("hubs = [\"attic.lan\"]"), "{settings}");
    assert!(settings.contains("token = \"id.secret\"") && settings.contains("[\"mdso\", \"host\"]"), "{settings}");
    let unit = read("etc/systemd/system/bramble-node.service");
    assert!(unit.contains("ExecStart=/usr/local/bin/bramble serve") && !unit.contains("/usr/bin/bramble"));
    let link = root.path().join("etc/systemd/system/multi-user.target.wants/bramble-node.service");
    assert_eq!(std::fs::read_link(link).unwrap(), Path::new("/etc/systemd/system/bramble-node.service"));
    let mode = |path: &str| root.path().join(path).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode("etc/bramble/bramble.toml"), mode("var/lib/bramble")), (0o640, 0o750));
    assert_eq!((mode("etc/shadow"), mode("etc/passwd")), (0o640, 0o644), "files of the host keep their modes");
    assert_eq!((mode("etc/bramble"), mode("etc/bramble/setup.json")), (0o750, 0o600));
    if host.is_privileged() {
        let data = root.path().join("var/lib/bramble").metadata().unwrap();
        let settings = root.path().join("etc/bramble/bramble.toml").metadata().unwrap();
        assert_eq!((data.uid(), data.gid(), settings.uid(), settings.gid()), (998, 998, 0, 998));
    }
}

#[test]
fn what_was_written_is_a_configuration_that_loads() {
    let root = root();
    let host = host(root.path());
    set_up_all(&host, &node(root.path()));
    let loaded = crate::config::load(Some(&root.path().join("etc/bramble/bramble.toml")), []).unwrap();
    assert_eq!(loaded.config.node.hubs.0, ["attic.lan"]);
    assert_eq!(loaded.config.collect.presets.0, ["mdso", "host"]);
    assert_eq!(loaded.config.cluster.role, Role::Node);
}

#[test]
fn a_dry_run_changes_nothing() {
    let root = root();
    let before = everything(root.path());
    for arguments in [node(root.path()), hub(root.path())] {
        let dry = SetupArguments { place: PlaceArguments { dry_run: true, ..arguments.place.clone() }, ..arguments };
        setup(&dry).unwrap();
        teardown(&TeardownArguments { purge: true, place: dry.place }).unwrap();
    }
    assert_eq!(everything(root.path()), before);
}

#[test]
fn twice_is_once() {
    let root = root();
    let host = host(root.path());
    for arguments in [node(root.path()), hub(root.path())] {
        set_up_all(&host, &arguments);
        let once = everything(root.path());
        let again = &mut |step: &Step, event| {
            anyhow::ensure!(event == Event::WasDone, "{} was {event:?} again", step.name());
            Ok(())
        };
        set_up(&host, &plan(&host, &arguments).unwrap(), again).unwrap();
        assert_eq!(everything(root.path()), once);
    }
}

/// Runs set-up until the `n`-th event, as if the power went there; false when it came to its end.
fn interrupted(host: &Host, arguments: &SetupArguments, n: usize) -> bool {
    let mut seen = 0;
    let until = &mut |_: &Step, _: Event| {
        seen += 1;
        anyhow::ensure!(seen < n, "interrupted");
        Ok(())
    };
    set_up(host, &plan(host, arguments).unwrap(), until).is_err()
}

#[test]
fn interrupted_anywhere_it_goes_on_to_the_same_end_and_can_be_taken_back() {
    let whole = root();
    let arguments = node(whole.path());
    set_up_all(&host(whole.path()), &arguments);
    let end = everything(whole.path());
    let mut n = 1;
    loop {
        let root = root();
        let host = host(root.path());
        let untouched = everything(root.path());
        let more = interrupted(&host, &arguments, n);
        if n % 2 == 0 {
            set_up_all(&host, &arguments);
            assert_eq!(everything(root.path()), end, "after an interruption at event {n}");
        }
        tear_down(&host, Keep::Nothing, &mut silent).unwrap();
        let (mut left, mut before) = (everything(root.path()), untouched);
        for found in [&mut left, &mut before] {
            // A line break at the end of /etc/hosts stays.
            found.get_mut("etc/hosts").unwrap().3.retain(|byte| *byte != b'\n');
        }
        assert_eq!(left, before, "after an interruption at event {n}, and teardown");
        if !more {
            break;
        }
        n += 1;
    }
    assert!(n > 20, "only {n} events");
}

#[test]
fn teardown_leaves_the_data_to_root_and_a_purge_nothing() {
    let root = root();
    let host = host(root.path());
    set_up_all(&host, &hub(root.path()));
    let data = root.path().join("var/lib/bramble/journal");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("000001"), "data").unwrap();
    tear_down(&host, Keep::Data, &mut silent).unwrap();
    let left: Vec<String> = everything(root.path()).into_keys().filter(|path| path.contains("bramble")).collect();
    assert_eq!(left, ["var/lib/bramble", "var/lib/bramble/journal", "var/lib/bramble/journal/000001"]);
    assert!(!std::fs::read_to_string(root.path().join("etc/group")).unwrap().contains("bramble"));
    if host.is_privileged() {
        assert_eq!(data.metadata().unwrap().uid(), 0);
    }
    set_up_all(&host, &hub(root.path()));
    if host.is_privileged() {
        assert_eq!(data.join("000001").metadata().unwrap().uid(), 998, "given back");
    }
    tear_down(&host, Keep::Nothing, &mut silent).unwrap();
    assert!(!everything(root.path()).into_keys().any(|path| path.contains("bramble")));
}

#[test]
fn settings_that_somebody_changed_are_kept_beside_the_data() {
    let root = root();
    let host = host(root.path());
    set_up_all(&host, &hub(root.path()));
    std::fs::write(host.at(SETTINGS), "# mine\n").unwrap();
    tear_down(&host, Keep::Data, &mut silent).unwrap();
    assert!(!host.at(SETTINGS).exists());
    assert_eq!(host.read(&format!("{DATA}/bramble.toml.saved")).unwrap().as_deref(), Some("# mine\n"));
}

#[test]
fn on_a_packaged_host_only_settings_are_changed_and_come_back() {
    let root = root();
    let host = host(root.path());
    let at = |path: &str| root.path().join(path);
    std::fs::create_dir_all(at("usr/lib/systemd/system")).unwrap();
    std::fs::create_dir_all(at("etc/bramble")).unwrap();
    std::fs::write(at("usr/lib/systemd/system/bramble-node.service"), "the package's").unwrap();
    std::fs::write(at("etc/bramble/bramble.toml"), "# the package's\n").unwrap();
    set_up_all(&host, &node(root.path()));
    assert!(!at("usr/local/bin/bramble").exists() && !at("etc/systemd/system/bramble-node.service").exists());
    let settings = host.read(SETTINGS).unwrap().unwrap();
    assert!(settings.contains("# the package's") && settings.contains("role = \"node\""), "{settings}");
    tear_down(&host, Keep::Nothing, &mut silent).unwrap();
    assert_eq!(host.read(SETTINGS).unwrap().as_deref(), Some("# the package's\n"));
    assert!(at("usr/lib/systemd/system/bramble-node.service").exists());
}

#[test]
fn a_hub_that_becomes_a_node_loses_the_hubs_unit() {
    let root = root();
    let host = host(root.path());
    set_up_all(&host, &hub(root.path()));
    assert!(host.at("/etc/systemd/system/bramble.service.d/read-logs.conf").exists());
    assert!(host.at("/etc/systemd/system/bramble.service.d/board.conf").exists());
    assert!(host.at("/etc/udev/rules.d/60-bramble-board.rules").exists());
    set_up_all(&host, &node(root.path()));
    for gone in ["bramble.service", "bramble.service.d", "multi-user.target.wants/bramble.service"] {
        assert!(host.at(&format!("/etc/systemd/system/{gone}")).symlink_metadata().is_err(), "{gone}");
    }
    assert!(host.at("/etc/systemd/system/multi-user.target.wants/bramble-node.service").symlink_metadata().is_ok());
    tear_down(&host, Keep::Nothing, &mut silent).unwrap();
    assert!(!everything(root.path()).into_keys().any(|path| path.contains("bramble")));
}

#[test]
fn a_running_machine_is_asked_through_its_own_programs() {
    let root = root();
    std::fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let (heard, place) = (said.clone(), root.path().to_owned());
    let answer = move |words: &[&str]| {
        let files = host(&place);
        heard.lock().unwrap().push(words.join(" "));
        match words {
            ["useradd", ..] => users::make(&files),
            ["usermod", .., group, _] => users::join(&files, group),
            ["userdel", ..] => users::remove(&files),
            ["systemctl", "is-active", ..] => anyhow::bail!("inactive"),
            _ => Ok(()),
        }
    };
    let host = Host::with(root.path(), true, program(root.path()), Box::new(answer));
    set_up_all(&host, &hub(root.path()));
    tear_down(&host, Keep::Nothing, &mut silent).unwrap();
    let said = said.lock().unwrap();
    let has = |wanted: &str| said.iter().position(|words| words.starts_with(wanted));
    assert!(has("useradd --system").unwrap() < has("usermod --append --groups adm bramble").unwrap());
    assert!(has("systemctl daemon-reload").unwrap() < has("systemctl restart bramble.service").unwrap());
    assert!(has("systemctl stop bramble.service").unwrap() < has("userdel bramble").unwrap());
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    let root = root();
    let host = host(root.path());
    let refused = |change: fn(&mut SetupArguments)| {
        let mut arguments = hub(root.path());
        change(&mut arguments);
        plan(&host, &arguments).unwrap_err().to_string()
    };
    assert!(refused(|a| a.token = Some("t".to_owned())).contains("--role node"));
    assert!(refused(|a| a.listen = Some("everywhere".to_owned())).contains("no IP address"));
    assert!(refused(|a| a.hosts_entry = vec!["hub.lan".to_owned()]).contains("ADDRESS=NAME"));
    assert!(refused(|a| a.hosts_entry = vec!["192.0.2.1=a b".to_owned()]).contains("no host name"));
}

#[test]
fn a_state_file_of_somebody_else_is_refused() {
    let root = root();
    let host = host(root.path());
    std::fs::create_dir_all(root.path().join("etc/bramble")).unwrap();
    std::fs::write(root.path().join("etc/bramble/setup.json"), "{\"entries\": 3}").unwrap();
    assert!(State::load(&host).is_err());
    assert!(set_up(&host, &plan(&host, &hub(root.path())).unwrap(), &mut silent).is_err());
}
