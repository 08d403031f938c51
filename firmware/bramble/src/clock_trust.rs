//! Whether wall time may be believed.

use crate::config::TimeTrustSetting;
use bramble_ingest::TimeTrust;
use std::path::Path;

/// `STA_UNSYNC` of adjtimex(2).
const STATUS_UNSYNCHRONISED: i32 = 0x40;

/// Asks the kernel. A battery-backed clock is believed too: such a machine does not boot in the past.
pub(crate) struct KernelTrust {
    always: bool,
    has_battery: bool,
}

impl KernelTrust {
    pub(crate) fn new(setting: TimeTrustSetting) -> Self {
        KernelTrust { always: setting == TimeTrustSetting::Always, has_battery: Path::new("/dev/rtc0").exists() }
    }
}

impl TimeTrust for KernelTrust {
    fn is_synchronised(&self) -> bool {
        self.always || self.has_battery || kernel_is_synchronised()
    }
}

#[expect(unsafe_code, reason = "adjtimex has no safe wrapper in the crates we use")]
fn kernel_is_synchronised() -> bool {
    // SAFETY: `timex` is plain integers, for which all zeros are valid; with `modes` zero the call only reads the
    // clock's state into it, and the pointer is to a live, exclusive local.
    let (state, status) = unsafe {
        let mut time: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut time), time.status)
    };
    state >= 0 && status & STATUS_UNSYNCHRONISED == 0
}
