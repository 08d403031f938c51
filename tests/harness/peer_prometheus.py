"""Debian's Prometheus beside a Bramble under test: unpacked by scripts/setup.sh, or named by PROMETHEUS=/path."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from bramble import TARGET, free_ports, http, wait_for

PROMETHEUS = pathlib.Path(os.environ.get("PROMETHEUS", TARGET / "tools/prometheus/usr/bin/prometheus"))
PROMTOOL = PROMETHEUS.with_name("promtool")


@contextlib.contextmanager
def prometheus(config, features=("native-histograms",)):
    """A Prometheus with this configuration (a dictionary) and these features; yields its URL."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bramble-prometheus-"))
    port = free_ports(1)[0]
    (directory / "prometheus.yml").write_text(json.dumps(config))
    command = [str(PROMETHEUS), f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", f"--enable-feature={','.join(features)}"]
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for("Prometheus", lambda: http(f"{url}/-/ready").status == 200)
        yield url
    except Exception:
        print((directory / "log").read_text(errors="replace")[-2000:])
        raise
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)
