//! The one thing of the appliance that runs as root: a small helper behind a Unix socket.
//!
//! Bramble itself has no privileges. What needs them (writing a slot, restarting) is asked for here, by root and by
//! Bramble's user alone, whose credentials the kernel tells. Started by systemd when somebody connects, gone again when
//! nobody has for a minute.
//!
//! ```text
//!  > {"do":"status"}                        < {"done":{"slot":"A",…}}
//!  > {"do":"update","bytes":61034496} …     < {"progress":{"phase":"writing",…}} … < {"done":{"version":…}}
//!  > {"do":"reboot"}                        < {"done":{}}  or  {"error":"…"}
//! ```
//!
//! A line per request and per answer; a bundle follows its request at once, as long as the request says or until the
//! writing side is shut down. One connection, one request.

mod client;
mod power;
mod protocol;
mod server;
#[cfg(test)]
mod tests;

pub use client::{ask, send_update, status};
pub use power::{Power, SystemPower};
pub use protocol::{Answer, Request, Status, UpdateState};
pub use server::{Helper, listener_of_systemd, local_status, user_id};
