"""The .deb in a fresh Debian where systemd runs: install, use, upgrade, change, remove, purge."""
import checks
from checks import READY, has, mode, property_of, push, status_of
from machine import Machine
from units import EXPOSURE_MAX

CONFIG = "/etc/bramble/bramble.toml"
# Alone in the root: systemd-logind and others belong to the root, not to the package.
SECURITY = "systemd-analyze security --no-pager {unit} | sed -n 's/.*Overall exposure level for [^:]*: \\([0-9.]*\\).*/\\1/p'"


def check_deb(tally, tar, place, first, second):
    """`first` and `second` are packages of two versions."""
    with Machine(tar, place) as machine:
        old, new = machine.put(first), machine.put(second)
        installed(tally, machine, old)
        confined(tally, machine, "bramble.service", "0000000000000000")
        used(tally, machine)
        upgraded(tally, machine, new)
        as_node(tally, machine)
        removed(tally, machine, new)


def installed(tally, machine, package):
    """It is there, belongs to whom it should, and runs."""
    machine.run(f"apt-get install -y -q --no-install-recommends {package}")
    machine.until(READY)
    tally.check("deb: it runs after installing", property_of(machine, "bramble", "ActiveState") == "active")
    tally.check("deb: it starts with the machine", machine.run("systemctl is-enabled bramble")[1].strip() == "enabled")
    node = machine.run("systemctl is-enabled bramble-node", check=False)[1].strip()
    tally.check("deb: the node's unit waits for setup", node == "disabled", node)
    for path, wanted in (
        (CONFIG, "640 root:bramble"),
        ("/etc/bramble", "750 root:bramble"),
        ("/var/lib/bramble", "750 bramble:bramble"),
        ("/usr/bin/bramble", "755 root:root"),
    ):
        tally.check(f"deb: {path} is {wanted}", mode(machine, path) == wanted, mode(machine, path))
    groups = machine.run("id -nG bramble")[1].split()
    tally.check("deb: bramble reads the logs of adm and the journal", {"adm", "systemd-journal"} <= set(groups), groups)
    others = machine.run("find /var/lib/bramble -perm /007")[1].strip()
    tally.check("deb: nobody else can read the data", not others, others)


def confined(tally, machine, unit, capabilities):
    """What the unit promises holds of the process that runs."""
    found = machine.run(SECURITY.format(unit=unit))[1].strip()
    tally.check(f"{unit}: exposure {found} as installed", found and float(found) <= EXPOSURE_MAX)
    pid = property_of(machine, unit, "MainPID")
    user = machine.run(f"stat -c %U /proc/{pid}")[1].strip()
    tally.check(f"{unit}: runs as bramble", user == "bramble", user)
    effective = status_of(machine, pid, "CapEff")
    tally.check(f"{unit}: capabilities {capabilities}", effective == capabilities, effective)
    tally.check(f"{unit}: no new privileges", status_of(machine, pid, "NoNewPrivs") == "1")
    tally.check(f"{unit}: system calls are filtered", status_of(machine, pid, "Seccomp") == "2")
    inside = f"nsenter -t {pid} -m"
    tally.check(f"{unit}: /usr is read-only to it", machine.run(f"{inside} touch /usr/x", check=False)[0] != 0)
    tally.check(f"{unit}: its watchdog is armed", property_of(machine, unit, "WatchdogUSec") == "1min")


def used(tally, machine):
    """Data goes in and comes out; the storage passes its own test; a killed one comes back with its data."""
    push(machine, "before the upgrade")
    tally.check("deb: a line is stored and found", has(machine, "before the upgrade"))
    test = "setpriv --reuid bramble --regid bramble --init-groups bramble doctor --self-test --data-dir /var/lib/bramble"
    status, said = machine.run(test, check=False)
    tally.check("deb: the storage self-test passes beside it", status == 0, said)
    print("      " + "\n      ".join(line.strip() for line in said.splitlines() if "durable write" in line))
    pid = property_of(machine, "bramble", "MainPID")
    machine.run(f"kill -9 {pid}")
    machine.until(f"[ $(systemctl show --value -p MainPID bramble) != {pid} ] && {READY}")
    tally.check("deb: killed, it is started again with its data", has(machine, "before the upgrade"))


