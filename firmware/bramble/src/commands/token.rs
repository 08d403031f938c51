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
    let seconds = of.get(key).and_then(Value::as_i64).unwrap_or(0).div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 3600, of_day / 60 % 60)
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
