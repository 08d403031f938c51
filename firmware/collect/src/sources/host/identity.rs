//! What changes only with a reboot or an upgrade: system, board, disks. Read anew every few minutes.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// Disks at most.
const DISKS_MAX: usize = 64;

/// A sample's name, labels and value.
type Fact = (&'static str, Vec<(&'static str, String)>, f64);

/// Samples that were made once and are repeated.
#[derive(Default, Debug)]
pub(super) struct Identity {
    samples: Vec<Fact>,
}

impl Identity {
    /// Reads everything below `root` (for `/etc/os-release`) and `sys`.
    pub(super) fn read(root: &Path, sys: &Path) -> Identity {
        let mut identity = Identity::default();
        identity.os(&first_of(root, &["etc/os-release", "usr/lib/os-release"]));
        identity.dmi(&sys.join("class/dmi/id"));
        identity.disks(&sys.join("block"));
        identity
    }

    pub(super) fn emit(&self, emit: &mut Emitter<'_>) {
        for (name, labels, value) in &self.samples {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            emit.put(name, &labels, *value);
        }
    }

    fn os(&mut self, text: &str) {
        const FIELDS: [(&str, &str); 12] = [
            ("BUILD_ID", "build_id"),
            ("ID", "id"),
            ("ID_LIKE", "id_like"),
            ("IMAGE_ID", "image_id"),
            ("IMAGE_VERSION", "image_version"),
            ("NAME", "name"),
            ("PRETTY_NAME", "pretty_name"),
            ("VARIANT", "variant"),
            ("VARIANT_ID", "variant_id"),
            ("VERSION", "version"),
            ("VERSION_CODENAME", "version_codename"),
            ("VERSION_ID", "version_id"),
        ];
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned())
        };
        if text.is_empty() {
            return;
        }
        let labels = FIELDS.into_iter().filter_map(|(key, label)| Some((label, value(key)?)));
        self.samples.push(("node_os_info", labels.collect(), 1.0));
        // Of 12.4.1 the first two numbers.
        let version: String = value("VERSION_ID").unwrap_or_default();
        let number = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        if let Ok(number) = number.parse() {
            let os = ["ID", "ID_LIKE", "NAME"].into_iter().zip(["id", "id_like", "name"]);
            let labels = os.filter_map(|(key, label)| Some((label, value(key)?)));
            self.samples.push(("node_os_version", labels.collect(), number));
        }
    }

    /// Serial numbers are left out: they are readable by root alone, and nobody's business.
    fn dmi(&mut self, directory: &Path) {
        const FIELDS: [&str; 12] = [
            "bios_date",
            "bios_release",
            "bios_vendor",
            "bios_version",
            "board_name",
            "board_vendor",
            "board_version",
            "chassis_vendor",
            "product_family",
            "product_name",
            "product_version",
            "sys_vendor",
        ];
        let labels = FIELDS.into_iter().filter_map(|field| {
            let value = read(&directory.join(field));
            let label = if field == "sys_vendor" { "system_vendor" } else { field };
            (!value.trim().is_empty()).then(|| (label, value.trim().to_owned()))
        });
        let labels: Vec<_> = labels.collect();
        if !labels.is_empty() {
            self.samples.push(("node_dmi_info", labels, 1.0));
        }
    }

    fn disks(&mut self, block: &Path) {
        let disks = names(block).into_iter().filter(|name| !super::disk::is_skipped(name));
        for device in disks.take(DISKS_MAX) {
            let numbers = read(&block.join(&device).join("dev"));
            let Some((major, minor)) = numbers.trim().split_once(':') else { continue };
            let text = |file: &str| read(&block.join(&device).join("device").join(file)).trim().to_owned();
            let mut labels = vec![("device", device.clone()), ("major", major.to_owned()), ("minor", minor.to_owned())];
            let model = text("model");
            labels.push(("model", if model.is_empty() { text("name") } else { model }));
            labels.push(("revision", text("rev")));
            labels.retain(|(_, value)| !value.is_empty());
            self.samples.push(("node_disk_info", labels, 1.0));
        }
    }
}

fn first_of(root: &Path, paths: &[&str]) -> String {
    paths.iter().map(|path| read(&root.join(path))).find(|text| !text.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::super::testing::tree;
    use super::*;

    #[test]
    fn system_board_and_disks() {
        let root = tree(&[
            ("etc/os-release", "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n"),
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ("sys/class/dmi/id/product_serial", "secret\n"),
            ("sys/block/mmcblk0/dev", "179:0\n"),
            ("sys/block/mmcblk0/device/name", "SD32G\n"),
            ("sys/block/loop0/dev", "7:0\n"),
        ]);
        let identity = Identity::read(root.path(), &root.path().join("sys"));
        let lines = emitted(|emit| identity.emit(emit));
        assert_eq!(
            lines,
            [
                r#"node_os_info{id="debian",name="Debian GNU/Linux",pretty_name="Debian 12",version_id="12"} 1"#,
                r#"node_os_version{id="debian",name="Debian GNU/Linux"} 12"#,
                r#"node_dmi_info{system_vendor="QEMU"} 1"#,
                r#"node_disk_info{device="mmcblk0",major="179",minor="0",model="SD32G"} 1"#,
            ]
        );
        assert!(emitted(|emit| Identity::read(Path::new("/nowhere"), Path::new("/nowhere")).emit(emit)).is_empty());
    }
}
