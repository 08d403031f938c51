"""Runs trouble over a cluster and judges what the hub has in the end."""

import time

import bramble
from cluster import Cluster


def missing_and_more(books, found):
    """Items of the books that are not there, and those that are there more than once."""
    missing = [item for item in books if found.get(item, 0) == 0]
    more = {item: count for item, count in found.items() if count > 1}
    return missing, more


class Judgement:
    """What is true of the hub at the end, item by item."""

    def __init__(self, cluster, start_ns):
        self.cluster, self.start_ns = cluster, start_ns

    def lines(self, kind, of):
        """Missing and repeated lines of all nodes, and how many there should be."""
        missing, more, all_of = [], {}, 0
        for load in self.cluster.loads:
            books = of(load.books)
            found = self.cluster.lines(f"{kind}-{load.name}", self.start_ns)
            gone, twice = missing_and_more(books, found)
            missing += gone
            more.update(twice)
            all_of += len(books)
        return missing, more, all_of

    def samples(self):
        missing, twice, all_of = [], 0, 0
        seconds = int((time.time_ns() - self.start_ns) / 1e9) + 120
        for load in self.cluster.loads:
            found, again = self.cluster.samples(load.name, seconds)
            missing += [(load.name, at) for at, value in load.books.samples.items() if found.get(at) != value]
            twice += again
            all_of += len(load.books.samples)
        return missing, twice, all_of

    def spans(self):
        missing, twice, all_of = [], 0, 0
        for load in self.cluster.loads:
            for trace, ids in load.books.spans:
                found = self.cluster.span_ids(trace)
                missing += [(trace, span) for span in ids if span not in found]
                twice += len(found) - len(set(found))
                all_of += len(ids)
        return missing, twice, all_of


def some(items, most=5):
    return f"{len(items)}, such as {list(items)[:most]}"


def settled(judgement, patience_s):
    """Waits until the hub has every line; the last count either way. The queues are drained then, or will not be."""
    end = time.monotonic() + patience_s
    while True:
        gone = [judgement.lines("files", lambda books: books.lines)[0], judgement.lines("load", lambda b: list(b.logs))[0]]
        if not any(gone) or time.monotonic() > end:
            return gone
        time.sleep(1)


def run(checks, seconds, seed, nodes=3, rate=20, patience_s=120):
    """One whole test: start, trouble for `seconds`, rest, judgement."""
    with Cluster(nodes, rate) as cluster:
        judge(checks, cluster, seconds, seed, patience_s)


def judge(checks, cluster, seconds, seed, patience_s):
    start_ns = time.time_ns() - 60_000_000_000
    for load in cluster.loads:
        load.start()
    time.sleep(2)
    done = cluster.trouble(seconds, seed)
    for load in cluster.loads:
        load.stop(30)
    began = time.monotonic()
    judgement = Judgement(cluster, start_ns)
    gone = settled(judgement, patience_s)
    print(f"trouble of {seconds} s, seed {seed}: {dict(done)}; settled after {time.monotonic() - began:.1f} s", flush=True)
    with checks("every line of a tailed file is on the hub"):
        assert not gone[0], some(gone[0])
    with checks("every acknowledged log entry is on the hub"):
        assert not gone[1], some(gone[1])
    with checks("no line of a tailed file is there twice"):
        _, more, all_of = judgement.lines("files", lambda books: books.lines)
        print(f"      {all_of} lines", flush=True)
        assert all_of > 0 and not more, some(more.items())
    with checks("no log entry is there twice, sent again or not"):
        _, more, all_of = judgement.lines("load", lambda books: list(books.logs))
        resent = sum(load.books.resent for load in cluster.loads)
        print(f"      {all_of} entries, {resent} requests sent again", flush=True)
        assert all_of > 0 and not more, some(more.items())
    with checks("every acknowledged sample is on the hub, once"):
        missing, twice, all_of = judgement.samples()
        print(f"      {all_of} samples", flush=True)
        assert all_of > 0 and not missing and twice == 0, f"{some(missing)}, {twice} twice"
    with checks("every acknowledged span is on the hub, once"):
        missing, twice, all_of = judgement.spans()
        print(f"      {all_of} spans", flush=True)
        assert all_of > 0 and not missing and twice == 0, f"{some(missing)}, {twice} twice"
    with checks("nothing was refused on the way"):
        assert sum(load.books.refused for load in cluster.loads) == 0
    with checks("all nodes are up, their queues empty, nothing dropped"):
        def calm():
            seen = cluster.seen().values()
            return len(seen) == len(cluster.nodes) and all(
                node["health"] == "up" and node["queue"]["bytes"] == 0 and node["queue"]["dropped_items"] == 0
                for node in seen
            )

        bramble.wait_for("queues to be empty", calm)
