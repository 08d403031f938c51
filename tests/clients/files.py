"""Files under rotation of every kind, while Bramble is killed and started again: every line is there exactly once."""

import gzip
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, wait_for

check = Checks()
# Short, so that what is killed has had deliveries.
SETTINGS = {**QUIET, "BRAMBLE_JOURNAL_BACKGROUND_WAIT": "1s", "BRAMBLE_JOURNALD_ENABLED": "off"}
SEED = int(os.environ.get("FILES_SEED", 1))
ROUNDS = 30


def count(bramble, selector):
    """How many lines a selector finds in the last hour, as LogQL counts."""
    params = {"query": f"sum(count_over_time({selector}[1h]))", "time": time.time_ns() + 10**9}
    result = bramble.get("loki", "/loki/api/v1/query", params).json["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def lines(bramble, selector):
    """All lines that a selector finds, as often as they are there: equal ones have times of their own."""
    end, found = time.time_ns() + 10**9, set()
    params = {"query": selector, "start": end - 3600 * 10**9, "end": end, "limit": 5000, "direction": "forward"}
    while True:
        answer = bramble.get("loki", "/loki/api/v1/query_range", params)
        assert answer.status == 200, f"{answer.status} {answer.text[:300]}"
        streams = answer.json["data"]["result"]
        entries = {(stream["stream"].get("filename"), *value[:2]) for stream in streams for value in stream["values"]}
        if entries <= found:
            return [line for _, _, line in found]
        found |= entries
        # From the last time on, not behind it: a page may end between two entries of one time.
        params["start"] = max(int(at) for _, at, _ in entries)


class Log:
    """A program that writes a log, and a logrotate."""

    def __init__(self, path):
        self.path, self.written = path, 0

    def write(self, many):
        with open(self.path, "a") as f:
            for _ in range(many):
                self.written += 1
                f.write(f"{self.path.stem} line {self.written} {'x' * (self.written % 90)}\n")

    def shift(self):
        for n in range(9, 0, -1):
            for suffix in ["", ".gz"]:
                old = self.path.with_name(f"{self.path.name}.{n}{suffix}")
                if old.exists():
                    old.rename(self.path.with_name(f"{self.path.name}.{n + 1}{suffix}"))

    def rename(self):
        if self.path.exists():
            self.shift()
            self.path.rename(self.path.with_name(self.path.name + ".1"))

    def copytruncate(self):
        if self.path.exists():
            self.shift()
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
            os.truncate(self.path, 0)

    def compress(self):
        plain = self.path.with_name(self.path.name + ".1")
        if plain.exists():
            packed = plain.with_name(plain.name + ".gz")
            packed.write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()


def torture(bramble, logs, choose):
    """Anything at any time; a killed Bramble is started again some rounds later."""
    running = True
    for _ in range(ROUNDS):
        for log in logs:
            log.write(choose.randrange(200))
            rotate = choose.choices([None, log.rename, log.copytruncate, log.compress], weights=[5, 2, 2, 2])[0]
            if rotate and log.path.parent.name == "a":
                # Rotated names do not match: a file is known only if it was looked at once under its own.
                if not running:
                    continue
                selector = f'{{filename="{log.path}"}}'
                wait_for("a file to be seen", lambda: count(bramble, selector) >= log.written)
                # What is written just before it is renamed is read all the same; of what is truncated only a copy is left,
                # under a name that nobody asked for.
                if rotate == log.rename:
                    log.write(choose.randrange(200))
            if rotate:
                rotate()
        if not running:
            bramble.start()
            running = True
        elif choose.random() < 0.2:
            bramble.kill()
            running = False
        time.sleep(choose.random() * 0.4)
    if not running:
        bramble.start()


def main():
    choose = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="bramble-files-") as directory:
        root = pathlib.Path(directory)
        config = root / "bramble.toml"
        config.write_text(
            f'[[files]]\ninclude = ["{root}/a/*.log"]\nlabels = {{ job = "a" }}\nstart = "beginning"\n'
            f'[[files]]\ninclude = ["{root}/b/*.log", "{root}/b/*.log.*"]\nlabels = {{ job = "b" }}\nstart = "beginning"\n'
        )
        logs = []
        for name in ["a", "b"]:
            (root / name).mkdir()
            logs += [Log(root / name / f"{name}{n}.log") for n in range(2)]
        for log in logs:
            log.write(3)
        with Bramble(environment=SETTINGS, arguments=["--config", str(config)]) as bramble:
            with check("lines that are there at first"):
                wait_for("first lines", lambda: count(bramble, '{job=~"a|b"}') == 12)
            with check(f"seed {SEED}: rotated and killed at random"):
                torture(bramble, logs, choose)
            for job in ["a", "b"]:
                mine = [log for log in logs if log.path.parent.name == job]
                wanted = sum(log.written for log in mine)
                selector = f'{{job="{job}"}}'
                with check(f"{job}: every line exactly once"):
                    wait_for("the last lines", lambda: count(bramble, selector) >= wanted)
                    found = lines(bramble, selector)
                    twice = len(found) - len(set(found))
                    assert count(bramble, selector) == wanted and len(set(found)) == wanted and not twice, (
                        f"wrote {wanted}, counted {count(bramble, selector)}, found {len(set(found))}, {twice} twice"
                    )
    return check.done()


sys.exit(main())
