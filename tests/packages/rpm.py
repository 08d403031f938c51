"""The .rpm, installed with `rpm --root` into a root that has no systemd running; and what it says of itself."""
import re
import subprocess

from checks import mode
from machine import Root


def check_rpm(tally, tar, place, first, second):
    """`first` and `second` are packages of two versions."""
    asked = subprocess.run(["rpm", "-qp", "--requires", str(first)], capture_output=True, text=True).stdout
    tally.check("rpm: asks for glibc 2.28 and no newer symbol", "glibc >= 2.28" in asked and "GLIBC_" not in asked, asked)
    with Root(tar, place) as root:
        act(root, "-i", first)
        for path, wanted in (
            ("/etc/bramble/bramble.toml", "640 root:bramble"),
            ("/var/lib/bramble", "750 bramble:bramble"),
            ("/usr/bin/bramble", "755 root:root"),
        ):
            tally.check(f"rpm: {path} is {wanted}", mode(root, path) == wanted, mode(root, path))
        said = root.run("bramble version")[1]
        tally.check("rpm: the program runs", said.startswith("bramble "), said)
        root.run("echo data > /var/lib/bramble/data && printf '# mine\\n' >> /etc/bramble/bramble.toml")
        act(root, "-U", second)
        tally.check("rpm: an upgrade keeps data", root.at("/var/lib/bramble/data").exists())
        tally.check("rpm: an upgrade keeps edits", "# mine" in root.at("/etc/bramble/bramble.toml").read_text())
        act(root, "-e", "bramble")
        tally.check("rpm: removing keeps data", root.at("/var/lib/bramble/data").exists())
        saved = root.at("/etc/bramble/bramble.toml.rpmsave")
        tally.check("rpm: removing keeps edits as .rpmsave", saved.exists() and "# mine" in saved.read_text())
        tally.check("rpm: removing takes the program", not root.at("/usr/bin/bramble").exists())
        tally.check("rpm: removing takes the units", not root.leftovers("bramble.service"))


def act(root, what, package):
    """One action of rpm on a root that is Debian's, so dependencies by name are not known there."""
    command = ["rpm", "--root", str(root.place), "--dbpath", "/var/lib/rpm", "--nodeps", what, str(package)]
    done = subprocess.run(command, capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if re.search("error|failed", line)]
    if done.returncode != 0 or errors:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
