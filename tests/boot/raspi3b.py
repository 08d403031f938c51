"""QEMU's raspi3b: the Pi 3's real device tree, its SD controller and its serial port. It has no network there, so that the
serial console must tell."""

import os
import subprocess
import time

from machine import Disk, Failure
from service import ESCAPES

DTB = "bcm2837-rpi-3-b.dtb"
# Its emulated watchdog resets the machine as soon as it is armed.
EXTRA = "systemd.watchdog_sec=0 systemd.default_device_timeout_sec=900 rootwait"


def smoke(log, image, work, seconds=1800):
    """Boots until the console shows the set-up code, which Bramble makes when it runs."""
    disk = Disk(image, work / "pi3.img")
    slot, line = disk.boot_files(work, DTB)
    serial = work / "pi3-serial.log"
    serial.write_bytes(b"")
    command = [
        "qemu-system-aarch64", "-M", "raspi3b", "-kernel", work / "kernel", "-initrd", work / "initrd", "-dtb", work / "dtb",
        "-append", f"{line} {EXTRA}", "-drive", f"if=sd,file={disk.path},format=raw", "-display", "none", "-monitor", "none",
        "-serial", "null", "-serial", f"file:{serial}", "-no-reboot",
    ]  # fmt: skip
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            text = ESCAPES.sub("", serial.read_text(errors="replace"))
            if "enter this code" in text or ("Bramble" in text and f"slot {slot}" in text and "healthy" in text):
                log(f"raspi3b: boots from its SD card to Bramble's console, {time.monotonic() - began:.0f} s, emulated")
                return
            if process.poll() is not None:
                raise Failure("raspi3b ended: " + text[-2000:])
            time.sleep(1)
        raise Failure("raspi3b: Bramble's console did not come: " + text[-2000:])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.unlink(disk.path)
