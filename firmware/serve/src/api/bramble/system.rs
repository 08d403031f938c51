//! The machine: what runs, updates, restarts. What changes something is for administrators (the guard's table).
//!
//! | call | what |
//! | --- | --- |
//! | `GET /api/v1/system` | release, slots, board, where an update is |
//! | `POST /api/v1/system/update` | installs a bundle: the body is one, or JSON `{"url": "https://…"}` names one; 202, then ask |
//! | `POST /api/v1/system/reboot` | restarts, into the other slot if an update waits there |
//! | `POST /api/v1/system/poweroff` | shuts down |
//!
//! Where the machine is not ours (a package on somebody's host) it only says so: 409.

use crate::api::json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A sender that is silent for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Longest JSON body, bytes.
const JSON_BYTES_MAX: usize = 8 << 10;

/// The machine. The field names are the API's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SystemView {
    /// Whether the machine is ours: it has slots, and can be updated and restarted from here.
    pub appliance: bool,
    /// Of the software that runs.
    pub version: String,
    /// Of its build; empty when it is not known.
    pub build_id: String,
    /// "A" or "B"; `null` without slots.
    pub slot: Option<String>,
    /// What each slot holds, by its name.
    pub slots: BTreeMap<String, SlotView>,
    /// The slot on trial.
    pub trying: Option<String>,
    /// The slot that failed last, or is half written.
    pub bad: Option<String>,
    /// The board; empty when nobody says.
    pub model: String,
    /// Since the machine started.
    pub uptime_seconds: u64,
    /// Where an update is.
    pub update: UpdateView,
    /// Number of the format of what is stored.
    pub data_format: u32,
}

/// What a slot holds; empty texts when it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SlotView {
    /// Of the release.
    pub version: String,
    /// Of the build.
    pub build_id: String,
}

/// Where an update is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpdateView {
    /// "idle", "receiving", "writing", "verifying", "ready" or "failed".
    pub state: String,
    /// Of this state, bytes.
    pub bytes_done: u64,
    /// Of how many; 0 when that is not known.
    pub bytes_total: u64,
    /// For people; empty when there is nothing to say.
    pub message: String,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemError {
    /// Not on this machine, or not now: 409.
    Refused(String),
    /// It was tried: 503.
    Failed(String),
}

/// A bundle on its way in.
#[derive(Debug)]
pub struct Upload {
    /// Takes pieces in their order, and waits while the card does; closed when no more are wanted. An error says that the
    /// rest will not come.
    pub pieces: mpsc::Sender<Result<Bytes, String>>,
    /// How it ended.
    pub done: oneshot::Receiver<Result<(), String>>,
}

/// What the API does, implemented by the binary.
pub trait System: Send + Sync + 'static {
    /// How things are. May block on the helper.
    fn status(&self) -> SystemView;
    /// Begins to install a bundle of `bytes`, if that is known. Called inside a runtime.
    ///
    /// # Errors
    /// Another one is being installed, or there are no slots.
    fn begin_update(&self, bytes: Option<u64>) -> Result<Upload, SystemError>;
    /// Begins to fetch a bundle and to install it; how it goes is asked for. Called inside a runtime.
    ///
    /// # Errors
    /// As [`begin_update`](Self::begin_update).
    fn update_from(&self, url: String) -> Result<(), SystemError>;
    /// Restarts. May block.
    ///
    /// # Errors
    /// Not from here, or the helper's.
    fn reboot(&self) -> Result<(), SystemError>;
    /// Shuts down. May block.
    ///
    /// # Errors
    /// Not from here, or the helper's.
    fn power_off(&self) -> Result<(), SystemError>;
}

type Shared = State<Arc<dyn System>>;

