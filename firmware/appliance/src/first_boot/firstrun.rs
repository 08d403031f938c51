//! `firstrun.sh`, as Raspberry Pi Imager writes it: read for what it would set, never run.
//!
//! Imager calls one helper, `imager_custom`, with a command and its values, and has an older way in the `else` branch for
//! systems without that helper. Both say the same; the helper's commands, the here-document for wpa_supplicant, the name
//! that is echoed into `/etc/hostname` and the keys that are printed into `authorized_keys` are taken.

use super::settings::add_keys;
use super::shell::{Word, words};
use super::wishes::Wishes;
use super::{Report, valid, wpa};

const FILE: &str = "firstrun.sh";

/// Reads the script.
pub fn parse(text: &str, report: &mut Report) -> Wishes {
    let mut wishes = Wishes::default();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let place = format!("{FILE}:{}", index + 1);
        let words = words(line);
        if let Some(end) = here_document(line).filter(|_| line.contains("wpa_supplicant.conf")) {
            let inside: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != end).collect();
            wishes.add(wpa::parse(&inside.join("\n"), &place, report));
        } else if let Some(at) = words.iter().position(is_helper) {
            let rest = words.get(at + 1..).unwrap_or_default();
            // `[ -f …/imager_custom ]` asks only whether it is there.
            if !line.contains("-f ") || rest.len() > 3 {
                command(rest, &place, &mut wishes, report);
            }
        } else if line.contains("/etc/hostname") && words.first() == Some(&Some("echo".to_owned())) {
            set(words.get(1), valid::hostname, &mut wishes.hostname, &place, report);
        } else if line.contains("authorized_keys") && line.contains("printf") {
            let printed = words.iter().skip_while(|word| word.as_deref() != Some("printf")).nth(1).cloned().flatten();
            let printed = printed.unwrap_or_default().replace("\\n", "\n");
            add_keys(&mut wishes, printed.lines(), &place, report);
        }
    }
    wishes
}

fn is_helper(word: &Word) -> bool {
    word.as_deref().is_some_and(|word| word == "imager_custom" || word.ends_with("/imager_custom"))
}

/// The word that ends a here-document which begins on this line.
fn here_document(line: &str) -> Option<&str> {
    let (_, end) = line.split_once("<<")?;
    let end = end.trim_start_matches('-').trim().trim_matches(['\'', '"']);
    (!end.is_empty() && end.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(end)
}

fn set(
    word: Option<&Word>,
    read: fn(&str) -> Result<String, String>,
    into: &mut Option<String>,
    place: &str,
    report: &mut Report,
) {
    match word {
        Some(Some(word)) => match read(word) {
            Ok(value) => *into = into.take().or(Some(value)),
            Err(why) => report.problem(place, why),
        },
        _ => report.problem(place, "the value is not in the script itself, and was not taken"),
    }
}

fn command(words: &[Word], place: &str, wishes: &mut Wishes, report: &mut Report) {
    let Some((Some(name), values)) = words.split_first() else { return };
    let end = values.iter().position(|word| matches!(word.as_deref(), Some(";" | "|" | "&" | ">" | "<")));
    let values = values.get(..end.unwrap_or(values.len())).unwrap_or_default();
    let is_flag = |word: &&Word| word.as_deref().is_some_and(|word| word.len() == 2 && word.starts_with('-'));
    let has = |flag: &str| values.iter().any(|word| word.as_deref() == Some(flag));
    let mut plain = values.iter().filter(|word| !is_flag(word));
    match name.as_str() {
        "set_hostname" => set(plain.next(), valid::hostname, &mut wishes.hostname, place, report),
        "set_timezone" => set(plain.next(), valid::timezone, &mut wishes.timezone, place, report),
        "enable_ssh" => {
            let keys: Vec<String> =
                plain.flatten().flat_map(|keys| keys.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
            match keys.is_empty() {
                true => {
                    report.problem(place, "asks for ssh by password: there are no passwords here, give a public key")
                }
                false => add_keys(wishes, keys.iter().map(String::as_str), place, report),
            }
        }
        "set_wlan" => {
            let (Some(Some(ssid)), Some(Some(secret))) = (plain.next(), plain.next()) else {
                return report
                    .problem(place, "the network's name or password is not in the script itself, and was not taken");
            };
            match valid::wifi(ssid, secret, has("-h")) {
                Ok(wifi) => wishes.add_wifi(wifi),
                Err(why) => report.problem(place, why),
            }
            if let Some(country) = plain.next() {
                set(Some(country), valid::country, &mut wishes.country, place, report);
            }
        }
        "set_wlan_country" => set(plain.next(), valid::country, &mut wishes.country, place, report),
        // Keyboards and users: there are none here.
        _ => {}
    }
}
