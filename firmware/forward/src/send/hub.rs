//! Another Bramble, by its own protocol.

use super::grpc::{self, GrpcClient, GrpcOptions};
use super::{Attempt, Outcome, Transport};
use crate::config::Compression;
use crate::item::Item;
use bramble_wire::delivery::{DELIVER_PATH, Deliver, DeliverAnswer, HELLO_PATH, Hello, HelloAnswer};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

/// Who this node is to its hubs.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) node_id: Arc<str>,
    /// What the hub gave at enrolment; empty before.
    pub(crate) credential: Arc<RwLock<String>>,
}

/// A hub, or none yet: the address may come, go and change.
pub(crate) struct HubSender {
    identity: Identity,
    timeout: Duration,
    client: RwLock<Option<(String, Arc<GrpcClient>)>>,
}

impl HubSender {
    pub(crate) fn new(identity: Identity, timeout: Duration) -> Self {
        HubSender { identity, timeout, client: RwLock::new(None) }
    }

    /// Where the hub is from now on.
    ///
    /// # Errors
    /// A text: no URL.
    pub(crate) fn set_address(&self, address: Option<&str>) -> Result<(), String> {
        let current = self.client.read().as_ref().map(|(address, _)| address.clone());
        if current.as_deref() == address {
            return Ok(());
        }
        *self.client.write() = None;
        let Some(address) = address else { return Ok(()) };
        let options =
            GrpcOptions { timeout: self.timeout, compression: Some(Compression::Zstd), ..GrpcOptions::default() };
        let client = Arc::new(GrpcClient::new(address, options)?);
        *self.client.write() = Some((address.to_owned(), client));
        Ok(())
    }

    pub(crate) fn address(&self) -> Option<String> {
        self.client.read().as_ref().map(|(address, _)| address.clone())
    }

    pub(crate) fn credential(&self) -> String {
        self.identity.credential.read().clone()
    }

    pub(crate) fn set_credential(&self, credential: &str) {
        *self.identity.credential.write() = credential.to_owned();
    }

    fn client(&self) -> Option<Arc<GrpcClient>> {
        self.client.read().as_ref().map(|(_, client)| client.clone())
    }

    /// Says hello.
    ///
    /// # Errors
    /// A text, and whether the hub answered at all.
    pub(crate) async fn hello(&self, hello: &Hello) -> Result<HelloAnswer, (String, bool)> {
        let client = self.client().ok_or_else(|| ("no hub is known yet".to_owned(), false))?;
        match client.call(HELLO_PATH, |message| hello.encode(message)).await {
            Ok(answer) => HelloAnswer::decode(&answer).map_err(|error| (error.to_string(), true)),
            Err(status) => {
                let answered = !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
                Err((format!("{:?}: {}", status.code(), status.message()), answered))
            }
        }
    }

    async fn deliver(&self, item: &Item, late: bool) -> Outcome {
        let Some(client) = self.client() else { return Outcome::Away("no hub is known yet".into()) };
        let Some(origin) = &item.origin else { return Outcome::Refused("a batch without a source".into()) };
        let credential = self.identity.credential.read().clone();
        let deliver = Deliver {
            node_id: &self.identity.node_id,
            credential: &credential,
            source: &origin.lane,
            sequence: origin.sequence,
            late,
            signal: item.signal,
            payload: &item.payload,
            positions: origin.positions.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        };
        let write = |message: &mut Vec<u8>| {
            message.reserve(item.payload.len() + 256);
            deliver.encode(message);
        };
        match client.call(DELIVER_PATH, write).await {
            Ok(answer) => match DeliverAnswer::decode(&answer) {
                Ok(answer) => Outcome::Taken { rejected: answer.rejected, why: answer.message },
                Err(error) => Outcome::Later { after: None, why: format!("the hub's answer: {error}") },
            },
            Err(status) => grpc::outcome(&status),
        }
    }
}

impl Transport for HubSender {
    fn send<'a>(&'a self, item: &'a Item, late: bool) -> Attempt<'a> {
        Box::pin(self.deliver(item, late))
    }
}
