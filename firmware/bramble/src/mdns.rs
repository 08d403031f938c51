//! Hubs and nodes find each other in the local network: service `_bramble._tcp` by multicast DNS (RFC 6762, RFC 6763).
//!
//! A hub announces its port of OTLP over gRPC with its id and name. A node remembers the hubs that it found, in its data
//! directory and while it runs: that a hub falls silent is no reason to forget where it was.

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tokio::sync::watch;

const SERVICE: &str = "_bramble._tcp.local.";
/// A page (RFC 6763, "http").
const PAGES: &str = "_http._tcp.local.";
/// Where people look for the appliance. A second one in the same network finds it taken and becomes `bramble-2.local`.
const PAGE_HOST: &str = "bramble.local.";
/// File with the hubs found last, one address a line.
const FOUND: &str = "hubs.found";
/// Most hubs that a node writes to.
const HUBS_MAX: usize = 2;

/// A hub's announcement; it ends when this is dropped.
pub(crate) struct Announcement {
    daemon: ServiceDaemon,
    names: Vec<String>,
}

impl Announcement {
    /// Makes the main door's page found as `bramble.local`, too.
    ///
    /// # Errors
    /// There is no network that multicast can be used in.
    pub(crate) fn add_page(&mut self, port: u16, listen: &str) -> Result<(), String> {
        let name = format!("Bramble on {}", crate::machine::hostname());
        self.register(service(PAGES, &name, PAGE_HOST, (port, listen), &[("path", "/")])?)
    }

    fn register(&mut self, info: ServiceInfo) -> Result<(), String> {
        self.names.push(info.get_fullname().to_owned());
        self.daemon.register(info).map_err(|error| error.to_string())
    }
}

/// A service of this machine, on the address that is listened on, or on all that it has.
fn service(
    kind: &str,
    name: &str,
    host: &str,
    (port, listen): (u16, &str),
    properties: &[(&str, &str)],
) -> Result<ServiceInfo, String> {
    let fixed = listen.parse::<IpAddr>().ok().filter(|address| !address.is_unspecified());
    let info = match fixed {
        Some(address) => ServiceInfo::new(kind, name, host, address, port, properties),
        None => ServiceInfo::new(kind, name, host, "", port, properties).map(ServiceInfo::enable_addr_auto),
    };
    info.map_err(|error| error.to_string())
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // A goodbye lets nodes know at once; without it they learn from a failed connection.
        let said: Vec<_> = self.names.iter().filter_map(|name| self.daemon.unregister(name).ok()).collect();
        for one in said {
            _ = one.recv_timeout(std::time::Duration::from_millis(500));
        }
        _ = self.daemon.shutdown();
    }
}

/// Whether who listens on `listen` can be reached from other machines.
pub(crate) fn is_reachable(listen: &str) -> bool {
    let host = listen.trim_start_matches('[').trim_end_matches(']');
    !matches!(host, "localhost") && host.parse::<IpAddr>().map_or(true, |address| !address.is_loopback())
}

/// Announces the hub, if it listens on more than loopback.
///
/// # Errors
/// There is no network that multicast can be used in.
pub(crate) fn announce(name: &str, hub_id: &str, port: u16, listen: &str) -> Result<Option<Announcement>, String> {
    if !is_reachable(listen) || port == 0 {
        return Ok(None);
    }
    let daemon = ServiceDaemon::new().map_err(|error| error.to_string())?;
    // A host name of its own: the machine's may be announced by Avahi, which would see a rival in us.
    let host = format!("bramble-{}.local.", hub_id.get(..8).unwrap_or(hub_id));
    let properties = [("id", hub_id), ("name", name), ("version", env!("CARGO_PKG_VERSION"))];
    let mut announcement = Announcement { daemon, names: Vec::new() };
    announcement.register(service(SERVICE, name, &host, (port, listen), &properties)?)?;
    tracing::info!(%name, port, "announced in the local network");
    Ok(Some(announcement))
}

/// Looks for hubs as long as it is kept.
pub(crate) struct Finder {
    daemon: ServiceDaemon,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.task.abort();
        _ = self.daemon.shutdown();
    }
}

