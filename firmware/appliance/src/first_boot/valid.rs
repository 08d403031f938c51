//! What may be a name, a key, a network. Each returns what is used, or what is wrong, for people.

use super::wishes::{Wifi, WifiSecret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Keys that OpenSSH and Dropbear know.
const KEY_KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A host name: one label of RFC 1123, in lower case. Of a name with dots the first part.
///
/// # Errors
/// Empty, longer than 63, or with other characters than letters, digits and hyphens inside.
pub fn hostname(name: &str) -> Result<String, String> {
    let label = name.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let fits = (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-');
    match fits {
        true => Ok(label),
        false => Err(format!("{:?} is no host name: letters, digits and hyphens, at most 63", shown(name))),
    }
}

/// A time zone's name; whether there is such a zone is not known here.
///
/// # Errors
/// What is no such name.
pub fn timezone(name: &str) -> Result<String, String> {
    let name = name.trim();
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte))
        && name.split('/').all(|part| !part.is_empty());
    if fits { Ok(name.to_owned()) } else { Err(format!("{:?} is no time zone, as Europe/Berlin is", shown(name))) }
}

/// A country, as wireless rules name it.
///
/// # Errors
/// What is not two letters.
pub fn country(name: &str) -> Result<String, String> {
    let name = name.trim();
    match name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => Ok(name.to_ascii_uppercase()),
        false => Err(format!("{:?} is no country: two letters, as DE", shown(name))),
    }
}

/// A wireless network. `secret` empty is an open one; 64 hex digits are a key, anything else a passphrase.
///
/// # Errors
/// A name that is not 1 to 32 bytes without control characters, or a passphrase that is not 8 to 63 printable ASCII ones.
pub fn wifi(ssid: &str, secret: &str, hidden: bool) -> Result<Wifi, String> {
    if ssid.is_empty() || ssid.len() > 32 || ssid.contains(char::is_control) {
        return Err(format!("{:?} is no name of a wireless network: 1 to 32 bytes", shown(ssid)));
    }
    let secret = match secret.len() {
        0 => WifiSecret::Open,
        64 if secret.bytes().all(|byte| byte.is_ascii_hexdigit()) => WifiSecret::Key(secret.to_ascii_lowercase()),
        8..=63 if secret.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => WifiSecret::Passphrase(secret.to_owned()),
        _ => {
            return Err(format!(
                "the password of {ssid:?} must be 8 to 63 plain characters (or a key of 64 hex digits)"
            ));
        }
    };
    Ok(Wifi { ssid: ssid.to_owned(), secret, hidden })
}

/// A line of `authorized_keys`, without options before the key.
///
/// # Errors
/// What is no public key, as `ssh-keygen` writes them to `*.pub`.
pub fn ssh_key(line: &str) -> Result<String, String> {
    let mut parts = line.split_whitespace();
    let (kind, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let comment: String = parts.collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(200).collect();
    let wrong = || format!("{:?} is no public ssh key (the text of a .pub file)", shown(line));
    if !KEY_KINDS.contains(&kind) || body.len() > 8192 {
        return Err(wrong());
    }
    // The key says its kind itself, behind its length.
    let decoded = STANDARD.decode(body).map_err(|_| wrong())?;
    let named = (kind.len() as u32).to_be_bytes().into_iter().chain(kind.bytes());
    match decoded.len() > kind.len() + 4 && decoded.iter().copied().zip(named).all(|(a, b)| a == b) {
        true => Ok(format!("{kind} {body} {comment}").trim_end().to_owned()),
        false => Err(wrong()),
    }
}

/// A name of a network interface.
///
/// # Errors
/// What the kernel would not take.
pub fn interface(name: &str) -> Result<String, String> {
    let fits = (1..=15).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.bytes().any(|byte| byte != b'.');
    if fits { Ok(name.to_owned()) } else { Err(format!("{:?} is no network interface", shown(name))) }
}

/// What may be shown of something that is wrong.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
