//! `bramble doctor --self-test`: does this machine's storage keep what it promises?
//!
//! Works in a directory of its own inside the data directory, so on the same card and file system, and removes it. Runs
//! beside a Bramble that serves. Every disk implementation that works here is put through the same three cycles: files,
//! journal, segment; each is written, synced, opened anew and compared, and then damaged on purpose, which must show. What
//! a power cut does cannot be tried from inside; `tests/crash` does that on a simulated disk.

mod cycles;
mod latency;
#[cfg(test)]
mod tests;

use super::doctor::Report;
use super::say;
use anyhow::Context;
use bramble_disk::{Disk, DiskChoice, DiskError, open_disk};
use latency::Fitness;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where it works, inside the data directory. Left behind by one that was killed, it is removed by the next.
const SCRATCH: &str = "self-test";

/// Bytes it writes, roughly, with both implementations.
const NEEDED_BYTES: u64 = 96 << 20;

/// Why a test failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The disk or what is built on it refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal did.
    #[error("journal: {0}")]
    Journal(#[from] bramble_disk::journal::JournalError),
    /// What came back is not what was written.
    #[error("{0}")]
    Different(String),
    /// A byte was changed on purpose, and nobody noticed.
    #[error("a byte of {0} was changed on purpose, and reading it did not notice")]
    Unnoticed(String),
}

/// The directory of the test; removed with everything in it when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(data_dir: &Path) -> anyhow::Result<Scratch> {
        let directory = data_dir.join(SCRATCH);
        if directory.exists() {
            std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Scratch(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left over, it is removed by the next one.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs everything below `data_dir` and reports it. About 40 MB per implementation are written.
pub(super) fn run(data_dir: &Path, report: &mut Report) {
    let scratch = match Scratch::make(data_dir) {
        Ok(scratch) => scratch,
        Err(error) => return report.bad(&format!("{error:#}"), "run it as the user that runs Bramble"),
    };
    report.good(&format!("works in {}", scratch.0.display()));
    let mut implementations = vec![("threads", DiskChoice::Threads)];
    match bramble_disk::uring::probe() {
        Ok(()) => implementations.push(("io_uring", DiskChoice::IoUring)),
        Err(why) => report.note(&format!("io_uring does not work here ({why}); Bramble uses plain threads")),
    }
    for (name, choice) in implementations {
        one(&scratch.0.join(name), name, choice, report);
    }
}

/// One implementation, opened anew for each cycle as after a restart.
fn one(directory: &Path, name: &str, choice: DiskChoice, report: &mut Report) {
    let open = || open_disk(directory, choice).map(|(disk, _)| disk);
    match open().and_then(|disk| disk.space()) {
        Ok(space) if space.available_bytes < NEEDED_BYTES => {
            let hint = "free some space, or move storage.data_dir to a larger card";
            return report.bad(&format!("{name}: only {} MiB free", space.available_bytes >> 20), hint);
        }
        Ok(_) => {}
        Err(error) => return report.bad(&format!("{name}: {error}"), "see the message"),
    }
    let hint = "the card, its reader or its file system loses or changes data: do not store on it";
    let outcome = [
        ("files are written, synced and read back", cycles::files(&open)),
        ("the journal comes back after a restart, and notices damage", cycles::journal(&open, directory)),
        ("a segment is published whole, and notices damage", cycles::segment(&open, directory)),
    ];
    for (what, result) in outcome {
        match result {
            Ok(()) => report.good(&format!("{name}: {what}")),
            Err(fault) => report.bad(&format!("{name}: {what}: {fault}"), hint),
        }
    }
    match open().map_err(Fault::from).and_then(|disk| latency::measure(&disk)) {
        Err(fault) => report.bad(&format!("{name}: measuring: {fault}"), hint),
        Ok(measured) => tell(name, &measured, report),
    }
}

fn tell(name: &str, measured: &latency::Measured, report: &mut Report) {
    let text = format!("{name}: {measured}");
    match measured.fitness() {
        Fitness::Fit => report.good(&format!("{text}: fit")),
        Fitness::Slow => report.note(&format!(
            "{text}: slow. Nothing is lost by that; senders wait longer for their answer. A card of class A1 or A2, or a USB \
             SSD, does better"
        )),
        Fitness::Unfit => report.bad(
            &format!("{text}: not fit"),
            "commits take longer than they come; use another card or a USB SSD, or look for what else writes to this one",
        ),
    }
}

/// Opens the disk of a test; called once per restart that it plays.
type Open<'a> = dyn Fn() -> Result<Arc<dyn Disk>, DiskError> + 'a;

/// `bramble doctor --self-test`, alone: other parts of `doctor` ask about ports and hubs, which a machine that is only being
/// tried out may not have.
///
/// # Errors
/// With how many things need a hand.
pub(super) fn self_test(data_dir: &Path) -> anyhow::Result<()> {
    let mut report = Report::default();
    say("storage self-test");
    run(data_dir, &mut report);
    report.outcome()
}
