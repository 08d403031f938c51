#!/bin/bash
# The long forms: half an hour of each load and of a cluster in trouble, and a simulation of many more power cuts. Log: docs/soak.md.
#
#     scripts/soak.sh [MINUTES] [POWER_CUTS]
set -uo pipefail
. "$(dirname "$0")/env.sh"
cd "$ROOT"
minutes=${1:-30} cuts=${2:-20000} status=0
{
    echo "$(date -u +%FT%TZ) $("$HOUSE_BIN" version), $(uname -m), $(nproc) cores"
    cargo build --release --locked --quiet -p bramble-tests-load || status=1
    for load in busy wide; do
        tests/bench/soak.py "$load" --minutes "$minutes" || status=1
    done
    tests/cluster/soak.sh --seconds $((minutes * 60)) || status=1
    BRAMBLE_SIM_CUTS=$cuts cargo test --release --locked -p bramble-tests-crash 2>&1 |
        grep -E '^simulation:|^test result|panicked|^seed|replay' || status=1
    [ "$status" = 0 ] && echo "soak: passed" || echo "soak: FAILED"
} 2>&1 | tee docs/soak.md
grep -q '^soak: passed' docs/soak.md
