//! Lists and watches (kubernetes.io, "Kubernetes API Concepts", "Efficient detection of changes"): read a list in
//! pages, then follow its changes from the version it was read at; when that version is gone, read the list anew.

use super::api::{Api, ApiError, Status};
use super::objects::Object;
use crate::discovery::poll::Backoff;
use bramble_client::BodyStream;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;
use tokio::sync::mpsc;

/// Objects of one page: small enough that a page of pods is a few MiB.
const PAGE_OBJECTS: usize = 250;
/// The server ends a watch after this; the next goes on from the last version.
const WATCH_SECONDS: u64 = 300;
/// Longer than any silence of a live watch: bookmarks come about every minute, and the server ends it anyway.
const SILENCE_MAX: Duration = Duration::from_secs(WATCH_SECONDS + 30);
/// One event holds one object; etcd takes 1.5 MiB, its JSON is larger.
const EVENT_BYTES_MAX: usize = 8 << 20;
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What a reader of a list hears.
#[derive(Debug)]
pub(crate) enum Change<T> {
    /// These are all objects; what else was known is gone.
    Reset(Vec<T>),
    /// A new or changed object.
    Applied(T),
    /// It is gone.
    Deleted(T),
    /// The list cannot be read or followed now; what is known stays.
    Failed(String),
    /// It can again.
    Recovered,
}

#[derive(Deserialize)]
struct List<T> {
    metadata: ListMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct EventType<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    #[expect(dead_code, reason = "skipped without being built")]
    object: IgnoredAny,
}

#[derive(Deserialize)]
struct EventObject<T> {
    object: T,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: super::objects::Metadata,
}

/// One resource in one namespace, or in all.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// As in `/api/v1/namespaces/default/pods`.
    pub(crate) path: String,
    /// Names it in errors, as `pods`.
    pub(crate) name: String,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
}

impl Resource {
    /// `group`: `/api/v1` or `/apis/<group>/<version>`. `namespace`: all when empty.
    pub(crate) fn new(group: &str, namespace: &str, name: &str) -> Self {
        let path = if namespace.is_empty() {
            format!("{group}/{name}")
        } else {
            format!("{group}/namespaces/{namespace}/{name}")
        };
        Resource { path, name: name.to_owned(), label_selector: String::new(), field_selector: String::new() }
    }

