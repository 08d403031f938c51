//! What was asked for, whichever file asked.

use std::net::IpAddr;

/// What the boot partition asks for. Everything in it is valid ([`valid`](super::valid)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Name of the machine.
    pub hostname: Option<String>,
    /// As `Europe/Berlin`.
    pub timezone: Option<String>,
    /// Whose radio rules hold, two capital letters.
    pub country: Option<String>,
    /// Wireless networks.
    pub wifi: Vec<Wifi>,
    /// Public keys that may log in by ssh, a line each.
    pub ssh_keys: Vec<String>,
    /// Wired interfaces that are not simply asked for an address.
    pub interfaces: Vec<Interface>,
    /// Settings of Bramble: the user's `bramble.toml` without `[appliance]`.
    pub settings: Option<String>,
    /// The code of the set-up page, instead of a random one.
    pub setup_code: Option<String>,
    /// What enrols this machine as a node.
    pub enrolment_token: Option<String>,
}

/// A wireless network.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name, 1 to 32 bytes.
    pub ssid: String,
    /// What is needed to join.
    pub secret: WifiSecret,
    /// Whether it has to be called by its name.
    pub hidden: bool,
}

/// How a wireless network is joined.
#[derive(Clone, PartialEq, Eq)]
pub enum WifiSecret {
    /// By anybody.
    Open,
    /// By who knows this, 8 to 63 printable characters.
    Passphrase(String),
    /// By who has this key, 64 hex digits, made from name and passphrase.
    Key(String),
}

impl std::fmt::Debug for Wifi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wifi({:?})", self.ssid)
    }
}

/// A wired interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As the kernel calls it.
    pub name: String,
    /// Whether it asks for an address.
    pub dhcp: bool,
    /// Addresses with the length of their network.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The way out.
    pub gateway: Option<IpAddr>,
    /// Who knows names.
    pub name_servers: Vec<IpAddr>,
}

impl Wishes {
    /// Adds what another source asks for; what is there wins.
    pub fn add(&mut self, other: Wishes) {
        fn first<T>(mine: &mut Option<T>, theirs: Option<T>) {
            if mine.is_none() {
                *mine = theirs;
            }
        }
        first(&mut self.hostname, other.hostname);
        first(&mut self.timezone, other.timezone);
        first(&mut self.country, other.country);
        first(&mut self.settings, other.settings);
        first(&mut self.setup_code, other.setup_code);
        first(&mut self.enrolment_token, other.enrolment_token);
        other.wifi.into_iter().for_each(|wifi| self.add_wifi(wifi));
        other.ssh_keys.into_iter().for_each(|key| self.add_key(key));
        for interface in other.interfaces {
            if !self.interfaces.iter().any(|one| one.name == interface.name) {
                self.interfaces.push(interface);
            }
        }
    }

    /// Adds a network, unless one of its name is there.
    pub fn add_wifi(&mut self, wifi: Wifi) {
        if !self.wifi.iter().any(|one| one.ssid == wifi.ssid) {
            self.wifi.push(wifi);
        }
    }

    /// Adds a key once.
    pub fn add_key(&mut self, key: String) {
        if !self.ssh_keys.contains(&key) {
            self.ssh_keys.push(key);
        }
    }
}
