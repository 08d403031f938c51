"""Correlations over `kill -9`: between a window's items, around its end, after its publication. Each appears once, with all
items that were answered.
"""

import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks
from correlating import correlations, equal, items, new_trace, post_logs, post_spans, the_correlation

WINDOW_S = 3
SETTINGS = {**QUIET, "BRAMBLE_CORRELATION_WINDOW": f"{WINDOW_S}s", "BRAMBLE_CORRELATION_GRACE": "5m"}
ROUNDS = 5
check = Checks()


class Trace:
    """A call of two services, sent in parts; remembers what was answered."""

    def __init__(self):
        self.trace_id, self.at, self.logs, self.spans = new_trace(), time.time_ns(), 0, 0

    def log(self, bramble, text):
        post_logs(bramble, "caller", [text], at=self.at + self.logs * 10**6, trace_id=self.trace_id, circuit_id=self.trace_id[:8])
        self.logs += 1

    def span(self, bramble):
        n = self.spans + 1
        parent = f"{n - 1:016x}" if n > 1 else ""
        service = "caller" if n == 1 else "called"
        span = (self.trace_id, f"{n:016x}", parent, f"step {n}", self.at + n * 10**6, self.at + 10**9)
        post_spans(bramble, service, [span])
        self.spans += 1

    def part(self, bramble):
        self.log(bramble, f"line {self.logs + 1}")
        self.span(bramble)


def restart(bramble):
    bramble.kill()
    bramble.start()


def whole(bramble, trace):
    """Its only correlation, when everything is in it."""
    return the_correlation(bramble, lambda c: items(c) == (trace.logs, trace.spans), trace_id=trace.trace_id)


def between(bramble):
    with check("killed between the items and the window's end: once, with all of them"):
        trace = Trace()
        trace.part(bramble)
        trace.part(bramble)
        restart(bramble)
        trace.part(bramble)
        c = whole(bramble, trace)
        equal([s["service"] for s in c["services"]], ["caller", "called"])
        equal(c["circuit_id"], trace.trace_id[:8])


def asleep(bramble):
    with check("killed, and down until long after the window's end"):
        trace = Trace()
        trace.part(bramble)
        trace.part(bramble)
        bramble.kill()
        time.sleep(WINDOW_S + 2)
        bramble.start()
        whole(bramble, trace)


def around_the_end(bramble):
    """At any moment from shortly before a window's end to after its publication; most have several traces in the making."""
    rng, traces = random.Random(6), []
    for _ in range(ROUNDS):
        made = [Trace() for _ in range(4)]
        for trace in made:
            trace.part(bramble)
            trace.part(bramble)
        traces += made
        time.sleep(WINDOW_S - 1 + rng.uniform(0, 2.5))
        restart(bramble)
    for trace in traces:
        # Into windows that were published before the last start, and into ones that were not.
        trace.part(bramble)
    with check(f"killed {ROUNDS} times around the ends of {len(traces)} windows: each once, with all items"):
        for trace in traces:
            whole(bramble, trace)
        known = {trace.trace_id: trace for trace in traces}
        found = [c["trace_id"] for c in correlations(bramble, limit=1000) if c["trace_id"] in known]
        equal(sorted(found), sorted(known))
    return traces


def published(bramble, traces):
    with check("killed after everything was published: nothing changes, nothing comes twice"):
        ids = {trace.trace_id for trace in traces}
        before = {c["id"]: c for c in correlations(bramble, limit=1000) if c["trace_id"] in ids}
        for _ in range(2):
            restart(bramble)
            time.sleep(WINDOW_S)
        after = {c["id"]: c for c in correlations(bramble, limit=1000) if c["trace_id"] in ids}
        equal(after, before)


def main():
    with Bramble(SETTINGS) as bramble:
        between(bramble)
        asleep(bramble)
        published(bramble, around_the_end(bramble))
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
