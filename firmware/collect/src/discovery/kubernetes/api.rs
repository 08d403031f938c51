//! One cluster's API: where it is, who we are, and requests of it.

use super::kubeconfig;
use crate::discovery::config::KubernetesSdConfig;
use bramble_client::{Authorization, BodyStream, Client, ClientError, HttpConfig, Limits};
use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a pod finds its service account (kubernetes.io, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// One page of a list: 250 objects of some 10 KiB are usual, ConfigMap-sized ones are not read.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A request that was not answered as hoped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("{0}")]
    Client(String),
    /// Another status than 200, with what the API says about it.
    #[error("{status} {message}")]
    Status {
        /// HTTP's number: 401 for a token that expired, 403 without permission, 410 for a version that is gone.
        status: u16,
        /// The API's reason.
        message: String,
    },
    /// An answer that is not what was asked for.
    #[error("{0}")]
    Malformed(String),
}

impl ApiError {
    /// Whether the version that was asked for is no longer kept, so that a list must be read anew.
    pub fn is_gone(&self) -> bool {
        matches!(self, ApiError::Status { status: 410, .. })
    }
}

/// A cluster's API. Clones share connections.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    base: String,
    /// The namespace we run in, if known.
    own_namespace: Option<String>,
}

/// How the API says that something is wrong (`metav1.Status`).
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) message: String,
    pub(crate) code: u16,
}

impl Api {
    /// The API that a configuration names.
    ///
    /// # Errors
    /// Outside a cluster without an address, and for files that cannot be read or used.
    pub fn new(config: &KubernetesSdConfig) -> Result<Api, String> {
        match config.api_server.as_str() {
            "" => Self::find("", config.kubeconfig_file.as_deref()),
            server => Self::at(server, &config.http, None),
        }
    }

    /// The API at an address or by a `kubeconfig`, or else of the cluster that this process runs in.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn find(api_server: &str, kubeconfig_file: Option<&Path>) -> Result<Api, String> {
        match kubeconfig_file {
            Some(file) => {
                let found = kubeconfig::read(file)?;
                Self::at(&found.server, &found.http, found.namespace)
            }
            None if api_server.is_empty() => Self::in_cluster(),
            None => Self::at(api_server, &HttpConfig::default(), None),
        }
    }

    /// The API of the cluster that this process runs in, as its service account. The token is read again when it is
    /// replaced, which the kubelet does before it expires.
    ///
    /// # Errors
    /// Outside a cluster.
    pub fn in_cluster() -> Result<Api, String> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
        else {
            return Err("unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and \
                        KUBERNETES_SERVICE_PORT must be defined"
                .to_owned());
        };
        // Only tests put it elsewhere.
        let directory = variable("BRAMBLE_SERVICE_ACCOUNT_DIR").unwrap_or_else(|| SERVICE_ACCOUNT.to_owned());
        let directory = Path::new(&directory);
        let token: PathBuf = directory.join("token");
        let mut http = HttpConfig {
            authorization: Some(Authorization { credentials_file: Some(token), ..Authorization::default() }),
            ..HttpConfig::default()
        };
        http.tls_config.ca_file = Some(directory.join("ca.crt"));
        let namespace = std::fs::read_to_string(directory.join("namespace")).ok();
        let namespace = namespace.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let server = format!("https://{}", crate::discovery::group::host_port(&host, port));
        Self::at(&server, &http, namespace)
    }

    fn at(server: &str, http: &HttpConfig, own_namespace: Option<String>) -> Result<Api, String> {
        let client = Client::new(http).map_err(|error| error.to_string())?;
        let base = server.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|error| format!("api_server \"{server}\": {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(format!("api_server \"{server}\": scheme must be http or https"));
        }
        Ok(Api { client, base, own_namespace })
    }

    /// The namespace we run in.
    pub(crate) fn own_namespace(&self) -> Option<&str> {
        self.own_namespace.as_deref()
    }

    /// Gets one answer. `path`: with its query.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, ApiError> {
        let (request, uri) = self.request(path)?;
        let limits = Limits { timeout: REQUEST_TIMEOUT, body_bytes_max: BODY_BYTES_MAX };
        let answer = self.client.send(request, limits).await.map_err(|error| no_answer(&error, &uri))?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer.status(), answer.body()));
        }
        Ok(answer.into_body())
    }

    /// Opens a watch.
    pub(crate) async fn open(&self, path: &str) -> Result<BodyStream, ApiError> {
        let (request, uri) = self.request(path)?;
        let answer = self.client.open(request, REQUEST_TIMEOUT).await.map_err(|error| no_answer(&error, &uri))?;
        let (head, mut body) = answer.into_parts();
        if head.status == StatusCode::OK {
            return Ok(body);
        }
        let said = tokio::time::timeout(REQUEST_TIMEOUT, body.next()).await.ok().flatten();
        Err(refused(head.status, &said.and_then(Result::ok).unwrap_or_default()))
    }

    fn request(&self, path: &str) -> Result<(Request<Bytes>, Uri), ApiError> {
        let uri: Uri =
            format!("{}{path}", self.base).parse().map_err(|error| ApiError::Malformed(format!("{path}: {error}")))?;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok((request, uri))
    }
}

fn no_answer(error: &ClientError, uri: &Uri) -> ApiError {
    ApiError::Client(error.at(&Method::GET, uri))
}

fn refused(status: StatusCode, body: &[u8]) -> ApiError {
    let said: Status = serde_json::from_slice(body).unwrap_or_default();
    let message =
        if said.message.is_empty() { status.canonical_reason().unwrap_or_default().to_owned() } else { said.message };
    ApiError::Status { status: status.as_u16(), message }
}
