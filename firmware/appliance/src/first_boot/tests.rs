//! What is on the card is taken, and nothing on it stops the boot.

use super::*;
use proptest::prelude::*;
use std::path::Path;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE me@desk";

/// As Raspberry Pi Imager 1.8 writes it when everything in its dialogue is chosen; shape by its own source
/// (`OptionsPopup.qml`, function `applySettings`) and by scripts that people published, values ours.
const FIRSTRUN: &str = r#"#!/bin/bash

set +e

CURRENT_HOSTNAME=`cat /etc/hostname | tr -d " \t\n\r"`
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom set_hostname attic
else
   echo attic >/etc/hostname
   sed -i "s/127.0.1.1.*$CURRENT_HOSTNAME/127.0.1.1\tattic/g" /etc/hosts
fi
FIRSTUSER=`getent passwd 1000 | cut -d: -f1`
FIRSTUSERHOME=`getent passwd 1000 | cut -d: -f6`
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom enable_ssh -k 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE me@desk'
else
   install -o "$FIRSTUSER" -m 700 -d "$FIRSTUSERHOME/.ssh"
   install -o "$FIRSTUSER" -m 600 <(printf "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE me@desk") "$FIRSTUSERHOME/.ssh/authorized_keys"
   echo 'PasswordAuthentication no' >>/etc/ssh/sshd_config
   systemctl enable ssh
fi
if [ -f /usr/lib/userconf-pi/userconf ]; then
   /usr/lib/userconf-pi/userconf 'pi' '$5$Qk1$abcdef'
fi
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom set_wlan 'Fritz "Box"' '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef' 'DE'
else
cat >/etc/wpa_supplicant/wpa_supplicant.conf <<'WPAEOF'
country=DE
ctrl_interface=DIR=/var/run/wpa_supplicant GROUP=netdev
ap_scan=1

update_config=1
network={
	ssid="Fritz "Box""
	psk=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
}

WPAEOF
   chmod 600 /etc/wpa_supplicant/wpa_supplicant.conf
   rfkill unblock wifi
fi
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom set_keymap 'de'
   /usr/lib/raspberrypi-sys-mods/imager_custom set_timezone 'Europe/Berlin'
else
   rm -f /etc/localtime
   echo "Europe/Berlin" >/etc/timezone
   dpkg-reconfigure -f noninteractive tzdata
fi
rm -f /boot/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/cmdline.txt
exit 0
"#;

/// Keys as raspberrypi-sys-mods' `init_config` reads them.
const CUSTOM: &str = r#"
config_version = 1

[system]
hostname = "attic"

[user]
name = "pi"
password = "$5$Qk1$abcdef"
password_encrypted = true

[ssh]
enabled = true
password_authentication = false
authorized_keys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE me@desk" ]

[wlan]
ssid = "attic net"
password = "correct horse"
password_encrypted = false
hidden = true
country = "gb"

[locale]
keymap = "gb"
timezone = "Europe/Berlin"
"#;

/// As cloud-init documents them for Raspberry Pi OS, which Imager 2 writes.
const USER_DATA: &str = r#"#cloud-config
hostname: attic
manage_etc_hosts: true
timezone: Europe/Berlin
users:
- name: pi
  groups: users,adm,sudo
  shell: /bin/bash
  lock_passwd: false
  passwd: $5$Qk1$abcdef
  ssh_authorized_keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE me@desk
  sudo: ALL=(ALL) NOPASSWD:ALL
ssh_pwauth: false
"#;

const NETWORK_CONFIG: &str = r#"network:
  version: 2
  ethernets:
    eth0:
      dhcp4: false
      addresses: [192.168.7.5/24, "fd00::5/64"]
      routes:
        - to: default
          via: 192.168.7.1
      nameservers:
        addresses: [192.168.7.1, 9.9.9.9]
  wifis:
    wlan0:
      dhcp4: true
      regulatory-domain: "DE"
      access-points:
        "attic net":
          hidden: true
          password: "correct horse"
      optional: true
"#;

struct Card {
    directory: tempfile::TempDir,
    layout: Layout,
}