def upgraded(tally, machine, package):
    """Data and edits stay; what ran is restarted as the new version."""
    machine.run(f"printf '\\n[correlation]\\nenabled = false\\n' >> {CONFIG}")
    pid = property_of(machine, "bramble", "MainPID")
    machine.run(f"apt-get install -y -q --no-install-recommends {package}")
    machine.until(READY)
    tally.check("upgrade: restarted", property_of(machine, "bramble", "MainPID") != pid)
    tally.check("upgrade: data stays", has(machine, "before the upgrade"))
    tally.check("upgrade: edits stay", "enabled = false" in machine.run(f"cat {CONFIG}")[1])
    tally.check("upgrade: modes stay", mode(machine, CONFIG) == "640 root:bramble")
    machine.run("systemctl stop bramble")
    machine.run(f"apt-get install -y -q --reinstall --no-install-recommends {package}")
    state = property_of(machine, "bramble", "ActiveState")
    tally.check("upgrade: what was stopped stays stopped", state == "inactive", state)


def as_node(tally, machine):
    """`bramble setup` on the packaged host: logs that belong to others are read, keys are not."""
    logs = "mkdir -p /var/log/ciena && echo 'ERROR of another' > /var/log/ciena/blueplanet.log && chmod 600 /var/log/ciena/blueplanet.log"
    machine.run(logs + " && chown nobody /var/log/ciena/blueplanet.log && chmod 700 /var/log/ciena")
    asked = "bramble setup --role node --hub 127.0.0.1:9 --token id.secret --preset mdso --hosts-entry 192.0.2.1=attic.lan"
    before = machine.run("find /etc /var/lib/bramble /usr -newer /etc/hostname -type f | sort | xargs sha256sum")[1]
    machine.run(asked + " --dry-run")
    after = machine.run("find /etc /var/lib/bramble /usr -newer /etc/hostname -type f | sort | xargs sha256sum")[1]
    tally.check("setup: a dry run changes nothing", before == after)
    machine.run(asked)
    machine.until("systemctl is-active bramble-node && curl -sf -m 5 http://127.0.0.1:3000/-/ready")
    confined(tally, machine, "bramble-node.service", "0000000000000004")
    read = "curl -sf -m 5 http://127.0.0.1:3000/metrics | grep -F 'blueplanet.log'"
    told = machine.until(read)
    tally.check("node: reads a log that only another user may read", "blueplanet.log" in told)
    pid = property_of(machine, "bramble-node", "MainPID")
    keys = machine.run(f"nsenter -t {pid} -m cat /etc/shadow", check=False)[1]
    tally.check("node: /etc/shadow is hidden from it", ":" not in keys, keys[:80])
    said = machine.run(asked)[1]
    tally.check("setup: twice is once", "done " not in said, said)
    machine.run("bramble teardown")
    tally.check("teardown: the package's settings are back", "role" not in machine.run(f"grep -v '^#' {CONFIG}")[1])
    tally.check("teardown: /etc/hosts is back", "attic" not in machine.run("cat /etc/hosts")[1])
    tally.check("teardown: the node is stopped", property_of(machine, "bramble-node", "ActiveState") == "inactive")
    machine.run("systemctl start bramble")
    machine.until(READY)
    tally.check("teardown: the hub has its data", has(machine, "before the upgrade"))


def removed(tally, machine, package):
    """remove keeps data and settings; purge keeps nothing."""
    machine.run("apt-get remove -y -q bramble")
    tally.check("remove: it is stopped", machine.run("ls -l /proc/[0-9]*/exe | grep bin/bramble", check=False)[0] != 0)
    kept = machine.run("ls /var/lib/bramble", check=False)[1].split()
    tally.check("remove: data stays", "journal" in kept, kept)
    tally.check("remove: settings stay", "enabled = false" in machine.run(f"cat {CONFIG}")[1])
    tally.check("remove: the program is gone", not machine.at("/usr/bin/bramble").exists())
    machine.run(f"apt-get install -y -q --no-install-recommends {package}")
    machine.until(READY)
    tally.check("installed again: the data is there", has(machine, "before the upgrade"))
    machine.run("apt-get purge -y -q bramble")
    left = [path for path in machine.leftovers() if not path.startswith("var/log/journal")]
    tally.check("purge: nothing is left", not left, left)
    known = machine.run("getent passwd bramble; getent group bramble; grep -l bramble /etc/group /etc/gshadow", check=False)[1]
    tally.check("purge: the user is gone", not known.strip(), known)
