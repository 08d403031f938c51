"""The units by themselves: what systemd says of their hardening and of their text."""
import pathlib
import re
import shutil
import subprocess
import tempfile

SYSTEMD = pathlib.Path(__file__).resolve().parents[2] / "systemd"
# The goal. The node and the hub that reads logs of others have one capability more.
EXPOSURE_MAX = 2.0


def exposure(unit):
    """What `systemd-analyze security` says of a unit file, 0 to 10."""
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    return float(found.group(1)) if found else 10.0


def check_units(tally):
    """Hardening below the limit; no directive that systemd does not know; the memory limits above the caps."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in ("bramble.service", "bramble-node.service"):
            found = exposure(SYSTEMD / name)
            tally.check(f"{name}: exposure {found}", found <= EXPOSURE_MAX)
            # `verify` wants the program to be there.
            text = (SYSTEMD / name).read_text()
            (folder / name).write_text(text.replace("/usr/bin/bramble", "/bin/true"))
            said = subprocess.run(["systemd-analyze", "verify", str(folder / name)], capture_output=True, text=True)
            complaints = [line for line in said.stderr.splitlines() if name in line]
            tally.check(f"{name}: systemd-analyze verify", said.returncode == 0 and not complaints, said.stderr)
        drop_in = folder / "bramble.service.d"
        drop_in.mkdir()
        shutil.copy(SYSTEMD / "bramble.service", folder)
        for more in ("board.conf", "read-logs.conf"):
            shutil.copy(SYSTEMD / more, drop_in)
            found = exposure(folder / "bramble.service")
            tally.check(f"bramble.service, {more} added: exposure {found}", found <= EXPOSURE_MAX)
    for name, cap_mib in (("bramble.service", 256), ("bramble-node.service", 64)):
        text = (SYSTEMD / name).read_text()
        high, most = (int(re.search(rf"^{key}=(\d+)M$", text, re.M).group(1)) for key in ("MemoryHigh", "MemoryMax"))
        tally.check(f"{name}: cap {cap_mib} < MemoryHigh {high} < MemoryMax {most}", cap_mib < high < most)
