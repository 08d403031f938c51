//! Which Raspberry Pi this is.
//!
//! Sources: Raspberry Pi documentation, "Raspberry Pi revision codes" (new-style codes: bits 4 to 11 type, 12 to 15 processor, 20 to 22
//! memory, 23 new style); device trees of the kernel for `model`.

use std::path::Path;

/// What boards of a kind have in common for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Pi 3 and Compute Module 3, and all older ones: 40 pins of the BCM283x.
    Pi3,
    /// Zero 2 W: a Pi 3 with 512 MB and no network socket.
    Zero2W,
    /// Pi 4, Pi 400, Compute Module 4.
    Pi4,
    /// Pi 5, Pi 500, Compute Module 5: the pins are those of RP1.
    Pi5,
    /// A Raspberry Pi that is not known here.
    Unknown,
}

impl Family {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Pi3 => "pi3",
            Family::Zero2W => "zero2w",
            Family::Pi4 => "pi4",
            Family::Pi5 => "pi5",
            Family::Unknown => "unknown",
        }
    }

    /// By the type of a new-style revision code.
    fn of_type(kind: u32) -> Option<Self> {
        match kind {
            0x00..=0x10 if !matches!(kind, 0x05 | 0x07 | 0x0b | 0x0f) => Some(Family::Pi3),
            0x11 | 0x13..=0x15 => Some(Family::Pi4),
            0x12 => Some(Family::Zero2W),
            0x17..=0x1a => Some(Family::Pi5),
            _ => None,
        }
    }

    /// By the device tree's text.
    fn of_text(model: &str) -> Self {
        let rest = model.trim_start_matches("Raspberry Pi").trim_start();
        let rest = rest.trim_start_matches("Compute Module").trim_start();
        match rest {
            _ if rest.starts_with("Zero 2") => Family::Zero2W,
            _ if rest.starts_with('5') => Family::Pi5,
            _ if rest.starts_with('4') => Family::Pi4,
            _ if rest.starts_with(['1', '2', '3']) || rest.starts_with("Model") || rest.starts_with("Zero") => {
                Family::Pi3
            }
            _ => Family::Unknown,
        }
    }

    /// The hardware PWM channel that may be routed to a GPIO; `None` for a GPIO that has none.
    pub fn pwm_channel(self, gpio: u32) -> Option<u8> {
        match (self, gpio) {
            (Family::Pi5, 12) | (_, 12) => Some(0),
            (Family::Pi5, 13) | (_, 13) => Some(1),
            (Family::Pi5, 18) => Some(2),
            (Family::Pi5, 19) => Some(3),
            (_, 18) => Some(0),
            (_, 19) => Some(1),
            _ => None,
        }
    }
}

/// What a Raspberry Pi says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As the device tree has it, say "Raspberry Pi 4 Model B Rev 1.4".
    pub model: String,
    /// The revision code as it is written in `/proc/cpuinfo`, hexadecimal; empty where the kernel does not tell.
    pub revision: String,
    /// Which kind that is.
    pub family: Family,
    /// Memory by the revision code, MiB.
    pub memory_mib: Option<u32>,
}

impl Identity {
    /// What `proc`, usually `/proc`, says; `None` on other machines.
    pub fn detect(proc: &Path) -> Option<Self> {
        let model = text(&proc.join("device-tree/model"));
        if !model.starts_with("Raspberry Pi") {
            return None;
        }
        let cpuinfo = text(&proc.join("cpuinfo"));
        let revision = cpuinfo.lines().find_map(|line| line.strip_prefix("Revision")?.split_once(':'));
        let mut revision = revision.map_or("", |(_, revision)| revision.trim()).to_owned();
        if revision.is_empty() {
            // Where /proc/cpuinfo has no such line (64 bit, mainline), firmware's own property may be there.
            let bytes = std::fs::read(proc.join("device-tree/system/linux,revision")).unwrap_or_default();
            revision =
                <[u8; 4]>::try_from(bytes).map_or(String::new(), |code| format!("{:x}", u32::from_be_bytes(code)));
        }
        let code = u32::from_str_radix(&revision, 16).ok().filter(|code| code & 1 << 23 != 0);
        let family = code.and_then(|code| Family::of_type(code >> 4 & 0xff)).unwrap_or_else(|| Family::of_text(&model));
        // 0 is 256 MiB, each one more is twice as much; 7 is not defined.
        let memory_mib = code.map(|code| code >> 20 & 7).filter(|size| *size < 7).map(|size| 256 << size);
        Some(Identity { model, revision, family, memory_mib })
    }
}

