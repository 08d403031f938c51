//! Restarting and shutting down.

use std::io;
use std::process::{Command, Stdio};

/// What ends the running system.
pub trait Power: Send + Sync {
    /// Restarts; returns once that is under way. `argument` is for the firmware, as `0 tryboot`.
    ///
    /// # Errors
    /// That nobody can.
    fn reboot(&self, argument: Option<&str>) -> io::Result<()>;

    /// Shuts down; returns once that is under way.
    ///
    /// # Errors
    /// That nobody can.
    fn power_off(&self) -> io::Result<()>;
}

/// Through systemd, so that services end in order; where it does not answer, through the kernel, after a sync.
#[derive(Debug, Default)]
pub struct SystemPower;

fn systemctl(arguments: &[&str]) -> io::Result<()> {
    let status = Command::new("systemctl").args(arguments).stdin(Stdio::null()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("systemctl {}: {status}", arguments.join(" ")))),
    }
}

impl Power for SystemPower {
    fn reboot(&self, argument: Option<&str>) -> io::Result<()> {
        let told = argument.map(|argument| format!("--reboot-argument={argument}"));
        let mut arguments = vec!["reboot", "--no-block"];
        arguments.extend(told.as_deref());
        systemctl(&arguments).or_else(|_| {
            rustix::fs::sync();
            match argument {
                Some(argument) => kernel_reboot(argument),
                None => Ok(rustix::system::reboot(rustix::system::RebootCommand::Restart)?),
            }
        })
    }

    fn power_off(&self) -> io::Result<()> {
        systemctl(&["poweroff", "--no-block"]).or_else(|_| {
            rustix::fs::sync();
            Ok(rustix::system::reboot(rustix::system::RebootCommand::PowerOff)?)
        })
    }
}

#[expect(unsafe_code, reason = "the C library's reboot takes no argument for the firmware")]
fn kernel_reboot(argument: &str) -> io::Result<()> {
    let argument = std::ffi::CString::new(argument).map_err(io::Error::other)?;
    // SAFETY: reboot(2) reads the two magic numbers, the command and, for RESTART2, a string ended by a zero byte, which
    // outlives the call; it writes nothing of ours.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            libc::LINUX_REBOOT_CMD_RESTART2,
            argument.as_ptr(),
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
