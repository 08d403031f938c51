//! Who asks the helper.

use super::protocol::{Answer, LINE_BYTES_MAX, Request, Status};
use crate::install::Progress;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Writing a slow card and reading it back takes minutes; a helper that says nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(600);

fn connect(socket: &Path) -> Result<UnixStream, String> {
    let connected = UnixStream::connect(socket).and_then(|stream| {
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(stream)
    });
    connected.map_err(|error| format!("the appliance's helper does not answer ({}: {error})", socket.display()))
}

fn request(mut stream: &UnixStream, request: &Request) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads answers until the last one.
fn answers(stream: &UnixStream, progress: &mut dyn FnMut(Progress)) -> Result<Value, String> {
    let mut input = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(|error| format!("the helper's answer: {error}"))? == 0 {
            return Err("the helper ended without an answer".to_owned());
        }
        match serde_json::from_slice(&line).map_err(|error| format!("the helper's answer: {error}"))? {
            Answer::Progress(now) => progress(now),
            Answer::Done(done) => return Ok(done),
            Answer::Error(why) => return Err(why),
        }
    }
}

/// Asks for something that is done at once.
///
/// # Errors
/// That nobody answers, or why it was not done: for people.
pub fn ask(socket: &Path, what: &Request) -> Result<Value, String> {
    let stream = connect(socket)?;
    request(&stream, what).map_err(|error| error.to_string())?;
    answers(&stream, &mut |_| {})
}

/// How things are.
///
/// # Errors
/// As [`ask`].
pub fn status(socket: &Path) -> Result<Status, String> {
    serde_json::from_value(ask(socket, &Request::Status)?).map_err(|error| format!("the helper's answer: {error}"))
}

/// Sends a bundle, and tells how far it is; returns once it is installed or refused. `bundle` is read no faster than the
/// card is written; it is `bytes` long, or ends with its reader.
///
/// # Errors
/// As [`ask`], and when the bundle cannot be read.
pub fn send_update(
    socket: &Path,
    bundle: &mut (dyn Read + Send),
    bytes: Option<u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Value, String> {
    let stream = connect(socket)?;
    request(&stream, &Request::Update { bytes }).map_err(|error| error.to_string())?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let sent = send(bundle, &stream);
            // Also when it could not be read: the helper then sees its end, and gives it up.
            _ = stream.shutdown(Shutdown::Write);
            sent
        });
        let answer = answers(&stream, progress);
        if answer.is_err() {
            // Refused before it came whole: the sender must not go on.
            _ = stream.shutdown(Shutdown::Both);
        }
        match (sender.join(), answer) {
            (Ok(Err(why)), Err(_)) => Err(why),
            (_, answer) => answer,
        }
    })
}

/// Copies; says only what is wrong with the bundle, since what is wrong with the helper it tells itself.
fn send(bundle: &mut dyn Read, mut stream: &UnixStream) -> Result<(), String> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = match bundle.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| format!("the bundle cannot be read: {error}"))?,
        };
        if count == 0 || stream.write_all(piece.get(..count).unwrap_or_default()).is_err() {
            return Ok(());
        }
    }
}
