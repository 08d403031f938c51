"""Debian's rsyslog, unpacked below target/ (scripts/setup.sh rsyslog): it forwards to Loki's push API by omhttp, or to a
syslog door as people's rsyslog does, in both formats, by UDP, TCP with line feeds and TCP with octet counting."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import TARGET, free_ports, wait_for

HOME = TARGET / "tools/rsyslog"
LIBRARIES = HOME / "usr/lib/x86_64-linux-gnu"

# One stream per message, gathered by omhttp as Loki's API wants them; time from the message, to the microsecond.
CONFIG = r"""
global(workDirectory="{work}" parser.escapeControlCharactersOnReceive="off")
module(load="imtcp")
module(load="omhttp")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="loki" type="string"
  string="{{\"stream\":{{\"job\":\"syslog\",\"host\":\"%hostname:::json%\",\"app\":\"%app-name:::json%\",\"severity\":\"%syslogseverity-text%\"}},\"values\":[[\"%timereported:::date-unixtimestamp%%timereported:::date-subseconds%000\",\"%msg:::json%\"]]}}")
action(type="omhttp" server="127.0.0.1" serverport="{door}" usehttps="off" restpath="loki/api/v1/push"
       checkpath="ready" template="loki" batch="on" batch.format="lokirest" batch.maxsize="64" compress="on"
       retry="on" errorfile="{work}/errors.json" action.resumeRetryCount="-1" action.resumeInterval="1"
       queue.type="linkedList" queue.workerThreads="1")
"""

# A program's name says by which of the ways its messages go.
FORWARD = r"""
global(workDirectory="{work}" parser.escapeControlCharactersOnReceive="off")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{port}")
if $programname == "udp-old" then {{
  action(type="omfwd" target="127.0.0.1" port="{door}" protocol="udp" template="RSYSLOG_TraditionalForwardFormat")
}}
if $programname == "udp-new" then {{
  action(type="omfwd" target="127.0.0.1" port="{door}" protocol="udp" template="RSYSLOG_SyslogProtocol23Format")
}}
if $programname == "tcp-old" then {{
  action(type="omfwd" target="127.0.0.1" port="{door}" protocol="tcp" template="RSYSLOG_TraditionalForwardFormat"
         queue.type="linkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
if $programname == "tcp-new" then {{
  action(type="omfwd" target="127.0.0.1" port="{door}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format"
         tcp_framing="octet-counted" queue.type="linkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"""


def available():
    return (HOME / "usr/sbin/rsyslogd").exists() and (LIBRARIES / "rsyslog/omhttp.so").exists()


@contextlib.contextmanager
def rsyslog(door, config=CONFIG):
    """A running rsyslogd that forwards to a port; yields a function that sends it a list of RFC 5424 messages."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="bramble-rsyslog-"))
    port = free_ports(1)[0]
    (work / "rsyslog.conf").write_text(config.format(work=work, port=port, door=door))
    # Its own loader and libraries: this system's may be older.
    command = [str(LIBRARIES / "ld-linux-x86-64.so.2"), "--library-path", str(LIBRARIES)]
    command += [str(HOME / "usr/sbin/rsyslogd"), "-n", "-i", str(work / "pid"), "-M", str(LIBRARIES / "rsyslog")]
    command += ["-f", str(work / "rsyslog.conf")]
    with open(work / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def send(messages):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            # Octet counting, so that a message may hold line breaks.
            for message in messages:
                data = message.encode()
                connection.sendall(f"{len(data)} ".encode() + data)

    try:
        wait_for("rsyslog", lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close() or True, 20)
        yield send
    except AssertionError as error:
        raise AssertionError(f"{error}\n{(work / 'log').read_text(errors='replace')[-1500:]}") from error
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(work, ignore_errors=True)


def message(n, host="router", app="dnsmasq", severity=6, text=None):
    """An RFC 5424 message of facility 3 (daemon)."""
    seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}Z"
    return f"<{3 * 8 + severity}>1 {stamp} {host} {app} {n} - - {text or f'message {n}'}"


if __name__ == "__main__":
    print(json.dumps({"available": available()}))
