//! Outgoing HTTP: connections, TLS, authentication and limits, configured as in Prometheus' `http_config`.
//!
//! Used by everything that goes and asks or tells another server: scraping, discovery, forwarding, notifications.
//!
//! * [`HttpConfig`] is what a configuration file says; [`HttpConfig::validate`] refuses what Prometheus refuses, in
//!   its words.
//! * [`Client`] keeps connections open, a few per host and for a bounded time; speaks HTTP/2 where TLS negotiated it;
//!   reads certificates, passwords and tokens again when their files change.
//! * Every request has a time limit and, where the body is gathered, a limit of bytes: no answer can hold memory or a
//!   task without bound. [`Client::open`] hands the body over piece by piece, for watches and for doors that reserve
//!   memory as it arrives.
//! * [`ClientError`] says what went wrong in the words that users of Prometheus know from its target page.
//!
//! Nothing is decompressed here, and no status is an error: that is the caller's protocol.
//!
//! ```no_run
//! # async fn example() -> Result<(), bramble_client::ClientError> {
//! use bramble_client::{Client, HttpConfig, Limits};
//! let client = Client::new(&HttpConfig::default())?;
//! let request = http::Request::get("http://localhost:9100/metrics").body(bytes::Bytes::new()).expect("a valid URI");
//! let limits = Limits { timeout: std::time::Duration::from_secs(10), body_bytes_max: 1 << 20 };
//! let answer = client.send(request, limits).await?;
//! println!("{} {}", answer.status(), answer.body().len());
//! # Ok(())
//! # }
//! ```

mod auth;
mod body;
mod client;
mod config;
mod dial;
mod error;
mod file;
mod oauth2;
mod proxy;
mod redirect;
#[cfg(test)]
mod tests;
mod tls;
mod validation;

pub use body::BodyStream;
pub use client::{Client, Limits};
pub use config::{Authorization, BasicAuth, Header, HttpConfig, OAuth2, Secret, TlsConfig, TlsVersion};
pub use error::ClientError;
