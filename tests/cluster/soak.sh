#!/bin/bash
# One hub and three nodes in network namespaces; links cut, hub killed, nodes power-cut at random under load, then every item is
# looked for: tests/cluster/soak.sh [--seconds 900] [--seed N] [--nodes 3] [--rate 100]
# Needs root; says so and ends well where it is not permitted. Last line: "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/env.sh
exec python3 tests/cluster/soak.py "$@"
