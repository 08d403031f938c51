//! A configuration as `/api/v1/status/config` shows it: what is written, as YAML in a canonical form, with the times and
//! paths that hold for each job filled in, and secrets hidden.

use super::job::ScrapeConfig;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Keys whose values are never shown.
const SECRETS: [&str; 9] = [
    "password",
    "credentials",
    "bearer_token",
    "client_secret",
    "secret_key",
    "sas_token",
    "key",
    "secrets",
    "client_certificate_key",
];

const HIDDEN: &str = "<secret>";

/// The file's text as it is shown. `jobs` are those of the file, in its order, then those of other files.
pub(super) fn shown(text: &str, jobs: &[Arc<ScrapeConfig>]) -> String {
    let options = serde_saphyr::options! { with_snippet: false };
    let mut document: Value = serde_saphyr::from_str_with_options(text, options).unwrap_or(Value::Null);
    hide(&mut document);
    if let Some(written) = document.get_mut("scrape_configs").and_then(Value::as_array_mut) {
        for (shown, job) in written.iter_mut().filter_map(Value::as_object_mut).zip(jobs) {
            fill(shown, job);
        }
    }
    let mut out = String::new();
    print(&document, 0, &mut out);
    out
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match SECRETS.contains(&name.as_str()) && !field.is_null() {
                    true => *field = json!(HIDDEN),
                    false => hide(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::String(text) => {
            // The password of a URL.
            if let Some((scheme, rest)) = text.split_once("://")
                && let Some((user, host)) = rest.split_once('@')
                && let Some((name, _)) = user.split_once(':')
            {
                *text = format!("{scheme}://{name}:xxxxx@{host}");
            }
        }
        _ => {}
    }
}

fn fill(shown: &mut Map<String, Value>, job: &ScrapeConfig) {
    let protocols: Vec<&str> = job.protocols.iter().map(|protocol| protocol.as_str()).collect();
    for (name, value) in [
        ("scrape_interval", json!(job.interval.to_string())),
        ("scrape_timeout", json!(job.timeout.to_string())),
        ("scrape_protocols", json!(protocols)),
        ("metrics_path", json!(job.metrics_path)),
        ("scheme", json!(job.scheme)),
        ("honor_timestamps", json!(job.honor_timestamps)),
        ("track_timestamps_staleness", json!(job.track_timestamps_staleness)),
        ("enable_compression", json!(job.compression)),
        ("follow_redirects", json!(job.http.follow_redirects)),
        ("enable_http2", json!(job.http.enable_http2)),
    ] {
        shown.insert(name.to_owned(), value);
    }
}

/// Appends a value as YAML in block form. JSON's form of a text is YAML's double-quoted one.
fn print(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                pad(indent, out);
                out.push_str(&scalar(&json!(name)));
                out.push(':');
                below(field, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                pad(indent, out);
                out.push('-');
                below(item, indent, out);
            }
        }
        plain => {
            pad(indent, out);
            out.push_str(&scalar(plain));
            out.push('\n');
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn below(value: &Value, indent: usize, out: &mut String) {
    let is_empty = match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if is_empty {
        out.push(' ');
        out.push_str(&scalar(value));
        out.push('\n');
    } else {
        out.push('\n');
        print(value, indent + 2, out);
    }
}

fn scalar(value: &Value) -> String {
    let is_plain = |text: &str| {
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'_'));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
        starts
            && text.bytes().all(plain)
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
                .contains(&text.to_ascii_lowercase().as_str())
    };
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}
