"""The worked examples of docs/correlation.md, as they stand there: every `sh` block runs, and what a `json` block below one
shows has the fields that the command really prints.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, ROOT, Bramble, Checks

SETTINGS = {**QUIET, "CORR_WINDOW_SECONDS": "3"}
DOORS = {8080: "correlation", 4318: "otlp_http", 3000: "main", 3100: "loki", 3200: "tempo", 9090: "prometheus", 16686: "jaeger"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"…|\d{4}-\d\d-\d\dT|[0-9a-f]{16}")
check = Checks()


def blocks(document):
    """(language, text) of each block, in order."""
    return BLOCK.findall((ROOT / document).read_text())


def run_all(bramble, scripts, directory):
    """What each script prints, all in one shell, so that later ones have the variables of those before."""
    whole = "set -eu\n"
    for n, script in enumerate(scripts):
        for port, door in DOORS.items():
            script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{bramble.ports[door]}")
        whole += f"exec > {n}.out\n{script}echo done > {n}.done\n"
    told = subprocess.run(["bash", "-c", whole], cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    return told.stderr


def missing(shown, got, path="answer"):
    """Fields that are shown and are not there, or are not as shown."""
    if isinstance(shown, dict) and isinstance(got, dict):
        return [m for key, value in shown.items() for m in (missing(value, got[key], f"{path}.{key}") if key in got else [f"{path}.{key}"])]
    if isinstance(shown, list) and isinstance(got, list):
        if shown and not got:
            return [f"{path}: nothing in the list"]
        return [m for n, (s, g) in enumerate(zip(shown, got)) for m in missing(s, g, f"{path}[{n}]")]
    # Times, ids and lengths of windows are of the day.
    varies = isinstance(shown, str) and VARIES.search(shown) or path.endswith("window.seconds")
    alike = type(shown) is type(got) and (varies or shown == got)
    return [] if alike else [f"{path} is {got!r}"]


def more(shown, got, path="answer"):
    """Fields that are there and are not shown."""
    if isinstance(shown, dict) and isinstance(got, dict):
        extra = [f"{path}.{key}" for key in got.keys() - shown.keys()]
        return extra + [m for key in shown.keys() & got.keys() for m in more(shown[key], got[key], f"{path}.{key}")]
    if isinstance(shown, list) and isinstance(got, list):
        return [m for n, (s, g) in enumerate(zip(shown, got)) for m in more(s, g, f"{path}[{n}]")]
    return []


def follow(document):
    found = blocks(document)
    scripts = [text for language, text in found if language == "sh"]
    with Bramble(SETTINGS) as bramble, tempfile.TemporaryDirectory(prefix="bramble-documented-") as name:
        directory = pathlib.Path(name)
        errors = run_all(bramble, scripts, directory)
        n = -1
        for language, text in found:
            if language == "sh":
                n += 1
                with check(f"{document}: {text.splitlines()[0][:70]}"):
                    assert (directory / f"{n}.done").exists(), f"it ended with {errors[-500:]!r}"
            elif language == "json":
                with check(f"{document}: what is shown below block {n + 1} is what comes"):
                    shown, got = json.loads(text), json.loads((directory / f"{n}.out").read_text())
                    assert not missing(shown, got) and not more(shown, got), (missing(shown, got), more(shown, got))


follow("docs/correlation.md")
sys.exit(check.done())
