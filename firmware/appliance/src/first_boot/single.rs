//! Files that hold one thing each, for who has no more to say.

use super::settings::add_keys;
use super::wishes::Wishes;
use super::{Report, valid, wpa};

/// Reads a file's text.
pub type Parse = fn(&str, &mut Report) -> Wishes;

/// The files and what reads them.
pub const FILES: [(&str, Parse); 4] = [
    ("hostname", hostname),
    ("authorized_keys", authorized_keys),
    ("wifi.txt", wifi),
    ("wpa_supplicant.conf", wpa_supplicant),
];

/// `hostname`: the name, on its first line.
pub fn hostname(text: &str, report: &mut Report) -> Wishes {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match line.map(valid::hostname) {
        Some(Ok(name)) => Wishes { hostname: Some(name), ..Wishes::default() },
        Some(Err(why)) => {
            report.problem("hostname", why);
            Wishes::default()
        }
        None => Wishes::default(),
    }
}

/// `authorized_keys`: a public key a line.
pub fn authorized_keys(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    add_keys(&mut wishes, text.lines(), "authorized_keys", report);
    wishes
}

/// `wifi.txt`: the network's name, its password, and the country, a line each; without a password an open network.
pub fn wifi(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    let mut lines = text.lines().map(|line| line.trim_end_matches(['\r', '\n']));
    let Some(ssid) = lines.next().filter(|ssid| !ssid.is_empty()) else {
        report.problem("wifi.txt", "its first line must be the network's name");
        return wishes;
    };
    let secret = lines.next().unwrap_or_default();
    match valid::wifi(ssid, secret, false) {
        Ok(wifi) => wishes.add_wifi(wifi),
        Err(why) => report.problem("wifi.txt", why),
    }
    match lines.map(str::trim).find(|line| !line.is_empty()).map(valid::country) {
        Some(Ok(country)) => wishes.country = Some(country),
        Some(Err(why)) => report.problem("wifi.txt", why),
        None => report.problem("wifi.txt", "no country on its third line (as DE): some channels stay unused"),
    }
    wishes
}

/// `wpa_supplicant.conf`, as it was put on the card for Raspberry Pi OS before 2023.
pub fn wpa_supplicant(text: &str, report: &mut Report) -> Wishes {
    wpa::parse(text, "wpa_supplicant.conf", report)
}
