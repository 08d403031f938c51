//! How long a durable write takes here, and whether that is good enough.

use super::Fault;
use bramble_disk::{AlignedBuffer, Disk, DiskError};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Durable writes that are timed, and how large each is: a commit of a quiet hub.
const COMMITS: u64 = 64;
const COMMIT_BYTES: usize = 4096;
/// What throughput is measured with: a segment's way of writing.
const PIECE_BYTES: usize = 512 << 10;
const PIECES: u64 = 32;

/// Half of all commits must be faster than this for a card to be called fit. A sender waits for one commit, and those of a
/// card of class A1 are at some 500 random writes a second, each a few milliseconds.
const FIT_MEDIAN: Duration = Duration::from_millis(50);
/// And all of them than this: the journal commits once a second while a sender waits (`journal.sender_wait`).
const FIT_MAX: Duration = Duration::from_secs(1);
/// Where half of them take longer, the journal cannot keep up with itself.
const UNFIT_MEDIAN: Duration = FIT_MAX;
/// Less, and a flush of a head (some 10 MB) takes longer than heads take to fill.
const FIT_BYTES_PER_SECOND: f64 = 2e6;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// Middle of the commits.
    pub(super) median: Duration,
    /// 99th of a hundred; with 64 commits, the second longest.
    pub(super) p99: Duration,
    /// Longest commit.
    pub(super) max: Duration,
    /// Bytes per second of large sequential writes, their sync included.
    pub(super) bytes_per_second: f64,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    /// Good enough for a hub.
    Fit,
    /// Works; senders feel it.
    Slow,
    /// Commits come faster than they can be made.
    Unfit,
}

impl Measured {
    /// `seconds` of each commit, in any order; not empty.
    fn of(mut commits: Vec<Duration>, bytes_per_second: f64) -> Measured {
        commits.sort_unstable();
        let at = |share: f64| {
            let index = ((commits.len().saturating_sub(1)) as f64 * share) as usize;
            commits.get(index).copied().unwrap_or_default()
        };
        Measured { median: at(0.5), p99: at(0.99), max: at(1.0), bytes_per_second }
    }

    pub(super) fn fitness(&self) -> Fitness {
        if self.median > UNFIT_MEDIAN {
            Fitness::Unfit
        } else if self.median > FIT_MEDIAN || self.max > FIT_MAX || self.bytes_per_second < FIT_BYTES_PER_SECOND {
            Fitness::Slow
        } else {
            Fitness::Fit
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let (median, p99, max) = (ms(self.median), ms(self.p99), ms(self.max));
        write!(
            f,
            "a durable write of 4 KiB takes {median:.1} ms (99 %: {p99:.1} ms, longest: {max:.1} ms), {:.1} MB/s in large ones",
            self.bytes_per_second / 1e6
        )
    }
}

/// Times durable writes one after the other into reserved space, as the journal makes them, then large ones.
///
/// # Errors
/// When a write fails.
pub(super) fn measure(disk: &Arc<dyn Disk>) -> Result<Measured, Fault> {
    let file = disk.create("latency", COMMITS * COMMIT_BYTES as u64)?;
    // Written once before, as a ring that has gone round: the first lap also writes the file system's own records.
    disk.write_at(file, 0, AlignedBuffer::zeroed(COMMITS as usize * COMMIT_BYTES)).0?;
    disk.sync(file)?;
    let mut commits = Vec::new();
    for index in 0..COMMITS {
        let data = AlignedBuffer::padded_copy(&index.to_le_bytes());
        let began = Instant::now();
        disk.write_synced(file, index * COMMIT_BYTES as u64, data).0?;
        commits.push(began.elapsed());
    }
    disk.close(file);
    disk.remove("latency")?;
    Ok(Measured::of(commits, throughput(disk)?))
}

fn throughput(disk: &Arc<dyn Disk>) -> Result<f64, DiskError> {
    let bytes = PIECES * PIECE_BYTES as u64;
    let file = disk.create("throughput", bytes)?;
    let mut piece = AlignedBuffer::zeroed(PIECE_BYTES);
    let began = Instant::now();
    for index in 0..PIECES {
        let (written, back) = disk.write_at(file, index * PIECE_BYTES as u64, piece);
        written?;
        piece = back;
    }
    disk.sync(file)?;
    let took = began.elapsed();
    disk.close(file);
    disk.remove("throughput")?;
    Ok(bytes as f64 / took.as_secs_f64().max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(commits_ms: &[u64], bytes_per_second: f64) -> Measured {
        Measured::of(commits_ms.iter().map(|ms| Duration::from_millis(*ms)).collect(), bytes_per_second)
    }

    #[test]
    fn the_verdict_goes_by_the_middle_the_longest_and_the_throughput() {
        assert_eq!(measured(&[2, 3, 400, 2], 1e7).fitness(), Fitness::Fit);
        assert_eq!(measured(&[2, 3, 1400, 2], 1e7).fitness(), Fitness::Slow, "one stall of more than a second");
        assert_eq!(measured(&[60, 70, 80], 1e7).fitness(), Fitness::Slow);
        assert_eq!(measured(&[2, 3, 4], 1e6).fitness(), Fitness::Slow);
        assert_eq!(measured(&[1100, 1200, 2], 1e7).fitness(), Fitness::Unfit);
    }

    #[test]
    fn order_does_not_matter_and_the_text_names_what_counts() {
        let one = measured(&[5, 1, 9, 3, 7], 12_345_678.0);
        assert_eq!((one.median, one.max), (Duration::from_millis(5), Duration::from_millis(9)));
        let text = one.to_string();
        assert!(text.contains("5.0 ms") && text.contains("longest: 9.0 ms") && text.contains("12.3 MB/s"), "{text}");
    }
}
