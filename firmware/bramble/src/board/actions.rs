//! What is asked for with the button is done by the appliance's helper, which has the rights.

use bramble_board::{Actions, Wish};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Where the helper listens; systemd starts it when somebody calls.
const SOCKET: &str = "/run/bramble-helper.sock";
/// How long it may take to answer. It answers before the machine goes down.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read, and lines of it.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const LINES_MAX: usize = 64;

/// Asks the helper.
pub(super) struct Helper {
    socket: PathBuf,
}

impl Default for Helper {
    fn default() -> Self {
        Helper { socket: PathBuf::from(SOCKET) }
    }
}

impl Helper {
    /// One request, and its last answer.
    fn ask(&self, what: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.socket.display());
        let mut stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
        stream.write_all(format!("{{\"do\":\"{what}\"}}\n").as_bytes()).map_err(failed)?;
        let answer = BufReader::new(stream).take(ANSWER_BYTES_MAX);
        for line in answer.lines().take(LINES_MAX) {
            let line = line.map_err(failed)?;
            let answer: serde_json::Value = serde_json::from_str(&line).map_err(|why| format!("{line:?}: {why}"))?;
            if let Some(error) = answer.get("error") {
                return Err(error.as_str().map_or_else(|| error.to_string(), str::to_owned));
            }
            if answer.get("done").is_some() {
                return Ok(());
            }
        }
        Err("the helper ended without an answer".to_owned())
    }
}

impl Actions for Helper {
    fn act(&mut self, wish: Wish) -> Result<(), String> {
        match wish {
            // The light does that by itself.
            Wish::Identify => Ok(()),
            Wish::PowerOff => self.ask("poweroff"),
            Wish::FactoryReset => self.ask("factory-reset"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Asks a helper that answers so; returns what it heard, and what came of it.
    fn asked(wish: Wish, answer: &'static str) -> (String, Result<(), String>) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("helper.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let serving = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut heard = String::new();
            let mut reader = BufReader::new(stream);
            reader.read_line(&mut heard).unwrap();
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            heard
        });
        let outcome = Helper { socket }.act(wish);
        (serving.join().unwrap(), outcome)
    }

    #[test]
    fn the_helper_is_asked_and_its_refusal_is_told() {
        let (heard, outcome) = asked(Wish::PowerOff, "{\"progress\":{}}\n{\"done\":{}}\n");
        assert_eq!((heard.as_str(), outcome), ("{\"do\":\"poweroff\"}\n", Ok(())));
        let (heard, outcome) = asked(Wish::FactoryReset, "{\"error\":\"not an appliance\"}\n");
        assert_eq!((heard.as_str(), outcome), ("{\"do\":\"factory-reset\"}\n", Err("not an appliance".to_owned())));
        assert!(asked(Wish::PowerOff, "").1.unwrap_err().contains("without an answer"));
        assert!(asked(Wish::PowerOff, "what?\n").1.is_err());
    }

    #[test]
    fn without_a_helper_nothing_is_done() {
        let mut helper = Helper { socket: PathBuf::from("/nowhere/helper.sock") };
        assert_eq!(helper.act(Wish::Identify), Ok(()));
        assert!(helper.act(Wish::PowerOff).unwrap_err().contains("/nowhere"));
    }
}