/// Looks for hubs: addresses like `http://192.168.1.5:4317`, at most two, those of the lowest hub ids; at first those that were
/// found last time. Must be called inside a runtime.
///
/// # Errors
/// There is no network that multicast can be used in.
pub(crate) fn find(data_dir: &Path) -> Result<(watch::Receiver<Vec<String>>, Finder), String> {
    let daemon = ServiceDaemon::new().map_err(|error| error.to_string())?;
    let events = daemon.browse(SERVICE).map_err(|error| error.to_string())?;
    let file = data_dir.join(FOUND);
    let (sender, receiver) = watch::channel(remembered(&file));
    let task = tokio::spawn(async move {
        let mut hubs = BTreeMap::new();
        while let Ok(event) = events.recv_async().await {
            let ServiceEvent::ServiceResolved(hub) = event else { continue };
            let Some((id, address)) = seen(&hub) else { continue };
            hubs.insert(id, address);
            let found: Vec<String> = hubs.values().take(HUBS_MAX).cloned().collect();
            let is_new = sender.send_if_modified(|known| {
                let is_new = *known != found;
                known.clone_from(&found);
                is_new
            });
            if is_new {
                tracing::info!(?found, "hubs found in the local network");
                remember(&file, &found).await;
            }
        }
    });
    Ok((receiver, Finder { daemon, task }))
}

/// Id and address of a hub that answered.
fn seen(hub: &ResolvedService) -> Option<(String, String)> {
    let addresses = hub.get_addresses().iter().map(|address| address.to_ip_addr());
    let address = best(addresses)?;
    let id = hub.get_property_val_str("id").unwrap_or_else(|| hub.get_fullname());
    let host = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    Some((id.to_owned(), format!("http://{host}:{}", hub.get_port())))
}

/// The address to use of several: of version 4 before 6, since an address of version 6 that is local to a link would need its
/// interface named; then the lowest, so that every look gives the same.
fn best(addresses: impl Iterator<Item = IpAddr>) -> Option<IpAddr> {
    let link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let usable = |address: &IpAddr| !(address.is_loopback() || address.is_ipv6() && link_local(address));
    addresses.filter(usable).min_by_key(|address| (address.is_ipv6(), link_local(address), *address))
}

fn remembered(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("http://")).take(HUBS_MAX).map(str::to_owned).collect()
}

async fn remember(file: &Path, found: &[String]) {
    let (next, text) = (PathBuf::from(format!("{}.new", file.display())), found.join("\n") + "\n");
    let kept = async {
        tokio::fs::write(&next, text).await?;
        tokio::fs::rename(&next, file).await
    };
    if let Err(error) = kept.await {
        tracing::warn!(file = %file.display(), %error, "the hubs that were found are not remembered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_not_announced() {
        assert!(
            !is_reachable("127.0.0.1") && !is_reachable("::1") && !is_reachable("[::1]") && !is_reachable("localhost")
        );
        assert!(is_reachable("0.0.0.0") && is_reachable("::") && is_reachable("192.168.1.5"));
        assert!(announce("hub", "0123456789", 4317, "127.0.0.1").unwrap().is_none());
    }

    #[test]
    fn the_best_address_is_one_that_can_be_reached() {
        let pick = |texts: &[&str]| best(texts.iter().map(|text| text.parse().unwrap())).map(|ip| ip.to_string());
        assert_eq!(pick(&["fe80::1", "fd00::2", "192.168.1.5", "169.254.1.1", "127.0.0.1"]).unwrap(), "192.168.1.5");
        assert_eq!(pick(&["fe80::1", "fd00::2"]).unwrap(), "fd00::2");
        assert_eq!(pick(&["fe80::1", "::1"]), None);
    }

    #[tokio::test]
    async fn found_hubs_are_remembered() {
        let file = std::env::temp_dir().join(format!("bramble-hubs-{}", std::process::id()));
        assert!(remembered(&file).is_empty());
        remember(&file, &["http://10.0.0.1:4317".to_owned()]).await;
        assert_eq!(remembered(&file), ["http://10.0.0.1:4317"]);
        std::fs::remove_file(&file).unwrap();
    }
}