    fn query(&self, more: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let selectors = [("labelSelector", self.label_selector.as_str()), ("fieldSelector", &self.field_selector)];
        for (name, value) in selectors.iter().chain(more) {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("{}?{}", self.path, query.finish())
    }
}

/// Reads a whole list. Returns its objects and its version.
pub(crate) async fn list<T: Object>(api: &Api, resource: &Resource) -> Result<(Vec<T>, String), ApiError> {
    let mut items = Vec::new();
    let mut next = String::new();
    let limit = PAGE_OBJECTS.to_string();
    loop {
        let body = api.get(&resource.query(&[("limit", &limit), ("continue", &next)])).await?;
        let page: List<T> = serde_json::from_slice(&body)
            .map_err(|error| ApiError::Malformed(format!("list of {}: {error}", resource.name)))?;
        items.extend(page.items);
        if page.metadata.next.is_empty() {
            return Ok((items, page.metadata.resource_version));
        }
        next = page.metadata.next;
    }
}

/// Follows a resource for good, telling every change to `send`. Ends when nobody listens.
pub(crate) async fn follow<T, M, W>(api: Api, resource: Resource, send: mpsc::Sender<M>, wrap: W)
where
    T: Object,
    M: Send + 'static,
    W: Fn(Change<T>) -> M + Send + Sync + 'static,
{
    let mut backoff = Backoff::new(RETRY_MAX);
    let mut version: Option<String> = None;
    let mut failing = false;
    loop {
        let outcome = match version.take() {
            None => start(&api, &resource, &send, &wrap).await.map(Some),
            Some(from) => changes(&api, &resource, from, &send, &wrap, &mut failing).await,
        };
        match outcome {
            Ok(next) => {
                version = next;
                backoff.reset();
                if recover(&mut failing, &send, &wrap).await.is_err() {
                    return;
                }
            }
            Err(Stop::Closed) => return,
            Err(Stop::Failed { error, version: from }) => {
                // A list that is gone in the middle of its pages, or a watch's version: read anew, no fault.
                if !error.is_gone() {
                    failing = true;
                    let text = format!("failed to list or watch {}: {error}", resource.name);
                    if send.send(wrap(Change::Failed(text))).await.is_err() {
                        return;
                    }
                    version = from;
                }
                tokio::time::sleep(backoff.wait()).await;
            }
        }
        if send.is_closed() {
            return;
        }
    }
}

enum Stop {
    Closed,
    /// `version`: where a watch can go on.
    Failed {
        error: ApiError,
        version: Option<String>,
    },
}

/// Says once that it works again.
async fn recover<T, M>(
    failing: &mut bool,
    send: &mpsc::Sender<M>,
    wrap: &(impl Fn(Change<T>) -> M + Sync),
) -> Result<(), Stop> {
    if std::mem::take(failing) {
        send.send(wrap(Change::Recovered)).await.map_err(|_| Stop::Closed)?;
    }
    Ok(())
}

async fn start<T: Object, M>(
    api: &Api,
    resource: &Resource,
    send: &mpsc::Sender<M>,
    wrap: &(impl Fn(Change<T>) -> M + Sync),
) -> Result<String, Stop> {
    let (items, version) = list(api, resource).await.map_err(|error| Stop::Failed { error, version: None })?;
    send.send(wrap(Change::Reset(items))).await.map_err(|_| Stop::Closed)?;
    Ok(version)
}

/// One watch, until the server ends it. `None`: the list must be read anew.
async fn changes<T: Object, M>(
    api: &Api,
    resource: &Resource,
    mut version: String,
    send: &mpsc::Sender<M>,
    wrap: &(impl Fn(Change<T>) -> M + Sync),
    failing: &mut bool,
) -> Result<Option<String>, Stop> {
    let seconds = WATCH_SECONDS.to_string();
    let path = resource.query(&[
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("timeoutSeconds", &seconds),
        ("resourceVersion", &version),
    ]);
    let body = match api.open(&path).await {
        Ok(body) => body,
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(Stop::Failed { error, version: Some(version) }),
    };
    // An open watch may be silent for minutes: that it opened is the good news.
    recover(failing, send, wrap).await?;
    let mut lines = Lines { body, held: Vec::new(), at_end: false };
    let opened = std::time::Instant::now();
    loop {
        let line = match tokio::time::timeout(SILENCE_MAX, lines.next()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) if opened.elapsed() < Duration::from_secs(1) => {
                // A server that ends every watch at once must not be asked without a pause.
                tokio::time::sleep(Duration::from_secs(1)).await;
                return Ok(Some(version));
            }
            Ok(Ok(None)) | Err(_) => return Ok(Some(version)),
            Ok(Err(error)) => return Err(Stop::Failed { error, version: Some(version) }),
        };
        let malformed = |error: serde_json::Error| Stop::Failed {
            error: ApiError::Malformed(format!("watch of {}: {error}", resource.name)),
            version: None,
        };
        let kind = serde_json::from_slice::<EventType<'_>>(&line).map_err(malformed)?.kind.into_owned();
        let change = match kind.as_str() {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let object = serde_json::from_slice::<EventObject<T>>(&line).map_err(malformed)?.object;
                version.clone_from(&object.metadata().resource_version);
                if kind == "DELETED" { Change::Deleted(object) } else { Change::Applied(object) }
            }
            "BOOKMARK" => {
                let object = serde_json::from_slice::<EventObject<Bookmark>>(&line).map_err(malformed)?.object;
                version = object.metadata.resource_version;
                continue;
            }
            "ERROR" => {
                let status = serde_json::from_slice::<EventObject<Status>>(&line).map_err(malformed)?.object;
                if status.code == 410 {
                    return Ok(None);
                }
                let error = ApiError::Status { status: status.code, message: status.message };
                return Err(Stop::Failed { error, version: None });
            }
            _ => continue,
        };
        send.send(wrap(change)).await.map_err(|_| Stop::Closed)?;
    }
}

/// A body line by line.
struct Lines {
    body: BodyStream,
    held: Vec<u8>,
    at_end: bool,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.held) {
                let mut line: Vec<u8> = self.held.drain(..=end).collect();
                line.pop();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.at_end {
                // What is left without an end was cut off with the connection.
                return Ok(None);
            }
            match self.body.next().await {
                None => self.at_end = true,
                Some(Err(error)) => return Err(ApiError::Client(error.to_string())),
                Some(Ok(piece)) if self.held.len() + piece.len() > EVENT_BYTES_MAX => {
                    return Err(ApiError::Malformed(format!("an event is longer than {EVENT_BYTES_MAX} bytes")));
                }
                Some(Ok(piece)) => self.held.extend_from_slice(&piece),
            }
        }
    }
}