/// The routes, for the main port.
pub fn router(system: Arc<dyn System>) -> Router {
    Router::new()
        .route("/api/v1/system", get(status))
        .route("/api/v1/system/update", post(update))
        .route("/api/v1/system/reboot", post(reboot))
        .route("/api/v1/system/poweroff", post(power_off))
        .with_state(system)
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

fn answer(status: StatusCode, error: &str) -> Response {
    json(status, &Problem { error })
}

fn outcome(outcome: Result<(), SystemError>) -> Response {
    match outcome {
        Ok(()) => json(StatusCode::ACCEPTED, &serde_json::json!({})),
        Err(SystemError::Refused(why)) => answer(StatusCode::CONFLICT, &why),
        Err(SystemError::Failed(why)) => answer(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// Runs what may block.
async fn blocking<T: Send + 'static>(
    system: Arc<dyn System>,
    work: impl FnOnce(&dyn System) -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(move || work(system.as_ref())).await.ok()
}

async fn status(State(system): Shared) -> Response {
    match blocking(system, |system| system.status()).await {
        Some(view) => json(StatusCode::OK, &view),
        None => answer(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
    }
}

async fn reboot(State(system): Shared) -> Response {
    outcome(blocking(system, |system| system.reboot()).await.unwrap_or(Ok(())))
}

async fn power_off(State(system): Shared) -> Response {
    outcome(blocking(system, |system| system.power_off()).await.unwrap_or(Ok(())))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    url: String,
}

async fn update(State(system): Shared, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if is_json(&head.headers) {
        let Ok(body) = axum::body::to_bytes(body, JSON_BYTES_MAX).await else {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, "at most 8 KiB of JSON; a bundle is no application/json");
        };
        return match serde_json::from_slice::<From>(&body) {
            Ok(From { url }) if url.starts_with("https://") || url.starts_with("http://") => {
                outcome(system.update_from(url))
            }
            Ok(_) => answer(StatusCode::BAD_REQUEST, "url must begin with https:// or http://"),
            Err(error) => answer(StatusCode::BAD_REQUEST, &error.to_string()),
        };
    }
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match system.begin_update(length) {
        Ok(upload) => receive(upload, body).await,
        Err(error) => outcome(Err(error)),
    }
}

/// Hands the body on as fast as it is taken. A refusal before its end is told at once, so that nobody sends 100 MB in vain.
async fn receive(upload: Upload, mut body: Body) -> Response {
    let Upload { pieces, done } = upload;
    loop {
        let piece = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                // Trailers say nothing here.
                Err(_) => continue,
            },
            Ok(Some(Err(_))) => Err("the connection broke while the bundle was sent".to_owned()),
            Err(_) => Err("the sender fell silent".to_owned()),
        };
        let broke = piece.is_err();
        if pieces.send(piece).await.is_err() || broke {
            drop(pieces);
            return match done.await {
                Ok(Err(why)) => answer(StatusCode::UNPROCESSABLE_ENTITY, &why),
                _ => outcome(Ok(())),
            };
        }
    }
    outcome(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use tower::ServiceExt;

    /// Takes what begins with "good"; with slots or without.
    struct Machine {
        slots: bool,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl System for Machine {
        fn status(&self) -> SystemView {
            SystemView { appliance: self.slots, data_format: 1, ..SystemView::default() }
        }
        fn begin_update(&self, bytes: Option<u64>) -> Result<Upload, SystemError> {
            if !self.slots {
                return Err(SystemError::Refused("no slots".to_owned()));
            }
            let ((pieces, mut coming), (end, done)) = (mpsc::channel(1), oneshot::channel());
            let taken = self.taken.clone();
            tokio::spawn(async move {
                assert!(bytes.is_none_or(|bytes| bytes > 0));
                while let Some(piece) = coming.recv().await {
                    let piece: Result<Bytes, String> = piece;
                    match piece {
                        Ok(piece) if piece.starts_with(b"good") => taken.lock().extend_from_slice(&piece),
                        Ok(_) => return drop(end.send(Err("no bundle".to_owned()))),
                        Err(why) => return drop(end.send(Err(why))),
                    }
                }
                drop(end.send(Ok(())));
            });
            Ok(Upload { pieces, done })
        }
        fn update_from(&self, url: String) -> Result<(), SystemError> {
            self.taken.lock().extend_from_slice(url.as_bytes());
            Ok(())
        }
        fn reboot(&self) -> Result<(), SystemError> {
            if self.slots { Ok(()) } else { Err(SystemError::Refused("not ours".to_owned())) }
        }
        fn power_off(&self) -> Result<(), SystemError> {
            Err(SystemError::Failed("helper".to_owned()))
        }
    }

    async fn ask(slots: bool, method: &str, path: &str, kind: &str, body: Body) -> (u16, String, Vec<u8>) {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body).unwrap();
        let response = router(Arc::new(Machine { slots, taken: taken.clone() })).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let taken = taken.lock().clone();
        (status, String::from_utf8_lossy(&text).into_owned(), taken)
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            pieces.iter().map(|p| Ok(Bytes::from_static(p.as_bytes()))).collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    const UPDATE: &str = "/api/v1/system/update";

    #[tokio::test]
    async fn a_body_is_handed_on_piece_by_piece() {
        let (status, _, _) = ask(true, "POST", UPDATE, "application/octet-stream", pieces(&["good 1", "good 2"])).await;
        assert_eq!(status, 202);
        let many = vec!["good"; 100];
        assert_eq!(ask(true, "POST", UPDATE, "", pieces(&many)).await.0, 202);
    }

    #[tokio::test]
    async fn a_refusal_is_told_while_the_body_still_comes() {
        let (status, text, _) = ask(true, "POST", UPDATE, "", pieces(&["good", "bad", "good", "good", "good"])).await;
        assert_eq!((status, text.as_str()), (422, r#"{"error":"no bundle"}"#));
        let broken: Vec<Result<Bytes, std::io::Error>> =
            vec![Ok(Bytes::from_static(b"good")), Err(std::io::Error::other("cut"))];
        let (status, text, _) =
            ask(true, "POST", UPDATE, "", Body::from_stream(futures_util::stream::iter(broken))).await;
        assert!(status == 422 && text.contains("broke"), "{text}");
    }

    #[tokio::test]
    async fn a_url_is_fetched_by_us() {
        let by = |body: &'static str| ask(true, "POST", UPDATE, "application/json; charset=utf-8", Body::from(body));
        assert_eq!(by(r#"{"url":"https://x/y.bramble"}"#).await.2, b"https://x/y.bramble");
        for bad in [r#"{"url":"file:///etc/passwd"}"#, "{}", "x", r#"{"url":"https://x","run":1}"#] {
            assert_eq!(by(bad).await.0, 400, "{bad}");
        }
    }

    #[tokio::test]
    async fn elsewhere_it_says_no() {
        let (status, text, _) = ask(false, "GET", "/api/v1/system", "", Body::empty()).await;
        assert!(status == 200 && text.contains(r#""appliance":false"#) && text.contains(r#""slot":null"#), "{text}");
        assert_eq!(ask(false, "POST", UPDATE, "", Body::from("good")).await.0, 409);
        assert_eq!(ask(false, "POST", "/api/v1/system/reboot", "", Body::empty()).await.0, 409);
        assert_eq!(ask(true, "POST", "/api/v1/system/reboot", "", Body::empty()).await.0, 202);
        assert_eq!(ask(true, "POST", "/api/v1/system/poweroff", "", Body::empty()).await.0, 503);
    }
}
