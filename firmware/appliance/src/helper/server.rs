//! The helper's side of the socket.

use super::power::Power;
use super::protocol::{Answer, LINE_BYTES_MAX, Request, Status, UpdateState};
use crate::bundle::{Architecture, Keys};
use crate::first_boot::RESET_FILE;
use crate::install::{Phase, Policy, Progress, install};
use crate::layout::Layout;
use crate::medium::Card;
use crate::release::Release;
use crate::slot::{self, Slot};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Connections at once: Bramble's polls, one upload, and somebody at the command line.
const CONNECTIONS_MAX: usize = 8;

/// A sender that is silent for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// What the helper needs to know, and what it remembers while it runs.
pub struct Helper {
    layout: Layout,
    power: Box<dyn Power>,
    /// Users that may ask, by id; root always may.
    allowed: Vec<u32>,
    stored_format: Box<dyn Fn() -> Option<u32> + Send + Sync>,
    update: Mutex<UpdateState>,
    connections: AtomicUsize,
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// One connection less when it is over, however that comes.
struct Counted(Arc<Helper>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Helper {
    /// `allowed`: users that may ask, besides root. `stored_format`: the number of what is stored, each time it matters.
    pub fn new(
        layout: Layout,
        power: Box<dyn Power>,
        allowed: Vec<u32>,
        stored_format: Box<dyn Fn() -> Option<u32> + Send + Sync>,
    ) -> Arc<Helper> {
        let (update, connections) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Helper { layout, power, allowed, stored_format, update, connections })
    }

    /// Answers until nobody has connected for `idle_max`.
    ///
    /// # Errors
    /// The listener's.
    pub fn serve(self: &Arc<Self>, listener: &UnixListener, idle_max: Duration) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let idle = Timespec { tv_sec: idle_max.as_secs() as i64, tv_nsec: i64::from(idle_max.subsec_nanos()) };
        loop {
            let ready = match poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&idle)) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if ready == 0 {
                if self.connections.load(Ordering::Acquire) == 0 {
                    return Ok(());
                }
                continue;
            }
            match listener.accept() {
                Ok((stream, _)) => self.take(stream),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(self: &Arc<Self>, stream: UnixStream) {
        let counted = Counted(self.clone());
        if self.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            return;
        }
        // A thread that cannot be had closes the connection: who asks asks again.
        _ = std::thread::Builder::new().name("helper".into()).spawn(move || {
            // Who went away does not hear the answer.
            _ = counted.0.answer(&stream);
        });
    }

    fn answer(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let mut input = BufReader::with_capacity(64 << 10, stream);
        let outcome = match self.may(stream) {
            Err(why) => Err(why),
            Ok(()) => read_request(&mut input).and_then(|request| self.act(request, &mut input, stream)),
        };
        tell(stream, &outcome.map_or_else(Answer::Error, Answer::Done))
    }

    fn may(&self, stream: &UnixStream) -> Result<(), String> {
        let peer = rustix::net::sockopt::socket_peercred(stream.as_fd()).map_err(|error| error.to_string())?;
        let uid = peer.uid.as_raw();
        match uid == 0 || self.allowed.contains(&uid) {
            true => Ok(()),
            false => Err(format!("user {uid} may not ask this; root and Bramble's own user may")),
        }
    }

    fn act(&self, request: Request, input: &mut dyn Read, stream: &UnixStream) -> Result<Value, String> {
        let told = |error: io::Error| error.to_string();
        match request {
            Request::Status => serde_json::to_value(self.status()?).map_err(|error| error.to_string()),
            Request::Update { bytes } => self.update(&mut input.take(bytes.unwrap_or(u64::MAX)), stream),
            Request::Reboot => {
                let argument = self.prepare_restart()?;
                self.power.reboot(argument).map_err(told)?;
                Ok(json!({"tries": argument.is_some()}))
            }
            Request::Poweroff => self.power.power_off().map(|()| json!({})).map_err(told),
            Request::FactoryReset => {
                let flag = self.layout.path(RESET_FILE);
                crate::durable::write(&flag, b"wipe\n", 0o600).map_err(told)?;
                self.power.reboot(None).map(|()| json!({})).map_err(told)
            }
            Request::Commit => {
                let own = own_slot(&self.layout)?;
                let changed = slot::commit(&mut Card::open(&self.layout).map_err(told)?, own).map_err(told)?;
                Ok(json!({"changed": changed}))
            }
        }
    }

