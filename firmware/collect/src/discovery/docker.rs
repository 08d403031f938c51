//! Containers of a Docker daemon (Engine API: `/containers/json` and `/networks`).

use super::config::DockerSdConfig;
use super::group::{TargetGroup, add, host_port, sanitize};
use super::poll::Sink;
use bramble_client::{Client, ClientError, Limits};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

const BODY_BYTES_MAX: usize = 32 << 20;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const META: &str = "__meta_docker_";
/// `container:<id>` may lead to a container that is itself on another's network.
const SHARED_NETWORK_HOPS_MAX: usize = 16;

/// One daemon.
pub(super) struct Engine {
    config: DockerSdConfig,
    client: Client,
    base: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default, rename = "ImageID")]
    image_id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
}

impl Endpoint {
    fn address(&self) -> &str {
        if self.ip_address.is_empty() { &self.global_ipv6_address } else { &self.ip_address }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Port {
    #[serde(rename = "IP")]
    ip: String,
    #[serde(rename = "PrivatePort")]
    private: u16,
    #[serde(rename = "PublicPort")]
    public: u16,
    #[serde(rename = "Type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    ingress: bool,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Engine {
    pub(super) fn new(config: &DockerSdConfig) -> Result<Self, String> {
        let (client, base) = match config.host.split_once("://") {
            Some(("unix", path)) => (Client::unix(path), "http://localhost".to_owned()),
            Some(("tcp" | "http", rest)) => {
                let tls = config.http.tls_config != Default::default();
                let scheme = if tls { "https" } else { "http" };
                (client(config)?, format!("{scheme}://{}", rest.trim_end_matches('/')))
            }
            Some(("https", _)) => (client(config)?, config.host.trim_end_matches('/').to_owned()),
            _ => return Err(format!("unable to parse docker host `{}`", config.host)),
        };
        Ok(Engine { config: config.clone(), client, base })
    }

    pub(super) async fn run(self, sink: Sink) {
        loop {
            match self.ask().await {
                Ok(group) => sink.replace(vec![group]),
                Err(error) => sink.failed(&error),
            }
            tokio::time::sleep(self.config.refresh_interval.0.max(Duration::from_millis(100))).await;
        }
    }

    async fn ask(&self) -> Result<TargetGroup, String> {
        let mut containers: Vec<Container> = self
            .get(&format!("/containers/json{}", self.filters()))
            .await
            .map_err(|error| format!("error while listing containers: {error}"))?;
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        let networks: Vec<Network> =
            self.get("/networks").await.map_err(|error| format!("error while computing network labels: {error}"))?;
        let networks = networks.iter().map(|network| (network.id.as_str(), network_labels(network))).collect();
        let mut group = TargetGroup { source: "Docker".to_owned(), ..TargetGroup::default() };
        let by_id: HashMap<&str, &Container> = containers.iter().map(|one| (one.id.as_str(), one)).collect();
        for container in containers.iter().filter(|container| !container.names.is_empty()) {
            self.targets(container, &by_id, &networks, &mut group.targets);
        }
        Ok(group)
    }

    fn filters(&self) -> String {
        if self.config.filters.is_empty() {
            return String::new();
        }
        let mut filters: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
        for filter in &self.config.filters {
            let values = filters.entry(&filter.name).or_default();
            values.extend(filter.values.iter().map(|value| (value.as_str(), true)));
        }
        let json = serde_json::to_string(&filters).unwrap_or_default();
        format!("?filters={}", form_urlencoded::byte_serialize(json.as_bytes()).collect::<String>())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|error| format!("{path}: {error}"))?;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.clone();
        let limits = Limits { timeout: REQUEST_TIMEOUT, body_bytes_max: BODY_BYTES_MAX };
        let answer = self.client.send(request, limits).await.map_err(|error| match error {
            ClientError::Connect(reason) => {
                let host = &self.config.host;
                format!("Cannot connect to the Docker daemon at {host}. Is the docker daemon running? ({reason})")
            }
            other => other.at(&Method::GET, &uri),
        })?;
        if answer.status() != StatusCode::OK {
            let said = serde_json::from_slice::<Refusal>(answer.body()).map(|refusal| refusal.message);
            return Err(format!("daemon answered {}: {}", answer.status(), said.unwrap_or_default()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| format!("{path}: {error}"))
    }

    /// One target per network and TCP port of a container; one per network if it has no such port.
    fn targets(
        &self,
        container: &Container,
        by_id: &HashMap<&str, &Container>,
        networks: &HashMap<&str, Vec<(String, String)>>,
        into: &mut Vec<Vec<(String, String)>>,
    ) {
        let common = container_labels(container);
        let mut endpoints = endpoints_of(container, by_id);
        if self.config.match_first_network {
            endpoints.truncate(1);
        }
        for endpoint in endpoints {
            let ip = endpoint.address();
            let mut base = common.clone();
            add(&mut base, &format!("{META}network_ip"), ip);
            base.extend(networks.get(endpoint.network_id.as_str()).into_iter().flatten().cloned());
            let ports = container.ports.iter().flatten().filter(|port| port.kind == "tcp");
            let before = into.len();
            for port in ports {
                let mut labels = vec![("__address__".to_owned(), host_port(ip, port.private))];
                labels.extend(base.iter().cloned());
                add(&mut labels, &format!("{META}port_private"), port.private.to_string());
                if port.public > 0 {
                    add(&mut labels, &format!("{META}port_public"), port.public.to_string());
                    add(&mut labels, &format!("{META}port_public_ip"), port.ip.as_str());
                }
                into.push(labels);
            }
            if into.len() == before {
                let on_host = container.host_config.network_mode == "host";
                let address =
                    if on_host { self.config.host_networking_host.clone() } else { host_port(ip, self.config.port) };
                let mut labels = vec![("__address__".to_owned(), address)];
                labels.extend(base);
                into.push(labels);
            }
        }
    }
}

fn client(config: &DockerSdConfig) -> Result<Client, String> {
    Client::new(&config.http).map_err(|error| error.to_string())
}

/// The networks a container is on, by name; of the container whose network it shares, if it has none of its own.
fn endpoints_of<'a>(container: &'a Container, by_id: &HashMap<&str, &'a Container>) -> Vec<&'a Endpoint> {
    let mut current = container;
    for _ in 0..SHARED_NETWORK_HOPS_MAX {
        let networks = current.network_settings.networks.iter().flatten();
        let found: Vec<&Endpoint> = networks.filter_map(|(_, endpoint)| endpoint.as_ref()).collect();
        if !found.is_empty() {
            return found;
        }
        let shared = current.host_config.network_mode.strip_prefix("container:");
        match shared.and_then(|id| by_id.get(id)) {
            Some(next) => current = next,
            None => return Vec::new(),
        }
    }
    Vec::new()
}

fn container_labels(container: &Container) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    add(&mut labels, &format!("{META}container_id"), container.id.as_str());
    add(&mut labels, &format!("{META}container_name"), container.names.first().cloned().unwrap_or_default());
    add(&mut labels, &format!("{META}container_image"), container.image.as_str());
    add(&mut labels, &format!("{META}container_image_id"), container.image_id.as_str());
    add(&mut labels, &format!("{META}container_network_mode"), container.host_config.network_mode.as_str());
    for (name, value) in container.labels.iter().flatten() {
        add(&mut labels, &format!("{META}container_label_{}", sanitize(name)), value.as_str());
    }
    labels
}

fn network_labels(network: &Network) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    add(&mut labels, &format!("{META}network_id"), network.id.as_str());
    add(&mut labels, &format!("{META}network_name"), network.name.as_str());
    add(&mut labels, &format!("{META}network_scope"), network.scope.as_str());
    add(&mut labels, &format!("{META}network_internal"), network.internal.to_string());
    add(&mut labels, &format!("{META}network_ingress"), network.ingress.to_string());
    for (name, value) in network.labels.iter().flatten() {
        add(&mut labels, &format!("{META}network_label_{}", sanitize(name)), value.as_str());
    }
    labels
}
