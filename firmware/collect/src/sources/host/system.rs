//! Load, kernel, time, open files, randomness and memory errors.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

pub(super) fn load(text: &str, emit: &mut Emitter<'_>) {
    for (field, metric) in text.split_ascii_whitespace().zip(["node_load1", "node_load5", "node_load15"]) {
        if let Ok(value) = field.parse() {
            emit.put(metric, &[], value);
        }
    }
}

pub(super) fn uname(emit: &mut Emitter<'_>) {
    let uname = rustix::system::uname();
    let (sysname, release, version) =
        (uname.sysname().to_string_lossy(), uname.release().to_string_lossy(), uname.version().to_string_lossy());
    let (machine, nodename) = (uname.machine().to_string_lossy(), uname.nodename().to_string_lossy());
    let labels = [
        ("sysname", sysname.as_ref()),
        ("release", &release),
        ("version", &version),
        ("machine", &machine),
        ("nodename", &nodename),
        ("domainname", "(none)"),
    ];
    emit.put("node_uname_info", &labels, 1.0);
}

pub(super) fn time(now_ms: i64, emit: &mut Emitter<'_>) {
    emit.put("node_time_seconds", &[], now_ms as f64 / 1000.0);
}

/// `/proc/sys/fs/file-nr`: allocated, unused, maximum.
pub(super) fn file_descriptors(text: &str, emit: &mut Emitter<'_>) {
    let mut fields = text.split_ascii_whitespace().map(str::parse::<f64>);
    if let (Some(Ok(allocated)), Some(_), Some(Ok(maximum))) = (fields.next(), fields.next(), fields.next()) {
        emit.put("node_filefd_allocated", &[], allocated);
        emit.put("node_filefd_maximum", &[], maximum);
    }
}

/// Bits of randomness that the kernel has.
pub(super) fn entropy(proc: &Path, emit: &mut Emitter<'_>) {
    for (file, metric) in
        [("entropy_avail", "node_entropy_available_bits"), ("poolsize", "node_entropy_pool_size_bits")]
    {
        if let Ok(bits) = read(&proc.join("sys/kernel/random").join(file)).trim().parse() {
            emit.put(metric, &[], bits);
        }
    }
}

/// Errors that memory controllers corrected and could not.
pub(super) fn edac(sys: &Path, emit: &mut Emitter<'_>) {
    let root = sys.join("devices/system/edac/mc");
    for directory in names(&root) {
        let Some(controller) = directory.strip_prefix("mc") else { continue };
        for (file, metric) in
            [("ce_count", "node_edac_correctable_errors_total"), ("ue_count", "node_edac_uncorrectable_errors_total")]
        {
            if let Ok(count) = read(&root.join(&directory).join(file)).trim().parse() {
                emit.put(metric, &[("controller", controller)], count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn small_files() {
        assert_eq!(
            emitted(|emit| load("0.5 1 2.25 1/400 99\n", emit)),
            ["node_load1{} 0.5", "node_load5{} 1", "node_load15{} 2.25"]
        );
        assert_eq!(
            emitted(|emit| file_descriptors("1000\t0\t5000\n", emit)),
            ["node_filefd_allocated{} 1000", "node_filefd_maximum{} 5000"]
        );
        assert!(emitted(|emit| file_descriptors("1000", emit)).is_empty());
    }

    #[test]
    fn entropy_and_memory_errors() {
        use super::super::testing::tree;
        let root = tree(&[
            ("sys/kernel/random/entropy_avail", "256\n"),
            ("devices/system/edac/mc/mc0/ce_count", "3\n"),
            ("devices/system/edac/mc/mc0/ue_count", "0\n"),
        ]);
        assert_eq!(emitted(|emit| entropy(root.path(), emit)), ["node_entropy_available_bits{} 256"]);
        assert_eq!(
            emitted(|emit| edac(root.path(), emit)),
            [
                "node_edac_correctable_errors_total{controller=\"0\"} 3",
                "node_edac_uncorrectable_errors_total{controller=\"0\"} 0"
            ]
        );
    }
}
