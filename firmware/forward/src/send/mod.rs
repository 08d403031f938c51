//! Sending one batch, and what the answer means.

mod datadog;
mod file;
mod grpc;
mod http_post;
mod hub;
mod loki;
mod otlp;
mod remote_write;
mod squeezed;

pub(crate) use hub::{HubSender, Identity};

use crate::config::{DestinationConfig, Kind};
use crate::item::Item;
use bramble_runtime::Clock;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What became of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Taken, but for so many items that are refused for good.
    Taken { rejected: u64, why: String },
    /// To be tried again, not before what the destination asked for.
    Later { after: Option<Duration>, why: String },
    /// Could not be reached at all.
    Away(String),
    /// Smaller batches may be taken.
    TooLarge(String),
    /// Never to be taken.
    Refused(String),
}

impl Outcome {
    pub(crate) fn taken() -> Self {
        Outcome::Taken { rejected: 0, why: String::new() }
    }

    fn undecodable(error: &bramble_wire::DecodeError) -> Self {
        Outcome::Refused(format!("the queue holds what cannot be read: {error}"))
    }
}

pub(crate) type Attempt<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A way to one destination.
pub(crate) trait Transport: Send + Sync + 'static {
    /// Tries once. `late`: from the queue on disk.
    fn send<'a>(&'a self, item: &'a Item, late: bool) -> Attempt<'a>;
}

/// The transport of a configured destination, but for another hub's.
///
/// # Errors
/// A text: what cannot work.
pub(crate) fn transport(config: &DestinationConfig, clock: Arc<dyn Clock>) -> Result<Arc<dyn Transport>, String> {
    Ok(match config.kind {
        Some(Kind::Otlp) => Arc::new(otlp::Otlp::new(config)?),
        Some(Kind::RemoteWrite) => Arc::new(remote_write::RemoteWrite::new(config)?),
        Some(Kind::Loki) => Arc::new(loki::Loki::new(config)?),
        Some(Kind::Datadog) => Arc::new(datadog::Datadog::new(config)?),
        Some(Kind::File) => Arc::new(file::FileSink::new(config, clock)?),
        Some(Kind::Hub) | None => return Err("this kind has no transport of its own".into()),
    })
}
