//! The machine behind `/api/v1/system`: asks the helper, which alone may change it.

use crate::appliance_source::{channel, download, request};
use bramble_appliance::helper::{self, Request, Status, UpdateState};
use bramble_appliance::install::{Phase, Progress};
use bramble_appliance::layout::Layout;
use bramble_appliance::slot::Slot;
use bramble_serve::api::bramble::system::{SlotView, System, SystemError, SystemView, UpdateView, Upload};
use parking_lot::Mutex;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Where there are no slots.
const NOT_OURS: &str =
    "this machine is not a Bramble appliance: update it with its package manager, and restart it as usual";

/// The machine.
pub(crate) struct Machine {
    layout: Layout,
    data_dir: PathBuf,
    ours: Arc<Ours>,
}

/// The update that this process began last.
#[derive(Default)]
struct Ours(Mutex<Option<UpdateState>>);

impl Ours {
    fn is_busy(state: &UpdateState) -> bool {
        matches!(state.state, Phase::Receiving | Phase::Writing | Phase::Verifying)
    }

    /// Whether this is the only one.
    fn begin(&self) -> bool {
        let mut now = self.0.lock();
        let free = !now.as_ref().is_some_and(Ours::is_busy);
        if free {
            *now = Some(UpdateState { state: Phase::Receiving, ..UpdateState::default() });
        }
        free
    }

    fn progress(&self, progress: Progress) {
        *self.0.lock() = Some(progress.into());
    }

    fn end(&self, outcome: &Result<(), String>) {
        let mut now = self.0.lock();
        *now = match outcome {
            // The helper says that it waits for a restart.
            Ok(()) => None,
            Err(why) => {
                tracing::warn!(%why, "the update was not installed");
                Some(UpdateState { state: Phase::Failed, message: why.clone(), ..now.clone().unwrap_or_default() })
            }
        };
    }
}

impl Machine {
    /// Of this layout, with Bramble's data in `data_dir`.
    pub(crate) fn new(layout: Layout, data_dir: PathBuf) -> Machine {
        Machine { layout, data_dir, ours: Arc::default() }
    }

    /// Whether an update that this process began is being written.
    pub(crate) fn is_updating(&self) -> bool {
        self.ours.0.lock().as_ref().is_some_and(Ours::is_busy)
    }

    fn has_slots(&self) -> Result<(), SystemError> {
        match self.layout.running_slot() {
            Some(_) => Ok(()),
            None => Err(SystemError::Refused(NOT_OURS.to_owned())),
        }
    }

    fn ask(&self, what: &Request) -> Result<(), SystemError> {
        self.has_slots()?;
        helper::ask(&self.layout.helper_socket(), what).map(drop).map_err(SystemError::Failed)
    }

    /// Sends what comes through `bundle` to the helper, on a thread of its own.
    fn send(&self, mut bundle: Box<dyn Read + Send>, bytes: Option<u64>, done: oneshot::Sender<Result<(), String>>) {
        let (socket, ours) = (self.layout.helper_socket(), self.ours.clone());
        let work = move || {
            let sent = helper::send_update(&socket, bundle.as_mut(), bytes, &mut |progress| ours.progress(progress));
            // Whoever still sends is to stop before the end is told.
            drop(bundle);
            let outcome = sent.map(drop);
            ours.end(&outcome);
            _ = done.send(outcome);
        };
        if let Err(error) = std::thread::Builder::new().name("update".into()).spawn(work) {
            self.ours.end(&Err(error.to_string()));
        }
    }

    fn begin(&self) -> Result<(), SystemError> {
        self.has_slots()?;
        match self.ours.begin() {
            true => Ok(()),
            false => Err(SystemError::Refused("an update is being installed".to_owned())),
        }
    }
}

fn uptime_seconds() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

fn update_view(state: UpdateState) -> UpdateView {
    let UpdateState { state, bytes_done, bytes_total, message } = state;
    let state = match state {
        Phase::Idle => "idle",
        Phase::Receiving => "receiving",
        Phase::Writing => "writing",
        Phase::Verifying => "verifying",
        Phase::Ready => "ready",
        Phase::Failed => "failed",
    };
    UpdateView { state: state.to_owned(), bytes_done, bytes_total, message }
}

/// What the helper says, as the API says it.
fn add_slots(view: &mut SystemView, status: Status) {
    let name = |slot: Slot| slot.name().to_owned();
    view.slot = Some(name(status.slot));
    view.trying = status.trying.map(name);
    view.bad = status.bad.map(name);
    for (slot, release) in status.slots {
        let release = release.unwrap_or_default();
        if slot == status.slot.name() {
            view.build_id.clone_from(&release.build_id);
        }
        view.slots.insert(slot, SlotView { version: release.version, build_id: release.build_id });
    }
    view.update = update_view(status.update);
    // What a hardened unit may not see of the board, the helper does.
    if !status.model.is_empty() {
        view.model = status.model;
    }
}

