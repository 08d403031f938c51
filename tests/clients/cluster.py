"""A hub and three nodes on machines of their own (network namespaces): enrolment, links cut, power gone, and every item counted.

The short form of tests/cluster/soak.sh. Skipped, saying why, where network namespaces are not permitted.
"""

import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "cluster")]

import network  # noqa: E402
from cluster import Cluster, bramble  # noqa: E402
from judge import judge  # noqa: E402

TROUBLE_S = 40


def main():
    checks = bramble.Checks()
    why = network.why_not()
    if why:
        print(f"skipped: {why}")
        return checks.done()
    # The first node finds the hub by itself.
    with Cluster(nodes=3, rate=20, find={"n1"}) as cluster:
        with checks("a token enrols one node only"):
            # A token is used up once its node has come back with its credential, a heartbeat later.
            bramble.wait_for("all tokens to be used up", lambda: cluster.hub.run("token", "list") == "")
            token = cluster.hub.run("token", "create")
            name = token.split(".")[0]
            assert name in cluster.hub.run("token", "list") and token not in cluster.hub.run("token", "list")
            cluster.hub.run("token", "revoke", name)
            assert cluster.hub.run("token", "list") == ""
        with checks("only the hub's own machine may remove a node"):
            node = cluster.seen()["n1"]
            far = bramble.http(cluster.hub_url(3000, f"/api/nodes/{node['id']}"), method="DELETE")
            assert far.status == 403, far.status
        with checks("clocks of one machine agree"):
            def measured():
                skews = [node["clock_skew_ms"] for node in cluster.seen().values()]
                return all(skew is not None and abs(skew) < 250 for skew in skews)

            bramble.wait_for("clocks to agree", measured)
        with checks("a silent node is seen as a series"):
            up = bramble.http(cluster.hub_url(3000, "/metrics")).text
            lines = [line for line in up.splitlines() if line.startswith("bramble_node_up{")]
            assert len(lines) == 3 and all(line.endswith(" 1") for line in lines), lines
        judge(checks, cluster, TROUBLE_S, seed=int(time.time()), patience_s=60)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