fn card(files: &[(&str, &str)]) -> Card {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::below(directory.path());
    let put = |path: &str, text: &str| {
        let path = layout.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "/usr/lib/bramble/bramble.toml",
        "[doors]\nlisten = \"0.0.0.0\"\nmain = 80\n\n[security]\nrequire_owner = true\n",
    );
    put("/usr/share/zoneinfo/Europe/Berlin", "TZif");
    fs::create_dir_all(layout.boot()).unwrap();
    files.iter().for_each(|(name, text)| put(&format!("/boot/firmware/{name}"), text));
    Card { directory, layout }
}

impl Card {
    fn run(&self) -> Report {
        run(&self.layout, &|text| match text.contains("wrong") {
            true => Err("bramble.toml:1: unknown key wrong".to_owned()),
            false => Ok(()),
        })
    }

    fn etc(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.layout.etc().join(name)).ok()
    }

    fn zone(&self) -> Option<String> {
        fs::read_link(self.layout.etc().join("localtime")).ok().map(|path| path.display().to_string())
    }
}

fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false => all.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap_or_default())),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn what_imager_1_8_writes_is_taken() {
    let card = card(&[("firstrun.sh", FIRSTRUN)]);
    let report = card.run();
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(card.etc("hostname").unwrap(), "attic\n");
    assert_eq!(card.etc("ssh/authorized_keys").unwrap(), format!("{KEY}\n"));
    assert_eq!(card.zone().unwrap(), "/usr/share/zoneinfo/Europe/Berlin");
    let expected = "# Written by bramble appliance first-boot; changes are lost.
ctrl_interface=DIR=/run/wpa_supplicant
country=DE

network={
\tssid=467269747a2022426f7822
\tkey_mgmt=WPA-PSK
\tpsk=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
}
";
    assert_eq!(card.etc("network/wpa_supplicant.conf").unwrap(), expected);
}

#[test]
fn custom_toml_is_taken() {
    let card = card(&[("custom.toml", CUSTOM)]);
    let report = card.run();
    assert_eq!(report.problems, [""; 0]);
    assert!(report.took.iter().any(|line| line.contains("user left out")));
    assert_eq!((card.etc("hostname").unwrap().as_str(), card.zone().is_some()), ("attic\n", true));
    let wpa = card.etc("network/wpa_supplicant.conf").unwrap();
    assert!(wpa.contains("country=GB\n") && wpa.contains("\tpsk=\"correct horse\"\n\tscan_ssid=1\n"), "{wpa}");
    assert_eq!(card.etc("ssh/authorized_keys").unwrap(), format!("{KEY}\n"));
    assert!(!report.took.join(" ").contains("horse"), "no secret in the journal");
}

#[test]
fn cloud_init_is_taken() {
    let card = card(&[("user-data", USER_DATA), ("network-config", NETWORK_CONFIG)]);
    assert_eq!(card.run().problems, [""; 0]);
    assert_eq!(card.etc("hostname").unwrap(), "attic\n");
    assert_eq!(card.etc("ssh/authorized_keys").unwrap(), format!("{KEY}\n"));
    let expected = "# Written by bramble appliance first-boot.
[Match]
Name=eth0

[Network]
DHCP=no
Address=192.168.7.5/24
Address=fd00::5/64
Gateway=192.168.7.1
DNS=192.168.7.1
DNS=9.9.9.9
";
    assert_eq!(card.etc("network/10-eth0.network").unwrap(), expected);
    assert!(card.etc("network/wpa_supplicant.conf").unwrap().contains("country=DE\n"));
}