impl System for Machine {
    fn status(&self) -> SystemView {
        let mut view = SystemView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.layout.model(),
            uptime_seconds: uptime_seconds(),
            update: update_view(UpdateState::default()),
            data_format: bramble_disk::data_version(&self.data_dir).unwrap_or(bramble_disk::DATA_VERSION),
            ..SystemView::default()
        };
        let Some(slot) = self.layout.running_slot() else { return view };
        view.appliance = true;
        view.slot = Some(slot.name().to_owned());
        match helper::status(&self.layout.helper_socket()) {
            Ok(status) => add_slots(&mut view, status),
            Err(why) => view.update.message = why,
        }
        // What we send is known here before the helper sees it, and why it failed also after the helper is gone.
        if let Some(ours) = self.ours.0.lock().clone() {
            view.update = update_view(ours);
        }
        view
    }

    fn begin_update(&self, bytes: Option<u64>) -> Result<Upload, SystemError> {
        self.begin()?;
        let ((pieces, reader), (end, done)) = (channel(), oneshot::channel());
        self.send(reader, bytes, end);
        Ok(Upload { pieces, done })
    }

    fn update_from(&self, url: String) -> Result<(), SystemError> {
        self.begin()?;
        let machine = Machine { layout: self.layout.clone(), data_dir: self.data_dir.clone(), ours: self.ours.clone() };
        tokio::spawn(async move {
            match request(&url).await {
                Ok((body, bytes)) => {
                    let (pieces, reader) = channel();
                    // How it ends is asked for.
                    machine.send(reader, bytes, oneshot::channel().0);
                    download(body, pieces).await;
                }
                Err(error) => machine.ours.end(&Err(format!("{error:#}"))),
            }
        });
        Ok(())
    }

    fn reboot(&self) -> Result<(), SystemError> {
        self.ask(&Request::Reboot)
    }

    fn power_off(&self) -> Result<(), SystemError> {
        self.ask(&Request::Poweroff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use bramble_appliance::helper::{Helper, Power};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    struct Nothing;

    impl Power for Nothing {
        fn reboot(&self, _: Option<&str>) -> std::io::Result<()> {
            Ok(())
        }
        fn power_off(&self) -> std::io::Result<()> {
            Err(std::io::Error::other("no switch"))
        }
    }

    fn machine(command_line: &str) -> (tempfile::TempDir, Machine) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::below(directory.path());
        for (path, text) in
            [("/proc/cmdline", command_line), ("/boot/firmware/config.txt", "os_prefix=A/\n"), ("/run/x", "")]
        {
            std::fs::create_dir_all(layout.path(path).parent().unwrap()).unwrap();
            std::fs::write(layout.path(path), text).unwrap();
        }
        let machine = Machine::new(layout.clone(), layout.data());
        (directory, machine)
    }

    #[test]
    fn somebody_elses_machine_is_left_alone() {
        let (_directory, machine) = machine("quiet");
        let view = machine.status();
        assert_eq!((view.appliance, view.slot, view.update.state.as_str()), (false, None, "idle"));
        assert!(
            matches!(machine.begin_update(None), Err(SystemError::Refused(why)) if why.contains("package manager"))
        );
        assert!(matches!(machine.reboot(), Err(SystemError::Refused(_))));
    }

    #[tokio::test]
    async fn what_the_helper_refuses_is_told_and_kept() {
        let (_directory, machine) = machine("bramble.slot=A");
        let listener = UnixListener::bind(machine.layout.helper_socket()).unwrap();
        let us =
            bramble_appliance::helper::user_id(&Layout::default(), "nobody").into_iter().chain([own_id()]).collect();
        let helper = Helper::new(machine.layout.clone(), Box::new(Nothing), us, Box::new(|| None));
        let served = std::thread::spawn(move || helper.serve(&listener, Duration::from_millis(500)));
        let upload = machine.begin_update(Some(9)).unwrap();
        assert!(
            matches!(machine.begin_update(None), Err(SystemError::Refused(why)) if why.contains("being installed"))
        );
        upload.pieces.send(Ok(Bytes::from_static(b"no bundle"))).await.unwrap();
        drop(upload.pieces);
        let why = upload.done.await.unwrap().unwrap_err();
        assert!(why.contains("no update key"), "{why}");
        let (machine, view) =
            tokio::task::spawn_blocking(move || (machine.status(), machine)).await.map(|(v, m)| (m, v)).unwrap();
        assert_eq!((view.appliance, view.slot.as_deref(), view.update.state.as_str()), (true, Some("A"), "failed"));
        assert_eq!(view.update.message, why);
        let (down, up) = tokio::task::spawn_blocking(move || (machine.power_off(), machine.reboot())).await.unwrap();
        assert_eq!((down, up), (Err(SystemError::Failed("no switch".to_owned())), Ok(())));
        served.join().unwrap().unwrap();
    }

    /// Of the user that runs the test.
    fn own_id() -> u32 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").map_or(0, |own| own.uid())
    }
}
