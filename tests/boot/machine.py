"""An emulated 64-bit Arm machine that boots the image, and a stand-in for the Pi's firmware.

QEMU does not emulate the Pi's firmware. What that does before the kernel is played here: it reads `config.txt` from the image's
FAT partition, takes kernel, initrd and command line from the directory that `os_prefix=` names, and starts the machine with
them. A guest that reboots ends QEMU (-no-reboot), and the firmware is played anew. tryboot is not played: Debian's
kernel does not ask for it.
"""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

FAT_OFFSET = 4 << 20  # of partition 1, as image/build/assemble.py has it
DISK_BYTES = 2 << 30  # QEMU's SD card wants a power of two
MAIN, OTLP = 80, 4318

# Of the emulated machine, not of the image: its serial port instead of the Pis' (a console that is named and not there
# keeps others of its driver from being used), and patience with a slow host.
PI_CONSOLES, VIRT_CONSOLE = "console=ttyAMA10,115200 console=ttyS1,115200", "console=ttyAMA0"
VIRT_EXTRA = "systemd.default_device_timeout_sec=600"


class Failure(Exception):
    """A check that did not hold."""


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Disk:
    """A card: a sparse file that begins as the image."""

    def __init__(self, image, path, size=DISK_BYTES):
        self.path = Path(path)
        subprocess.check_call(["cp", "--sparse=always", str(image), str(self.path)])
        os.truncate(self.path, size)

    def _mtools(self, *words, **more):
        command = [words[0], "-i", f"{self.path}@@{FAT_OFFSET}", *words[1:]]
        env = dict(os.environ, MTOOLS_SKIP_CHECK="1")
        return subprocess.run(command, check=True, env=env, capture_output=True, **more).stdout

    def read(self, name):
        """A file of the boot partition."""
        return self._mtools("mtype", f"::/{name}")

    def write(self, name, content):
        """Puts a file on the boot partition, as a person at a PC would."""
        self._mtools("mcopy", "-o", "-", f"::/{name}", input=content)

    def slot(self):
        """The slot that the firmware takes: os_prefix= of config.txt."""
        for line in self.read("config.txt").decode().splitlines():
            if line.startswith("os_prefix="):
                return line.removeprefix("os_prefix=").rstrip("/")
        raise Failure("config.txt has no os_prefix")

    def state(self):
        """bootstate as a dict."""
        lines = self.read("bootstate").decode().split("#")[0].split()
        return dict(line.split("=", 1) for line in lines)

    def boot_files(self, into, dtb=None):
        """What the firmware loads: kernel (unpacked), initrd, command line, device tree."""
        slot, into = self.slot(), Path(into)
        kernel = self.read(f"{slot}/kernel8.img")
        (into / "kernel").write_bytes(gzip.decompress(kernel) if kernel[:2] == b"\x1f\x8b" else kernel)
        (into / "initrd").write_bytes(self.read(f"{slot}/initrd.img"))
        if dtb:
            (into / "dtb").write_bytes(self.read(f"{slot}/{dtb}"))
        return slot, self.read(f"{slot}/cmdline.txt").decode().strip()


class Machine:
    """One QEMU at a time over a disk."""

    def __init__(self, disk, work, memory=1024, log=None, extra="", doors=(MAIN, OTLP)):
        self.disk, self.work, self.memory, self.extra = disk, Path(work), memory, extra
        self.ports = {door: free_port() for door in doors}
        self.log = Path(log or self.work / "serial.log")
        self.log.write_bytes(b"")
        self.process, self.boots, self.slot = None, 0, None
        self.cpus = ["-smp", "2", "-accel", "tcg,thread=multi"]

    def start(self):
        """Plays the firmware, and starts the machine."""
        self.slot, line = self.disk.boot_files(self.work)
        line = line.replace(PI_CONSOLES, VIRT_CONSOLE)
        forwards = ",".join(f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items())
        with open(self.log, "ab") as log:
            log.write(f"\n##### boot {self.boots}: firmware stand-in takes slot {self.slot}\n".encode())
        command = [
            "qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-m", str(self.memory), *self.cpus,
            "-kernel", self.work / "kernel", "-initrd", self.work / "initrd",
            "-append", f"{line} {VIRT_EXTRA} {self.extra}",
            "-drive", f"if=none,id=card,file={self.disk.path},format=raw,cache=writeback",
            "-device", "virtio-blk-pci,drive=card",
            "-netdev", f"user,id=net,{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "i6300esb", "-device", "virtio-rng-pci",
            "-display", "none", "-monitor", "none",
            "-chardev", f"file,id=serial,path={self.log},append=on", "-serial", "chardev:serial",
            "-no-reboot",
        ]  # fmt: skip
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
        self.boots += 1

    def ended(self):
        """Whether the guest turned itself off or rebooted."""
        return self.process is not None and self.process.poll() is not None

    def power_cut(self):
        """Sudden death."""
        if self.process and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def keep_running(self):
        """Starts it again if the guest rebooted; tells whether it did."""
        if self.ended():
            self.process.wait()
            self.start()
            return True
        return False

    def serial(self):
        """All that the console said."""
        return self.log.read_text(errors="replace")

    def url(self, path, port=MAIN):
        """Address of a door, through the emulated network."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def fetch(self, path, port=MAIN, data=None, headers=None, timeout=20, method=None):
        """(status, body, headers); status 0 if nobody answers."""
        body = json.dumps(data).encode() if isinstance(data, (dict, list)) else data
        request = urllib.request.Request(self.url(path, port), data=body, headers=headers or {}, method=method)
        if isinstance(data, (dict, list)):
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)
        except (OSError, urllib.error.URLError, TimeoutError):
            return 0, b"", {}

    def wait(self, what, check, seconds, reboots=False):
        """Polls until `check` is true; the machine's end is followed by a boot if `reboots`, else it is a failure."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = check()
            if found:
                return found
            if self.ended():
                if not reboots:
                    raise Failure(f"the machine ended while waiting for {what}: {self.tail()}")
                self.keep_running()
            time.sleep(0.5)
        raise Failure(f"{what}: not within {seconds} s: {self.tail()}")

    def ready(self, seconds=600, reboots=False):
        """Waits until the application says that it is."""
        return self.wait("ready", lambda: self.fetch("/-/ready")[0] == 200, seconds, reboots)

    def tail(self):
        """The console's last lines."""
        return "\n" + "\n".join(self.serial().splitlines()[-40:])

    def close(self):
        """Ends it and removes what it used, but for the log."""
        self.power_cut()
        for name in ("kernel", "initrd", "dtb"):
            (self.work / name).unlink(missing_ok=True)


def needs():
    """Tools that must be there."""
    return [tool for tool in ("qemu-system-aarch64", "mcopy", "mtype") if not shutil.which(tool)]
