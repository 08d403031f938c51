//! io_uring behind a channel: many ranges in flight at once, from one storage thread.
//!
//! The thread runs tokio-uring and does what gains from it: reads of several ranges, large writes and syncs. The rest stays
//! on the caller's thread with [`ThreadsDisk`]: names and metadata, a read of one range, and the journal's commit, where a
//! direct, data-synced write in place costs less than the hop (reference/limits.md: 38–50 against 72 µs).
//!
//! Write buffers are aligned, and files for writing are opened `O_DIRECT` where the file system allows. Buffers are not
//! registered with the kernel: registered ones are pinned for good, and idle memory is worth more on a Pi than the few
//! percent per read. A caller waits for its answer, so there are never more jobs than threads. Should the storage thread
//! die, callers go on without it.

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use io_uring::{IoUring, Probe, opcode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::aligned::{ALIGNMENT, AlignedBuffer};
use crate::disk::{DirEntry, Disk, DiskKind, FileId, ReadRequest, Space, check_alignment};
use crate::error::DiskError;
use crate::metrics::DiskMetrics;
use crate::threads::{ThreadsDisk, check_range};

/// Submission queue entries; also the most ranges of one call in flight. More gains nothing on a card.
const QUEUE_ENTRIES: u32 = 32;

/// Whether io_uring works here; the error says why not.
///
/// # Errors
/// The kernel's refusal (seccomp, `kernel.io_uring_disabled`, too old), in words.
pub fn probe() -> Result<(), String> {
    let mut ring = IoUring::new(QUEUE_ENTRIES).map_err(|error| format!("io_uring_setup: {error}"))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| format!("io_uring probe: {error}"))?;
    let needed = [
        (opcode::Read::CODE, "read"),
        (opcode::Write::CODE, "write"),
        (opcode::Fsync::CODE, "fsync"),
        (opcode::Close::CODE, "close"),
        (opcode::Nop::CODE, "nop"),
    ];
    if let Some((_, name)) = needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        return Err(format!("this kernel's io_uring cannot {name}"));
    }
    run_nop(&mut ring).map_err(|error| format!("io_uring_enter: {error}"))
}