/// A file's text without what ends it; texts of the device tree end with NUL.
fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::tests::tree;
    use proptest::prelude::*;

    fn identity(model: &str, revision: &str) -> Option<Identity> {
        let cpuinfo = format!("processor\t: 0\nHardware\t: BCM2835\nRevision\t: {revision}\nSerial\t\t: 1\n");
        let root = tree(&[("device-tree/model", &format!("{model}\0")), ("cpuinfo", &cpuinfo)]);
        Identity::detect(root.path())
    }

    /// Codes as the documentation lists them.
    #[test]
    fn boards_of_the_image_are_known_by_code_and_by_text() {
        for (model, revision, family, memory_mib) in [
            ("Raspberry Pi 3 Model B Rev 1.2", "a02082", Family::Pi3, 1024),
            ("Raspberry Pi 3 Model B Plus Rev 1.3", "a020d3", Family::Pi3, 1024),
            ("Raspberry Pi 3 Model A Plus Rev 1.0", "9020e0", Family::Pi3, 512),
            ("Raspberry Pi Zero 2 W Rev 1.0", "902120", Family::Zero2W, 512),
            ("Raspberry Pi 4 Model B Rev 1.4", "c03114", Family::Pi4, 4096),
            ("Raspberry Pi 4 Model B Rev 1.5", "d03115", Family::Pi4, 8192),
            ("Raspberry Pi 400 Rev 1.0", "c03130", Family::Pi4, 4096),
            ("Raspberry Pi Compute Module 4 Rev 1.0", "b03140", Family::Pi4, 2048),
            ("Raspberry Pi 5 Model B Rev 1.0", "d04170", Family::Pi5, 8192),
            ("Raspberry Pi 5 Model B Rev 1.1", "e04171", Family::Pi5, 16_384),
            ("Raspberry Pi Compute Module 5 Rev 1.0", "c04180", Family::Pi5, 4096),
        ] {
            let by_code = identity(model, revision).unwrap();
            assert_eq!((by_code.family, by_code.memory_mib), (family, Some(memory_mib)), "{model}");
            let by_text = identity(model, "").unwrap();
            assert_eq!((by_text.family, by_text.memory_mib), (family, None), "{model}");
        }
        // Over-volted, as bit 25 says; and a board of the future.
        assert_eq!(identity("Raspberry Pi 3 Model B Rev 1.2", "2a02082").unwrap().family, Family::Pi3);
        assert_eq!(identity("Raspberry Pi 9 Model B Rev 1.0", "ffffff").unwrap().family, Family::Unknown);
    }

    #[test]
    fn the_device_tree_has_the_code_too_and_others_are_no_pi() {
        let root = tree(&[("device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")]);
        std::fs::create_dir_all(root.path().join("device-tree/system")).unwrap();
        std::fs::write(root.path().join("device-tree/system/linux,revision"), 0xd0_4170u32.to_be_bytes()).unwrap();
        let found = Identity::detect(root.path()).unwrap();
        assert_eq!((found.revision.as_str(), found.memory_mib), ("d04170", Some(8192)));
        assert_eq!(identity("Pine64 RockPro64 v2.1", "c03114"), None);
        assert_eq!(Identity::detect(Path::new("/nowhere")), None);
    }

    #[test]
    fn pins_with_hardware_pwm() {
        assert_eq!(
            [12, 13, 18, 19, 17].map(|gpio| Family::Pi4.pwm_channel(gpio)),
            [Some(0), Some(1), Some(0), Some(1), None]
        );
        assert_eq!([12, 13, 18, 19].map(|gpio| Family::Pi5.pwm_channel(gpio)), [Some(0), Some(1), Some(2), Some(3)]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(model in "\\PC{0,40}", revision in "\\PC{0,12}") {
            identity(&format!("Raspberry Pi {model}"), &revision).unwrap();
        }
    }
}