    fn prepare_restart(&self) -> Result<Option<&'static str>, String> {
        // A machine without slots can be restarted, too.
        let Some(own) = self.layout.running_slot() else { return Ok(None) };
        let mut card = Card::open(&self.layout).map_err(|error| error.to_string())?;
        slot::prepare_restart(&mut card, own, self.layout.mechanism()).map_err(|error| error.to_string())
    }

    fn status(&self) -> Result<Status, String> {
        local_status(&self.layout, self.update.lock().clone())
    }

    fn update(&self, bundle: &mut dyn Read, stream: &UnixStream) -> Result<Value, String> {
        // The lock that the card holds lets one update in at a time, whoever else runs.
        let mut card = Card::open(&self.layout).map_err(|error| error.to_string())?;
        let outcome = self.install(&mut card, bundle, stream);
        let mut update = self.update.lock();
        match &outcome {
            Ok(_) => update.message = "installed; it starts with the next restart".to_owned(),
            Err(why) => *update = UpdateState { state: Phase::Failed, message: why.clone(), ..update.clone() },
        }
        outcome
    }

    fn install(&self, card: &mut Card, bundle: &mut dyn Read, stream: &UnixStream) -> Result<Value, String> {
        let own = own_slot(&self.layout)?;
        let policy = Policy {
            keys: Keys::of_directory(&self.layout.update_keys()).map_err(|error| error.to_string())?,
            architecture: Architecture::own(),
            own,
            running_build: Release::read(card, own).map(|release| release.build_id).filter(|id| !id.is_empty()),
            stored_format: (self.stored_format)(),
        };
        let mut progress = |progress: Progress| {
            *self.update.lock() = progress.into();
            // Who sends and does not listen is sent no less.
            _ = tell(stream, &Answer::Progress(progress));
        };
        let manifest = install(card, bundle, &policy, &mut progress).map_err(|error| error.to_string())?;
        Ok(json!({"version": manifest.version, "build_id": manifest.build_id, "slot": own.other()}))
    }
}

/// How things are, read from the boot partition itself: for who may read it. `update` is what is known of one.
///
/// # Errors
/// There are no slots, or the boot partition cannot be read.
pub fn local_status(layout: &Layout, mut update: UpdateState) -> Result<Status, String> {
    let own = own_slot(layout)?;
    let mut card = Card::read_only(layout);
    let state = slot::load(&mut card, own).map_err(|error| error.to_string())?;
    if update.state == Phase::Idle && slot::is_ready(&mut card, own).unwrap_or(false) {
        update.state = Phase::Ready;
    }
    let mut slots = BTreeMap::new();
    for slot in Slot::ALL {
        slots.insert(slot.name().to_owned(), Release::read(&mut card, slot));
    }
    let slot::BootState { slot: committed, trying, tries_left, bad } = state;
    Ok(Status { slot: own, committed, trying, tries_left, bad, slots, model: layout.model(), update })
}

fn own_slot(layout: &Layout) -> Result<Slot, String> {
    let none = "this machine has no slots: the kernel was not told bramble.slot=; update it with its package manager";
    layout.running_slot().ok_or_else(|| none.to_owned())
}

fn read_request(input: &mut impl BufRead) -> Result<Request, String> {
    let mut line = Vec::new();
    input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    serde_json::from_slice(&line).map_err(|error| format!("no request: {error}"))
}

fn tell(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The socket that systemd listens on for us (`LISTEN_FDS`, sd_listen_fds(3)); `None` when it did not start us so.
/// To be asked once.
#[expect(unsafe_code, reason = "a file descriptor that was inherited can only be taken by its number")]
pub fn listener_of_systemd() -> Option<UnixListener> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID")? != std::process::id() || number("LISTEN_FDS")? < 1 {
        return None;
    }
    // SAFETY: by its protocol systemd opened descriptor 3 for this process, and nothing else here uses it.
    let inherited = unsafe { OwnedFd::from_raw_fd(3) };
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(UnixListener::from(inherited))
}

/// The id of a user, by `/etc/passwd`; `None` when there is none of that name.
pub fn user_id(layout: &Layout, name: &str) -> Option<u32> {
    let table = crate::layout::read(&layout.path("/etc/passwd"));
    let mut users = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    users.find(|user| user.first() == Some(&name))?.get(2)?.parse().ok()
}
