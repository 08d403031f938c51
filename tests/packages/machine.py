"""Fresh Debian roots: to run single programs in, or booted with systemd in namespaces of their own."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
MOUNTS = pathlib.Path("/proc/mounts")


def mirror():
    """Where this machine gets Debian's packages from."""
    told = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True)
    return next(line for line in told.stdout.splitlines() if line.endswith("/debian/"))


def tar_of(tools, suite, packages=()):
    """The tar of a fresh root, made once and kept below target/tools."""
    tar = tools / "roots" / f"{suite}.tar"
    if not tar.exists():
        tar.parent.mkdir(parents=True, exist_ok=True)
        part = tar.with_suffix(".part.tar")
        command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar"]
        command += ["--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"] if suite != "bookworm" else []
        command += ["--include=" + ",".join(packages)] if packages else []
        subprocess.run([*command, suite, str(part), mirror()], check=True)
        part.rename(tar)
    return tar


class Root:
    """A root directory, unpacked from a tar; removed at the end."""

    def __init__(self, tar, place):
        self.place = pathlib.Path(place)
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        subprocess.run(["tar", "-xf", str(tar), "-C", str(self.place), "--exclude=./dev/*"], check=True)
        # Maintainer scripts and services write there; character devices cannot be unpacked everywhere.
        (self.place / "dev" / "null").write_bytes(b"")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.place, ignore_errors=True)

    def at(self, path):
        """Where an absolute path of the root lies."""
        return self.place / str(path).lstrip("/")

    def put(self, source, path="/root"):
        """Copies a file in; returns its path in the root."""
        shutil.copy(source, self.at(path))
        return f"{path}/{pathlib.Path(source).name}"

    def run(self, command, check=True, timeout=120):
        """Runs a shell command in it, without any network but a loopback of its own. Returns (status, output)."""
        inside = f"ip link set lo up; mount -t proc proc {self.place}/proc; mount --bind /dev/null {self.place}/dev/null; "
        wrapped = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c"]
        wrapped += [inside + f'exec chroot {self.place} sh -c "$0"', command]
        return finished(wrapped, command, check, timeout)

    def leftovers(self, word="bramble"):
        """Every path whose name has the word, logs of the package manager left out."""
        found = []
        for folder, directories, files in os.walk(self.place):
            here = pathlib.Path(folder).relative_to(self.place)
            directories[:] = [d for d in directories if str(here / d) not in ("proc", "sys", "dev", "run", "tmp", "root")]
            found += [str(here / name) for name in directories + files if word in name]
        return sorted(found)


class Machine(Root):
    """A root in which systemd runs."""

    def __init__(self, tar, place):
        super().__init__(tar, place)
        self.group = self._control_group()
        command = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        command += ["sh", str(HERE / "boot.sh"), str(self.place)]
        self.log = open(self.place.with_suffix(".boot.log"), "w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=self._join, start_new_session=True
        )
        self.first = None
        self._wait_until_up()

    def _control_group(self):
        """A control group for everything of the machine, so that its systemd has a tree of its own."""
        mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
        place = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
        if place is None:
            return None
        group = pathlib.Path(place) / f"bramble-packages-{os.getpid()}"
        group.mkdir(exist_ok=True)
        return group

    def _join(self):
        if self.group:
            (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def _wait_until_up(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("systemd ended: " + self.place.with_suffix(".boot.log").read_text()[-2000:])
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            if children:
                self.first = children[0]
                status, said = self.run("systemctl is-system-running --wait", check=False)
                if said.strip() in ("running", "degraded"):
                    return
            time.sleep(0.3)
        raise RuntimeError("systemd did not come up: " + self.place.with_suffix(".boot.log").read_text()[-2000:])

    def run(self, command, check=True, timeout=120):
        """Runs a shell command in it, as an administrator would. Returns (status, output)."""
        enter = ["nsenter", "-t", self.first, "-m", "-p", "-n", "-u", "-i", "-C", "env", "-i", "HOME=/root"]
        enter += ["DEBIAN_FRONTEND=noninteractive", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        return finished([*enter, "sh", "-c", command], command, check, timeout)

    def until(self, command, seconds=60):
        """Repeats a command until it succeeds; returns its output."""
        deadline = time.monotonic() + seconds
        while True:
            status, said = self.run(command, check=False)
            if status == 0:
                return said
            if time.monotonic() > deadline:
                journal = self.run("journalctl -b --no-pager -n 30", check=False)[1]
                raise AssertionError(f"{command}: still fails: {said}\n{journal}")
            time.sleep(0.3)

    def __exit__(self, *details):
        # Process 1 takes everything in its namespace along.
        if self.first:
            os.kill(int(self.first), signal.SIGKILL)
        self.process.wait()
        self.log.close()
        if self.group:
            for folder in sorted(self.group.rglob("*"), key=lambda p: -len(p.parts)):
                if folder.is_dir():
                    folder.rmdir()
            self.group.rmdir()
        self.place.with_suffix(".boot.log").unlink(missing_ok=True)
        super().__exit__(*details)


def finished(wrapped, command, check, timeout):
    """Runs and returns (status, output); with `check` a failure is an error that shows the output."""
    done = subprocess.run(wrapped, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    said = done.stdout.decode(errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{said[-4000:]}")
    return done.returncode, said
