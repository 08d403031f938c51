"""The archive in a fresh Debian where systemd runs: install.sh, an upgrade by it, teardown."""
from checks import READY, has, property_of, push
from machine import Machine


def check_archive(tally, tar, place, archive):
    """`archive` is the .tar.gz."""
    with Machine(tar, place) as machine:
        before = machine.leftovers()
        packed = machine.put(archive)
        machine.run(f"cd /root && tar -xzf {packed}")
        install = "/root/bramble-*/install.sh"
        said = machine.run(f"{install} --preset k3s --preset host")[1]
        machine.until(READY)
        tally.check("archive: installed and running", property_of(machine, "bramble", "ActiveState") == "active", said)
        effective = machine.run("sed -n 's/^CapEff:[[:space:]]*//p' /proc/$(systemctl show --value -p MainPID bramble)/status")
        tally.check("archive: a hub with the preset k3s may read logs", effective[1].strip() == "0000000000000004")
        push(machine, "from the archive")
        tally.check("archive: a line is stored and found", has(machine, "from the archive"))
        pid = property_of(machine, "bramble", "MainPID")
        said = machine.run(f"{install} --preset k3s --preset host")[1]
        same = property_of(machine, "bramble", "MainPID")
        tally.check("archive: the same one again changes nothing", pid == same and "done " not in said, said)
        # An upgrade: another program in the archive's place.
        machine.run("for program in /root/bramble-*/bramble; do printf x >> $program; done")
        machine.run(f"{install} --preset k3s --preset host")
        machine.until(READY)
        tally.check("archive: a newer program is put in place and started", property_of(machine, "bramble", "MainPID") != pid)
        tally.check("archive: the data is there", has(machine, "from the archive"))
        machine.run("bramble teardown")
        left = [path for path in machine.leftovers() if path not in before and not path.startswith("var/lib/bramble")]
        tally.check("teardown: nothing but data is left", not left, left)
        tally.check("teardown: the data is", machine.at("/var/lib/bramble/journal").is_dir())
        machine.run(f"{install} --no-start && bramble teardown --purge")
        left = [path for path in machine.leftovers() if path not in before]
        tally.check("teardown --purge: nothing is left", not left, left)
        known = machine.run("grep -l bramble /etc/passwd /etc/group", check=False)[1]
        tally.check("teardown --purge: the user is gone", not known.strip(), known)
