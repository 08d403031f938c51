"""Which C library the program needs, and whether it runs in the oldest root that is to be had here."""
import re
import subprocess

from machine import Root

FLOOR = (2, 28)


def needed(binary):
    """The newest GLIBC_ version that it asks for, and the libraries."""
    told = subprocess.run(["objdump", "-T", "-p", str(binary)], capture_output=True, text=True, check=True).stdout
    versions = {tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([0-9]+\.[0-9]+)", told)}
    return max(versions), sorted(re.findall(r"NEEDED\s+(\S+)", told))


def check_floor(tally, tar, place, binary, must):
    """`must`: whether it was built for the floor (scripts/packages.sh --build); otherwise its need is only told."""
    newest, libraries = needed(binary)
    print(f"      needs GLIBC_{newest[0]}.{newest[1]} and {' '.join(libraries)}")
    tally.check("floor: libsystemd is not linked", not any("systemd" in name for name in libraries), libraries)
    if not must and newest > FLOOR:
        tally.skip("floor: glibc 2.28", "this program was built against the C library of this machine")
        return
    tally.check("floor: glibc 2.28", newest <= FLOOR, newest)
    with Root(tar, place) as root:
        root.run("rm -f /lib/*/libsystemd.so* /usr/lib/*/libsystemd.so*")
        root.put(binary, "/usr/bin")
        has = root.run("ls /usr/lib/*/libsystemd.so.0; ldd --version | head -n 1", check=False)[1]
        program = f"/usr/bin/{binary.name}"
        status, said = root.run(f"{program} doctor --self-test --data-dir /tmp/data", check=False)
        tally.check("floor: the storage self-test passes in Debian 11 without libsystemd", status == 0, said + has)
        serve = (
            f"{program} serve --data-dir /tmp/data >/tmp/log 2>&1 & pid=$!; "
            "n=0; until grep -q '; ready' /tmp/log || [ $n = 100 ]; do n=$((n+1)); sleep 0.2; done; "
            "grep -c '; ready' /tmp/log; kill $pid; wait $pid; cat /tmp/log"
        )
        status, said = root.run(serve, check=False)
        tally.check("floor: it serves there", said.split("\n", 1)[0] not in ("", "0"), said[-2000:])
