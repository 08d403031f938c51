//! `bramble token`: asks the hub that runs on this machine, over loopback, since its files belong to it.

use super::asking::{Running, text};
use super::say;
use crate::ConfigArguments;
use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Arguments of `bramble token`.
#[derive(Args, Clone)]
pub(crate) struct TokenArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone)]
enum What {
    /// Make a token that enrols one node, once.
    Create {
        /// Hours until it is no longer good.
        #[arg(long, default_value_t = 24.0)]
        hours: f64,
    },
    /// List tokens that wait to be used.
    List,
    /// Take a token back.
    Revoke {
        /// Its id, the part before the point.
        id: String,
    },
}

/// `bramble token …`.
pub(crate) fn token(arguments: &TokenArguments) -> anyhow::Result<()> {
    let config = arguments.config.load()?.config;
    let hub = Running::of(&config)?;
    let call = |method, path: &str, body| hub.ask(method, path, body);
    match &arguments.what {
        What::Create { hours } => {
            let made = call(Method::POST, "/api/nodes/tokens", Some(json!({"hours": hours})))?;
            say(text(&made, "token"));
            eprintln!(
                "good for one node, until {}; on the node: set node.token (or BRAMBLE_NODE_TOKEN) and role = \"node\"",
                time(&made, "expires_ms")
            );
        }
        What::List => {
            let listed = call(Method::GET, "/api/nodes/tokens", None)?;
            for token in listed.get("tokens").and_then(Value::as_array).into_iter().flatten() {
                let used = token.get("used_by").and_then(Value::as_str);
                let used = used.map_or(String::new(), |node| format!("  used by {node}, which has not come back"));
                say(&format!("{}  until {}{used}", text(token, "id"), time(token, "expires_ms")));
            }
        }
        What::Revoke { id } => {
            anyhow::ensure!(
                !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'),
                "{id:?} is no id of a token"
            );
            let id = id.split('.').next().unwrap_or(id);
            call(Method::DELETE, &format!("/api/nodes/tokens/{id}"), None)?;
            say(&format!("{id} is no longer good"));
        }
    }
    Ok(())
}

/// A time as people of any place read it.
fn time(of: &Value, key: &str) -> String {
    let ms = of.get(key).and_then(Value::as_i64).unwrap_or(0);
    let text = bramble_serve::rfc3339_of_ns(ms.saturating_mul(1_000_000));
    // To the minute.
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_dates() {
        for (ms, told) in [(0i64, "1970-01-01 00:00 UTC"), (1_709_164_800_000, "2024-02-29 00:00 UTC")] {
            assert_eq!(time(&json!({"at": ms}), "at"), told);
        }
        assert_eq!(time(&json!({"at": 1_795_003_599_000_i64}), "at"), "2026-11-18 12:06 UTC");
    }
}
