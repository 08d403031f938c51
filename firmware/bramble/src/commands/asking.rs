//! The Bramble that runs on this machine, asked over loopback and its main door: its files belong to it.

use crate::config::Config;
use crate::owning::local_secret;
use anyhow::Context;
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode};
use bramble_client::{Client, HttpConfig, Limits};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where it answers.
pub(super) struct Running {
    address: String,
    /// What proves that we are this machine's command line; empty when we may not read it.
    secret: String,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    /// By its configuration; whether it answers is not known yet.
    ///
    /// # Errors
    /// Its main door is off.
    pub(super) fn of(config: &Config) -> anyhow::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Running { address: main_address(config)?, secret: local_secret(config), runtime })
    }

    /// Its answer to a request; `body` is sent as JSON.
    ///
    /// # Errors
    /// It does not answer, or refuses: its own words.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.runtime.block_on(ask(&self.address, &self.secret, method, path, body))
    }
}

/// A text of an object; empty when there is none.
pub(super) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The main door as it is reached from this machine.
fn main_address(config: &Config) -> anyhow::Result<String> {
    let address = config.doors.main.address(&config.doors.listen);
    let address = address.context("the main door is off (doors.main): Bramble cannot be asked")?;
    let (host, port) = address.rsplit_once(':').context("the main door has no port")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() && ip.is_ipv4() => format!("127.0.0.1:{port}"),
        Ok(ip) if ip.is_unspecified() => format!("[::1]:{port}"),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{host}:{port}"),
    })
}

async fn ask(address: &str, secret: &str, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/json");
    if !secret.is_empty() {
        request = request.header("authorization", format!("Bearer {secret}"));
    }
    let request = request.body(Bytes::from(body))?;
    let client = Client::new(&HttpConfig::default())?;
    let limits = Limits { timeout: TIMEOUT, body_bytes_max: ANSWER_BYTES_MAX };
    let answer = client.send(request, limits).await;
    let answer = answer.with_context(|| format!("nothing answers on {address}; is bramble running here?"))?;
    let (status, body) = (answer.status(), answer.into_body());
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    match status.is_success() {
        true => Ok(value),
        false if status == StatusCode::UNAUTHORIZED && secret.is_empty() => {
            anyhow::bail!("{address} has an owner: run this as root, or as the user that Bramble runs as")
        }
        false if text(&value, "error").is_empty() => anyhow::bail!("{address} answers {status}: is it a hub?"),
        false => anyhow::bail!("{}", text(&value, "error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Door;

    #[test]
    fn the_hub_is_asked_where_it_listens() {
        let mut config = Config::default();
        for (listen, asked) in [("0.0.0.0", "127.0.0.1:3000"), ("127.0.0.1", "127.0.0.1:3000"), ("::", "[::1]:3000")] {
            config.doors.listen = listen.to_owned();
            assert_eq!(main_address(&config).unwrap(), asked);
        }
        config.doors.main = Door::Off;
        assert!(main_address(&config).is_err());
    }
}