#[test]
fn settings_lie_over_those_of_the_image() {
    let own = format!(
        "[appliance]\nhostname = \"Attic.lan\"\ntimezone = \"Europe/Berlin\"\nsetup_code = \"482913\"\nenrolment_token = \"t.s\"\n\
         wifi = [{{ ssid = \"a\", password = \"12345678\", country = \"de\" }}, {{ ssid = \"open\" }}]\n\
         ssh_authorized_keys = [\"{KEY}\"]\n\n[doors]\nloki = \"off\" # mine\n\n[cluster]\nrole = \"node\"\n"
    );
    let card = card(&[("bramble.toml", &own), ("hostname", "other")]);
    assert_eq!(card.run().problems, [""; 0]);
    assert_eq!(card.etc("hostname").unwrap(), "attic\n", "bramble.toml comes first");
    let merged = card.etc("bramble.toml").unwrap();
    let read: toml_edit::DocumentMut = merged.parse().unwrap();
    assert_eq!(read["doors"]["listen"].as_str(), Some("0.0.0.0"));
    assert_eq!(read["doors"]["loki"].as_str(), Some("off"));
    assert_eq!(read["cluster"]["role"].as_str(), Some("node"));
    assert_eq!(read["node"]["token"].as_str(), Some("t.s"));
    assert_eq!(read["security"]["setup_code"].as_str(), Some("482913"));
    assert_eq!(read["security"]["require_owner"].as_bool(), Some(true));
    assert!(read.get("appliance").is_none());
    assert_eq!(card.etc("network/wpa_supplicant.conf").unwrap().matches("network={").count(), 2);
    // Without the file on the card, what was taken stays.
    fs::remove_file(card.layout.boot().join("bramble.toml")).unwrap();
    card.run();
    assert_eq!(card.etc("bramble.toml").unwrap(), merged);
}

#[test]
fn settings_that_bramble_would_not_start_with_are_left_out() {
    let good = card(&[("bramble.toml", "[query]\nconcurrency = 2\n")]);
    good.run();
    let before = good.etc("bramble.toml").unwrap();
    fs::write(good.layout.boot().join("bramble.toml"), "[wrong]\nx = 1\n[appliance]\nhostname = \"attic\"\n").unwrap();
    let report = good.run();
    assert_eq!(report.problems, ["bramble.toml: not taken: bramble.toml:1: unknown key wrong"]);
    assert_eq!(good.etc("bramble.toml").unwrap(), before);
    assert_eq!(good.etc("hostname").unwrap(), "attic\n", "the rest is taken");
    assert_eq!(good.etc(PROBLEMS_FILE).unwrap(), report.problems[0].clone() + "\n");
    fs::remove_file(good.layout.boot().join("bramble.toml")).unwrap();
    assert_eq!(good.run().problems, [""; 0]);
    assert_eq!(good.etc(PROBLEMS_FILE), None);
}

#[test]
fn a_card_with_nothing_on_it_boots_with_the_images_settings() {
    let card = card(&[]);
    assert_eq!(card.run().problems, [""; 0]);
    assert!(card.etc("bramble.toml").unwrap().contains("main = 80"));
    assert_eq!(card.etc("network/wpa_supplicant.conf"), None);
    let before = tree(card.directory.path());
    assert_eq!(card.run().took, [""; 0], "a second boot has nothing to do");
    assert_eq!(tree(card.directory.path()), before);
}

