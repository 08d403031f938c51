"""A cross-built program: its packages say what they are, and it passes the storage self-test under qemu-user."""
import shutil
import subprocess
import tempfile

# The cross compiler's C library (libc6-arm64-cross).
SYSROOT = "/usr/aarch64-linux-gnu"


def check_arm64(tally, binary, packages):
    """`packages`: made of `binary`, by ending."""
    told = subprocess.run(["dpkg-deb", "-f", str(packages[".deb"]), "Architecture"], capture_output=True, text=True).stdout
    tally.check("arm64: the .deb is arm64", told.strip() == "arm64", told)
    told = subprocess.run(["rpm", "-qp", "--qf", "%{ARCH}", str(packages[".rpm"])], capture_output=True, text=True).stdout
    tally.check("arm64: the .rpm is aarch64", told.strip() == "aarch64", told)
    emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not emulator:
        tally.skip("arm64: storage self-test", "no qemu-user here")
        return
    with tempfile.TemporaryDirectory() as data:
        command = [emulator, "-L", SYSROOT, str(binary), "doctor", "--self-test", "--data-dir", data]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        tally.check("arm64: the storage self-test passes under qemu-user", done.returncode == 0, done.stdout + done.stderr)
        print("      " + "\n      ".join(line.strip() for line in done.stdout.splitlines() if "durable" in line or "note" in line))
