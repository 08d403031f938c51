"""A data directory that cannot be used: a message that says what, and what to do. Damage: set aside, the rest served."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import BINARY, QUIET, Bramble, Checks

check = Checks()


def refusal(bramble, data_dir, words):
    """Starts a second one that must end by itself, saying one of the words."""
    environment = bramble.environment()
    for key in environment:
        if key.startswith("BRAMBLE_DOORS_"):
            environment[key] = "off"
    command = [str(BINARY), "serve", "--data-dir", str(data_dir)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    said = [line for line in result.stderr.splitlines() if not line.startswith("20")]
    assert result.returncode not in (0, 101, -6), f"ended with {result.returncode}: {result.stderr[-400:]}"
    text = "\n".join(said)
    assert any(word in text.lower() for word in words), f"says: {text[-400:]!r}"
    assert str(data_dir) in text, f"does not name the directory: {text[-400:]!r}"


def trash(path):
    """Overwrites the middle half of a file."""
    size = path.stat().st_size
    with open(path, "r+b") as f:
        f.seek(size // 4)
        f.write(os.urandom(size // 2))


def damaged(bramble):
    """Flushes, trashes one block, restarts."""
    bramble.feed_a_little()
    bramble.post("prometheus", "/internal/force_flush", b"")
    bramble.stop()
    segments = [p for p in (bramble.data_dir / "blocks").rglob("*") if p.is_file()]
    assert segments, f"no block was written: {[str(p) for p in bramble.data_dir.rglob('*')]}"
    for segment in segments:
        trash(segment)
    bramble.start()
    # Whether the old trace is there again depends on whether the journal still holds it; an answer there must be.
    assert bramble.get("jaeger", "/api/traces", {"service": "shop"}).status == 200
    bramble.feed_a_little()
    answer = bramble.get("jaeger", "/api/traces", {"service": "shop"})
    assert answer.status == 200 and answer.json["data"], answer.text[:300]


def main():
    with Bramble(environment=QUIET) as bramble:
        with check("in use"):
            refusal(bramble, bramble.data_dir, ["in use", "another", "lock"])
        with check("damaged blocks are set aside and the rest is served"):
            damaged(bramble)
        with check("from a newer version"):
            bramble.stop()
            time.sleep(0.1)
            (bramble.data_dir / "FORMAT").write_text("bramble data 999\n")
            refusal(bramble, bramble.data_dir, ["newer", "version", "format"])
    with check("not writable"):
        with tempfile.TemporaryDirectory() as parent:
            path = pathlib.Path(parent) / "file"
            path.write_text("in the way")
            refusal(Bramble(environment=QUIET), path / "data", ["not a directory", "cannot", "writ"])
    return check.done()


sys.exit(main())
