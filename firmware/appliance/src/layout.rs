//! Where things are on the appliance.

use crate::slot::{Mechanism, Slot};
use std::path::{Path, PathBuf};

/// Every path of the appliance, below a root that is `/` but in tests.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Layout::below("/")
    }
}

impl Layout {
    /// All paths below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Layout { root: root.into() }
    }

    /// The absolute `path` below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Where the boot partition (FAT) is mounted, read-only but for moments.
    pub fn boot(&self) -> PathBuf {
        self.path("/boot/firmware")
    }

    /// The partition of a slot's root.
    pub fn root_device(&self, slot: Slot) -> PathBuf {
        let name = match slot {
            Slot::A => "root-a",
            Slot::B => "root-b",
        };
        self.path("/dev/disk/bramble").join(name)
    }

    /// Configuration that changes, on the data partition.
    pub fn etc(&self) -> PathBuf {
        self.path("/data/etc")
    }

    /// Bramble's data directory.
    pub fn data(&self) -> PathBuf {
        self.path("/data/bramble")
    }

    /// Public keys whose bundles are installed: a file each, `*.pub`.
    pub fn update_keys(&self) -> PathBuf {
        self.path("/usr/share/bramble/update-keys")
    }

    /// Where the helper is asked.
    pub fn helper_socket(&self) -> PathBuf {
        self.path("/run/bramble-helper.sock")
    }

    /// The slot that runs, as the kernel was told (`bramble.slot=A`); `None` when this is no appliance.
    pub fn running_slot(&self) -> Option<Slot> {
        slot_of(&read(&self.path("/proc/cmdline")))
    }

    /// How the firmware is told to try a slot: only by tryboot where the image says that its kernel hands the argument of a
    /// reboot to the firmware (`/usr/lib/bramble/tryboot`; Debian's does not), and the board has it.
    pub fn mechanism(&self) -> Mechanism {
        match self.path("/usr/lib/bramble/tryboot").exists() {
            true => Mechanism::of_model(&self.model()),
            false => Mechanism::Flip,
        }
    }

    /// The board as its device tree calls it, or what the machine calls itself; empty when nobody says.
    pub fn model(&self) -> String {
        let tree = read(&self.path("/proc/device-tree/model"));
        let model = if tree.is_empty() { read(&self.path("/sys/class/dmi/id/product_name")) } else { tree };
        model.trim_matches(['\0', '\n', ' ']).to_owned()
    }
}

fn slot_of(command_line: &str) -> Option<Slot> {
    let told = command_line.split_whitespace().find_map(|word| word.strip_prefix("bramble.slot="))?;
    Slot::named(told)
}

/// A small file's text; empty when it cannot be read.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_the_slot() {
        assert_eq!(slot_of("console=tty1 bramble.slot=B quiet\n"), Some(Slot::B));
        for none in ["", "bramble.slot=C", "xbramble.slot=A", "bramble.slot="] {
            assert_eq!(slot_of(none), None, "{none}");
        }
    }

    #[test]
    fn paths_are_below_the_root() {
        let layout = Layout::below("/tmp/x");
        assert_eq!(layout.root_device(Slot::B), Path::new("/tmp/x/dev/disk/bramble/root-b"));
        assert_eq!(Layout::default().boot(), Path::new("/boot/firmware"));
    }
}
