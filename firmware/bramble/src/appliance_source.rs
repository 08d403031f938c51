//! Where a bundle comes from: a file, an address, or a request that is still coming. All are read by a thread that waits
//! for the card, so that what sends is held back as the card is.

use anyhow::Context;
use axum::body::Bytes;
use axum::http::{Request, header};
use bramble_client::{BodyStream, Client, HttpConfig};
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces that wait between who receives and who writes, each some 64 KiB at most.
const WAITING_MAX: usize = 8;

/// A server has so long for its answer's head, and for each piece of its body.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A bundle to be read.
pub(crate) struct Source {
    /// Its bytes.
    pub(crate) reader: Box<dyn Read + Send>,
    /// How many there are, when that is known.
    pub(crate) bytes: Option<u64>,
}

/// Sends pieces of a bundle; waits while nobody reads. An error ends it.
pub(crate) type Sender = mpsc::Sender<Result<Bytes, String>>;

/// Reads what is sent. The reader must not be on a thread of the runtime.
pub(crate) fn channel() -> (Sender, Box<dyn Read + Send>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (sender, Box::new(Pieces { receiver, piece: Bytes::new() }))
}

struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, String>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
            }
        }
        let count = self.piece.len().min(into.len());
        let piece = self.piece.split_to(count);
        into.iter_mut().zip(piece).for_each(|(to, from)| *to = from);
        Ok(count)
    }
}

/// Opens a file, an `http` or `https` URL, or standard input (`-`).
///
/// # Errors
/// That it cannot be opened, or how the server refused.
pub(crate) fn open(name: &str) -> anyhow::Result<Source> {
    if name == "-" {
        return Ok(Source { reader: Box::new(io::stdin()), bytes: None });
    }
    if !is_url(name) {
        let file = File::open(name).with_context(|| name.to_owned())?;
        let bytes = file.metadata()?.len();
        return Ok(Source { reader: Box::new(file), bytes: Some(bytes) });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (body, bytes) = runtime.block_on(request(name))?;
    let (sender, reader) = channel();
    runtime.spawn(download(body, sender));
    Ok(Source { reader: Box::new(Kept { reader, _runtime: runtime }), bytes })
}

/// Whether that is an address and no file.
pub(crate) fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// A reader whose pieces come as long as its runtime is there.
struct Kept {
    reader: Box<dyn Read + Send>,
    _runtime: tokio::runtime::Runtime,
}

impl Read for Kept {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into)
    }
}

/// Asks a server for a bundle: its body, and how long it is.
///
/// # Errors
/// That it does not answer, or with what status it refused.
pub(crate) async fn request(url: &str) -> anyhow::Result<(BodyStream, Option<u64>)> {
    let client = Client::new(&HttpConfig::default())?;
    let request = Request::get(url).body(Bytes::new()).with_context(|| format!("{url} is no address"))?;
    let answer = client.open(request, SILENCE_MAX).await.with_context(|| url.to_owned())?;
    anyhow::ensure!(answer.status().is_success(), "{url}: the server answers {}", answer.status());
    let length = answer.headers().get(header::CONTENT_LENGTH);
    let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Ok((answer.into_body(), bytes))
}

/// Hands on the body until its end; ends early when nobody reads any more.
pub(crate) async fn download(mut body: BodyStream, sender: Sender) {
    loop {
        let piece = match tokio::time::timeout(SILENCE_MAX, body.next()).await {
            Err(_) => Err("the server fell silent".to_owned()),
            Ok(None) => return,
            Ok(Some(piece)) => piece.map_err(|error| error.to_string()),
        };
        let failed = piece.is_err();
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_in_order_and_an_error_ends_them() {
        let (sender, mut reader) = channel();
        let sending = std::thread::spawn(move || {
            for piece in [&b"one "[..], b"", b"two"] {
                sender.blocking_send(Ok(Bytes::from_static(piece))).unwrap();
            }
            sender.blocking_send(Err("cut".to_owned())).unwrap();
        });
        let mut read = vec![0; 7];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, b"one two");
        assert_eq!(reader.read(&mut read).unwrap_err().to_string(), "cut");
        sending.join().unwrap();
    }

    #[test]
    fn a_file_tells_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.bramble");
        std::fs::write(&path, "12345").unwrap();
        let mut source = open(path.to_str().unwrap()).unwrap();
        let mut text = String::new();
        source.reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), source.bytes), ("12345", Some(5)));
        assert!(open("/nowhere/x.bramble").is_err());
        assert!(is_url("https://x/y") && !is_url("httpd.bramble"));
    }
}