/// Setting up may be allowed where entering is not.
#[expect(unsafe_code, reason = "pushing a submission entry is unsafe in the io-uring crate")]
fn run_nop(ring: &mut IoUring) -> io::Result<()> {
    // SAFETY: a nop refers to no memory.
    unsafe { ring.submission().push(&opcode::Nop::new().build()) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    match ring.completion().next() {
        Some(entry) if entry.result() >= 0 => Ok(()),
        Some(entry) => Err(io::Error::from_raw_os_error(-entry.result())),
        None => Err(io::Error::other("no completion")),
    }
}

type Wrote = (io::Result<()>, AlignedBuffer);
type Reads = (io::Result<()>, Vec<ReadRequest>);

/// What callers ask of the storage thread. Each carries its own descriptor, so that closing a file is no business of
/// the thread's.
enum Job {
    Write { file: File, offset: u64, data: AlignedBuffer, answer: SyncSender<Wrote> },
    Sync { file: File, answer: SyncSender<io::Result<()>> },
    Read { file: File, requests: Vec<ReadRequest>, answer: SyncSender<Reads> },
}

/// The disk over io_uring.
pub struct UringDisk {
    inner: ThreadsDisk,
    /// None only while dropping.
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl UringDisk {
    /// Starts the storage thread over `inner`'s directory.
    ///
    /// # Errors
    /// Why io_uring cannot be used, and the disk that can.
    pub fn new(inner: ThreadsDisk) -> Result<Self, (String, Box<ThreadsDisk>)> {
        if let Err(why) = probe() {
            return Err((why, Box::new(inner)));
        }
        let (jobs, queue) = unbounded_channel();
        let (started, ready) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("storage".into())
            .stack_size(256 << 10)
            .spawn(move || serve(queue, &started))
            .map_err(|error| error.to_string())
            .and_then(|thread| match ready.recv() {
                Ok(Ok(())) => Ok(thread),
                Ok(Err(error)) => Err(format!("tokio-uring: {error}")),
                Err(_) => Err("tokio-uring: the storage thread stopped while starting".into()),
            });
        match thread {
            Ok(thread) => Ok(UringDisk { inner, jobs: Some(jobs), thread: Some(thread) }),
            Err(why) => Err((why, Box::new(inner))),
        }
    }

    /// Hands a job over and waits for its answer; `None` when the storage thread is gone.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<T>) -> Job) -> Option<T> {
        let (answer, wait) = sync_channel(1);
        self.jobs.as_ref()?.send(job(answer)).ok()?;
        wait.recv().ok()
    }
}

impl Drop for UringDisk {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn serve(mut queue: UnboundedReceiver<Job>, started: &SyncSender<io::Result<()>>) {
    let mut builder = tokio_uring::builder();
    let runtime = match tokio_uring::Runtime::new(builder.entries(QUEUE_ENTRIES)) {
        Ok(runtime) => runtime,
        Err(error) => {
            _ = started.send(Err(error));
            return;
        }
    };
    _ = started.send(Ok(()));
    runtime.block_on(async move {
        while let Some(job) = queue.recv().await {
            tokio_uring::spawn(run(job));
        }
    });
}

/// A caller that is gone hears nothing; sends are best effort.
async fn run(job: Job) {
    match job {
        Job::Write { file, offset, data, answer } => {
            let file = tokio_uring::fs::File::from_std(file);
            let done = file.write_all_at(data, offset).await;
            _ = answer.send(done);
        }
        Job::Sync { file, answer } => {
            let done = tokio_uring::fs::File::from_std(file).sync_data().await;
            _ = answer.send(done);
        }
        Job::Read { file, requests, answer } => {
            let done = read_all(Rc::new(tokio_uring::fs::File::from_std(file)), requests).await;
            _ = answer.send(done);
        }
    }
}

/// Reads all ranges, [`QUEUE_ENTRIES`] at a time.
async fn read_all(file: Rc<tokio_uring::fs::File>, mut requests: Vec<ReadRequest>) -> Reads {
    for chunk in requests.chunks_mut(QUEUE_ENTRIES as usize) {
        let reads: Vec<_> = chunk
            .iter_mut()
            .map(|request| {
                let (file, offset, length) = (file.clone(), request.offset, request.length);
                let mut buffer = std::mem::take(&mut request.buffer);
                tokio_uring::spawn(async move {
                    buffer.clear();
                    buffer.reserve_exact(length);
                    read_exactly(&file, buffer, offset, length).await
                })
            })
            .collect();
        let mut failed = None;
        for (request, read) in chunk.iter_mut().zip(reads) {
            match read.await {
                Ok((Ok(()), buffer)) => request.buffer = buffer,
                Ok((Err(error), _)) => failed = Some(error),
                Err(error) => failed = Some(io::Error::other(error)),
            }
        }
        if let Some(error) = failed {
            return (Err(error), requests);
        }
    }
    (Ok(()), requests)
}

async fn read_exactly(
    file: &tokio_uring::fs::File,
    buffer: Vec<u8>,
    offset: u64,
    length: usize,
) -> (io::Result<()>, Vec<u8>) {
    use tokio_uring::buf::BoundedBuf;
    if length == 0 {
        return (Ok(()), buffer);
    }
    // The slice is cut to `length`: a reused buffer may be larger.
    let (result, slice) = file.read_exact_at(buffer.slice(..length), offset).await;
    (result, slice.into_inner())
}

impl Disk for UringDisk {
    fn kind(&self) -> DiskKind {
        DiskKind::IoUring
    }

    fn metrics(&self) -> Arc<DiskMetrics> {
        self.inner.metrics()
    }

    fn create(&self, name: &str, preallocate_bytes: u64) -> Result<FileId, DiskError> {
        self.inner.create(name, preallocate_bytes)
    }

    fn open(&self, name: &str) -> Result<FileId, DiskError> {
        self.inner.open(name)
    }

    fn preallocate(&self, file: FileId, offset: u64, bytes: u64) -> Result<(), DiskError> {
        self.inner.preallocate(file, offset, bytes)
    }

    fn write_at(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer) {
        let prepared = self.inner.file(file, "write").and_then(|open| {
            check_alignment(&open.name, offset, data.len(), ALIGNMENT)?;
            let own = open.writing().try_clone().map_err(|error| self.inner.failed(&open.name, "write", &error))?;
            Ok((open, own))
        });
        let (open, own) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return (Err(error), data),
        };
        let length = data.len();
        match self.ask(|answer| Job::Write { file: own, offset, data, answer }) {
            // The file system wants another unit for direct I/O: the plain way knows what to do.
            Some((Err(error), data)) if error.kind() == io::ErrorKind::InvalidInput => {
                self.inner.write_at(file, offset, data)
            }
            Some((result, data)) => (self.inner.wrote(&open, length, result), data),
            None => {
                let gone = self.inner.failed(&open.name, "write", &io::Error::other("the storage thread stopped"));
                (Err(gone), AlignedBuffer::with_capacity(length))
            }
        }
    }

    fn sync(&self, file: FileId) -> Result<(), DiskError> {
        let open = self.inner.file(file, "sync")?;
        let Ok(own) = open.reading().try_clone() else { return self.inner.sync(file) };
        let started = Instant::now();
        let Some(result) = self.ask(|answer| Job::Sync { file: own, answer }) else { return self.inner.sync(file) };
        self.inner.metrics().synced(&open.name, started.elapsed());
        result.map_err(|error| self.inner.failed(&open.name, "sync", &error))
    }

    fn write_unit(&self, file: FileId) -> usize {
        self.inner.write_unit(file)
    }

    fn write_synced(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer) {
        self.inner.write_synced(file, offset, data)
    }

    fn read_at(&self, file: FileId, requests: &mut [ReadRequest]) -> Result<(), DiskError> {
        if requests.len() < 2 {
            return self.inner.read_at(file, requests);
        }
        let open = self.inner.file(file, "read")?;
        let size = self.inner.size(file)?;
        requests.iter().try_for_each(|request| check_range(&open.name, size, request))?;
        let Ok(own) = open.reading().try_clone() else { return self.inner.read_at(file, requests) };
        let owned: Vec<ReadRequest> = requests.iter_mut().map(std::mem::take).collect();
        let ranges: Vec<(u64, usize)> = owned.iter().map(|request| (request.offset, request.length)).collect();
        let Some((result, done)) = self.ask(|answer| Job::Read { file: own, requests: owned, answer }) else {
            for (request, (offset, length)) in requests.iter_mut().zip(ranges) {
                *request = ReadRequest::new(offset, length);
            }
            return self.inner.read_at(file, requests);
        };
        for (request, done) in requests.iter_mut().zip(done) {
            *request = done;
        }
        result.map_err(|error| self.inner.failed(&open.name, "read", &error))?;
        let metrics = self.inner.metrics();
        ranges.iter().for_each(|(_, length)| metrics.read(&open.name, *length));
        Ok(())
    }

    fn truncate(&self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        self.inner.truncate(file, bytes)
    }

    fn publish(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.publish(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name)
    }

    fn list(&self, directory: &str) -> Result<Vec<DirEntry>, DiskError> {
        self.inner.list(directory)
    }

    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        self.inner.size(file)
    }

    fn close(&self, file: FileId) {
        self.inner.close(file);
    }

    fn space(&self) -> Result<Space, DiskError> {
        self.inner.space()
    }
}
