//! What this machine is: memory, host name, where data may go.

use std::path::{Path, PathBuf};

/// Memory for Bramble where nothing is configured: a quarter of RAM, at most this.
const CAP_BYTES_MAX: u64 = 256 << 20;

/// Two arenas and early return of memory: what is freed after a flush goes back to the system.
#[expect(unsafe_code, reason = "mallopt is the only way to set these, and is called before any other thread exists")]
pub(crate) fn tune_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes plain integers; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}

/// Gives free pages inside the heap back to the system; worth its cost after a flush or a merge, not before.
#[expect(unsafe_code, reason = "malloc_trim has no safe wrapper")]
pub(crate) fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a plain integer, locks the arenas itself and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn status_bytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|l| l.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// RAM, or the limit of the memory control group that we are in, whichever is smaller.
pub(crate) fn memory_bytes() -> u64 {
    let ram = status_bytes("/proc/meminfo", "MemTotal:").unwrap_or(1 << 30);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|t| t.trim().parse::<u64>().ok());
    limit.map_or(ram, |limit| ram.min(limit))
}

/// The default of `memory.cap`.
pub(crate) fn default_cap_bytes() -> u64 {
    (memory_bytes() / 4).min(CAP_BYTES_MAX)
}

/// Resident set of this process.
pub(crate) fn resident_bytes() -> u64 {
    status_bytes("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// Largest resident set of this process so far.
pub(crate) fn resident_peak_bytes() -> u64 {
    status_bytes("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// Name of this machine.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |n| n.trim().to_owned())
}

/// Whether files can be made in `directory`, which is made if need be.
fn is_writable(directory: &Path) -> bool {
    let probe = directory.join(".bramble-probe");
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&probe, b""));
    let _ = std::fs::remove_file(&probe);
    written.is_ok()
}

/// The default of `storage.data_dir`: the first usual place that can be written.
pub(crate) fn default_data_dir() -> Option<PathBuf> {
    let mut places = vec![PathBuf::from("/var/lib/bramble")];
    places.extend(std::env::var_os("XDG_DATA_HOME").map(|d| PathBuf::from(d).join("bramble")));
    places.extend(std::env::var_os("HOME").map(|d| PathBuf::from(d).join(".local/share/bramble")));
    places.into_iter().find(|place| is_writable(place))
}
