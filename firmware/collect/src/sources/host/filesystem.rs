//! Mounted file systems.

use super::emit::Emitter;
use std::collections::HashSet;
use std::path::Path;

/// Kinds that hold no data of their own, as node_exporter leaves them out; and kinds behind a network, where a dead
/// server would hang the question.
const SKIPPED_KINDS: [&str; 35] = [
    "9p",
    "autofs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "fuse.sshfs",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfs",
    "nfs4",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smb3",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.lxcfs",
    "fuse.portal",
];

const SKIPPED_TREES: [&str; 6] =
    ["/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];

/// Bounds what a machine full of containers yields.
const MOUNTS_MAX: usize = 64;

struct Mount {
    device: String,
    mountpoint: String,
    kind: String,
    read_only: bool,
}

pub(super) fn mounts(text: &str, emit: &mut Emitter<'_>) {
    for mount in parse(text) {
        let labels =
            [("device", mount.device.as_str()), ("mountpoint", &mount.mountpoint), ("fstype", mount.kind.as_str())];
        let stat = rustix::fs::statvfs(Path::new(&mount.mountpoint));
        emit.put("node_filesystem_device_error", &labels, f64::from(u8::from(stat.is_err())));
        let Ok(stat) = stat else { continue };
        let unit = stat.f_frsize as f64;
        emit.put("node_filesystem_size_bytes", &labels, stat.f_blocks as f64 * unit);
        emit.put("node_filesystem_free_bytes", &labels, stat.f_bfree as f64 * unit);
        emit.put("node_filesystem_avail_bytes", &labels, stat.f_bavail as f64 * unit);
        emit.put("node_filesystem_files", &labels, stat.f_files as f64);
        emit.put("node_filesystem_files_free", &labels, stat.f_ffree as f64);
        emit.put("node_filesystem_readonly", &labels, f64::from(u8::from(mount.read_only)));
    }
}

fn parse(text: &str) -> Vec<Mount> {
    let mut seen = HashSet::new();
    let mut mounts: Vec<Mount> = text.lines().filter_map(parse_line).filter(wanted).collect();
    // What is mounted last over a path is what the path shows.
    mounts.reverse();
    mounts.retain(|mount| seen.insert(mount.mountpoint.clone()));
    mounts.reverse();
    mounts.truncate(MOUNTS_MAX);
    mounts
}

fn parse_line(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let (device, mountpoint, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(Mount {
        device: unescape(device),
        mountpoint: unescape(mountpoint),
        kind: kind.to_owned(),
        read_only: options.split(',').any(|option| option == "ro"),
    })
}

fn wanted(mount: &Mount) -> bool {
    // Inside a container the root is an overlay, and still the disk that fills up.
    if mount.mountpoint == "/" {
        return true;
    }
    let below =
        |tree: &&str| mount.mountpoint.strip_prefix(*tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    !SKIPPED_KINDS.contains(&mount.kind.as_str()) && !SKIPPED_TREES.iter().any(below)
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        rest = match code {
            Some(code) => {
                out.push(char::from(code));
                after.get(3..).unwrap_or("")
            }
            None => {
                out.push('\\');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    const MOUNTS: &str = "proc /proc proc rw 0 0\noverlay / overlay rw,lowerdir=x 0 0\ntmpfs /run/my\\040dir tmpfs ro,size=1 0 0\n/dev/sda1 /data ext4 rw 0 0\n/dev/sdb1 /data xfs rw 0 0\nshm /dev/shm tmpfs rw 0 0\nnas:/x /nas nfs4 rw 0 0\nbroken\n";

    #[test]
    fn mounts_that_hold_data() {
        let mounts = parse(MOUNTS);
        let shown: Vec<_> = mounts.iter().map(|m| (m.mountpoint.as_str(), m.kind.as_str(), m.read_only)).collect();
        assert_eq!(shown, [("/", "overlay", false), ("/run/my dir", "tmpfs", true), ("/data", "xfs", false)]);
        let lines = emitted(|emit| super::mounts(MOUNTS, emit));
        assert!(lines[0].starts_with("node_filesystem_device_error") && lines[0].ends_with(" 0"));
        assert!(
            lines[1].starts_with("node_filesystem_size_bytes{device=\"overlay\",fstype=\"overlay\",mountpoint=\"/\"} ")
        );
        assert_eq!(unescape("a\\134b\\x"), "a\\b\\x");
    }
}
