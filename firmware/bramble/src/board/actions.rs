//! What is asked for with the button is done by the appliance's helper, which has the rights.

use bramble_appliance::helper::{self, Request};
use bramble_appliance::layout::Layout;
use bramble_board::{Actions, Wish};
use std::path::PathBuf;

/// Asks the helper.
pub(super) struct Helper {
    socket: PathBuf,
}

impl Default for Helper {
    fn default() -> Self {
        Helper { socket: Layout::default().helper_socket() }
    }
}

impl Actions for Helper {
    fn act(&mut self, wish: Wish) -> Result<(), String> {
        let request = match wish {
            // The light does that by itself.
            Wish::Identify => return Ok(()),
            Wish::PowerOff => Request::Poweroff,
            Wish::FactoryReset => Request::FactoryReset,
        };
        helper::ask(&self.socket, &request).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
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
        let (heard, outcome) = asked(Wish::PowerOff, "{\"done\":{}}\n");
        assert_eq!((heard.trim(), outcome), ("{\"do\":\"poweroff\"}", Ok(())));
        let (heard, outcome) = asked(Wish::FactoryReset, "{\"error\":\"not an appliance\"}\n");
        assert_eq!((heard.trim(), outcome), ("{\"do\":\"factory-reset\"}", Err("not an appliance".to_owned())));
        assert!(asked(Wish::PowerOff, "").1.is_err());
    }

    #[test]
    fn without_a_helper_nothing_is_done() {
        let mut helper = Helper { socket: PathBuf::from("/nowhere/helper.sock") };
        assert_eq!(helper.act(Wish::Identify), Ok(()));
        assert!(helper.act(Wish::PowerOff).is_err());
    }
}