#[test]
fn single_files_as_editors_leave_them() {
    let card = card(&[
        ("hostname.txt", "\u{feff}Attic\r\n"),
        ("authorized_keys", &format!("# mine\r\n{KEY}\r\nnonsense\r\n")),
        ("wifi.txt", "attic net\r\ncorrect horse\r\nDE\r\n"),
    ]);
    let report = card.run();
    assert_eq!(report.problems, ["authorized_keys: \"nonsense\" is no public ssh key (the text of a .pub file)"]);
    assert_eq!(card.etc("hostname").unwrap(), "attic\n");
    assert_eq!(card.etc("ssh/authorized_keys").unwrap(), format!("{KEY}\n"));
    assert!(card.etc("network/wpa_supplicant.conf").unwrap().contains("psk=\"correct horse\""));
    fs::write(card.layout.boot().join("hostname"), b"\xff\xfea\0t\0").unwrap();
    assert!(card.run().problems.iter().any(|problem| problem.contains("UTF-16")));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let told = |name: &str, text: &str| card(&[(name, text)]).run().problems.join("; ");
    for (name, text, expected) in [
        ("hostname", "-x-", "no host name"),
        ("wifi.txt", "net\nshort\nDE", "8 to 63"),
        ("wifi.txt", "net\nlong enough", "no country"),
        ("bramble.toml", "[appliance]\nfoo = 1", "appliance.foo: is not known"),
        ("bramble.toml", "[appliance]\nwifi = 3", "appliance.wifi: must be a list"),
        ("bramble.toml", "[appliance]\nwifi = [{ ssid = \"x\", pass = \"y\" }]", "pass is not known"),
        ("bramble.toml", "= 3", "no TOML"),
        ("bramble.toml", "[appliance]\ntimezone = \"Mars/Base\"", "Mars/Base is not known"),
        ("bramble.toml", "[appliance]\nsetup_code = \"1\\n2\"", "one line"),
        ("custom.toml", "[ssh]\nenabled = true", "ssh without a key"),
        ("firstrun.sh", "imager_custom set_hostname $NAME", "firstrun.sh:1: the value is not in the script"),
        ("firstrun.sh", "imager_custom enable_ssh", "no passwords here"),
        ("user-data", "#!/bin/sh\nrm -rf /", "scripts are not run"),
        ("user-data", "#cloud-config\nruncmd: [ls]", "runcmd not taken"),
        ("network-config", "version: 1", "only version 2"),
        ("network-config", "ethernets: {eth0: {addresses: [1.2.3.4]}}", "length of its network"),
        ("network-config", "a: [", "no YAML"),
        ("wpa_supplicant.conf", "network={\nssid=\"x\"\nkey_mgmt=WPA-EAP\n}", "only open networks"),
        ("wpa_supplicant.conf", "network={\nssid=\"x\"", "no } at its end"),
    ] {
        let problems = told(name, text);
        assert!(problems.contains(expected), "{name} {text:?}: {problems}");
    }
}

#[test]
fn networks_written_are_read_back() {
    let mut report = Report::default();
    let wifi = |ssid: &str, secret: &str, hidden| valid::wifi(ssid, secret, hidden).unwrap();
    let networks = vec![
        wifi("Fritz \"Box\" ü", "say \"cheese\"", true),
        wifi("open", "", false),
        wifi("k", &"a1".repeat(32), false),
    ];
    let wishes = wpa::parse(&wpa::write(&networks, Some("DE")), "x", &mut report);
    assert!(wishes.wifi == networks && wishes.country.as_deref() == Some("DE"), "{report:?}");
}

#[test]
fn a_factory_reset_forgets_everything_and_itself_last() {
    let card = card(&[("hostname", "attic")]);
    card.run();
    for (path, text) in [
        ("/data/bramble/journal/000001", "x"),
        ("/data/etc/ssh/dropbear_ed25519_host_key", "k"),
        (RESET_FILE, "wipe\n"),
    ] {
        let path = card.layout.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let report = card.run();
    assert!(report.took.iter().any(|line| line.contains("factory reset")), "{report:?}");
    assert_eq!(fs::read_dir(card.layout.data()).unwrap().count(), 0);
    assert_eq!(card.etc("ssh/dropbear_ed25519_host_key"), None);
    assert!(!card.layout.path(RESET_FILE).exists());
    assert_eq!(card.etc("hostname").unwrap(), "attic\n", "what is on the card is taken again");
}

/// Every file that is read, from any bytes.
pub(crate) fn parse_all(text: &str) -> Report {
    let mut report = Report::default();
    settings::parse(text, &mut report);
    single::FILES.iter().for_each(|(_, parse)| drop(parse(text, &mut report)));
    imager::parse(text, &mut report);
    firstrun::parse(text, &mut report);
    cloud_init::parse_user_data(text, &mut report);
    cloud_init::parse_network(text, &mut report);
    report
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damaged_files_never_stop_the_boot(which in 0..5usize, cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let good = [FIRSTRUN, CUSTOM, USER_DATA, NETWORK_CONFIG, "[appliance]\nwifi = [{ ssid = \"x\" }]\n"][which];
        let characters: Vec<char> = good.chars().collect();
        let mut damaged = characters.clone();
        damaged[at.index(characters.len())] = with;
        parse_all(&damaged.iter().collect::<String>());
        damaged.truncate(cut.index(characters.len()));
        parse_all(&damaged.iter().collect::<String>());
    }

    #[test]
    fn any_text_is_read_or_told(text in "\\PC{0,300}") {
        parse_all(&text);
    }
}
