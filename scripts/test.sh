#!/bin/bash
# All tests: scripts/test.sh [STAGE]...
#
# Without arguments every stage runs, in the order below, each timed; a failing stage does not keep the others from
# running, unless they need what it makes. The last line is "N passed, N failed", summed over stages: tests where a
# stage counts them, otherwise 1 for the stage.
set -uo pipefail
given=${HOUSE_BIN:-}
. "$(dirname "$0")/env.sh"
cd "$ROOT"
export CARGO_TERM_COLOR=never
export CARGO_INCREMENTAL=0
# One build serves lint, unit tests and black-box tests: clippy's driver is the compiler with its lints. An optimized binary
# would take twice as long to make as all tests take to run with this one; the image's is optimized, and is tried in QEMU.
with_lints() {
    RUSTC_WORKSPACE_WRAPPER=$(command -v clippy-driver || rustup which clippy-driver 2>/dev/null)
    export RUSTC_WORKSPACE_WRAPPER
}
HOUSE_BIN=${given:-$TARGET/debug/bramble}

LOGS=$TARGET/test-logs
mkdir -p "$LOGS"
passed=0 failed=0 summary=() failures=()

# Adds what a log counts: lines "test result: … N passed; N failed" (cargo test), "Summary … N passed, N failed"
# (nextest), or a last "N passed, N failed". A log without counts is one test.
count() { # name status log
    local p=0 f=0 line counted=
    while read -r line; do
        if [[ $line =~ ([0-9]+)\ passed(\;|,)?\ ?([0-9]+)?\ ?(failed)? ]]; then
            p=$((p + BASH_REMATCH[1]))
            [ -n "${BASH_REMATCH[4]}" ] && f=$((f + BASH_REMATCH[3]))
            counted=1
        fi
    done < <(grep -E '^test result:|^ *Summary \[|^[0-9]+ passed, [0-9]+ failed' "$3")
    if [ -z "$counted" ]; then [ "$2" = 0 ] && p=1 || f=1; fi
    if [ "$2" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    # A stage that accepts some failures (conformance has floors) is judged by its status.
    if [ "$2" = 0 ]; then f=0; fi
    passed=$((passed + p)) failed=$((failed + f))
}

stage() { # name function
    local began=$SECONDS status log=$LOGS/$1.log
    echo "=== $1"
    "$2" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    count "$1" "$status" "$log"
    [ "$status" = 0 ] || failures+=("$1")
    local took=$((SECONDS - began))
    summary+=("$(printf '%-12s %-6s %5d s' "$1" "$([ "$status" = 0 ] && echo ok || echo FAILED)" "$took")")
    echo "=== $1: $([ "$status" = 0 ] && echo ok || echo "FAILED ($status)") in $took s"
    return "$status"
}

setup() { scripts/setup.sh lint node browser python prometheus image; }
build() {
    BRAMBLE_REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo unknown) cargo build --workspace --all-targets --locked
}
# What the build warned of, clippy's lints included, is a failure here.
lint() {
    cargo fmt --all --check || return
    [ -n "${RUSTC_WORKSPACE_WRAPPER:-}" ] || { echo "no clippy-driver: the lints did not run"; return 1; }
    ! grep -A 8 '^warning' "$LOGS/build.log"
}
ui() { scripts/build.sh ui && (cd ui && npm run --silent check && npm test --silent); }
# --nocapture would interleave; what a test says past the capture (simulation) or with --show-output is enough.
unit() { cargo test --workspace --locked --no-fail-fast -- --show-output; }
fuzz() { tests/fuzz/run.sh 5; }
# The image's and Buildroot's scripts, as far as they run without what they are for.
buildroot() { tests/buildroot/check; }
conformance() { tests/conformance/run --floors; }
clients() { tests/clients/run; }
browser() { tests/browser/serve-and-run; }

# Which disk implementations the disk crate's tests really ran over. Where the kernel allows io_uring, it must be one.
disks() {
    local log=$LOGS/unit.log ran="threads, simulated"
    if grep -q 'RAN io_uring' "$log"; then
        if grep -q 'SKIPPED io_uring' "$log"; then
            echo "disk implementations: io_uring's probe works, but a test skipped it"
            return 1
        fi
        ran="io_uring, $ran"
    elif ! grep -q 'SKIPPED io_uring' "$log"; then
        echo "disk implementations: the log of the unit tests does not say whether io_uring ran"
        return 1
    fi
    echo "disk implementations that ran: $ran$(grep -m1 -o 'SKIPPED io_uring.*' "$log" | sed 's/^/; /')"
    grep -h '^simulation: ' "$log" | tail -n 1
}

if [ $# -gt 0 ]; then
    with_lints
    for name in "$@"; do stage "$name" "$name"; done
else
    stage setup setup || { echo "0 passed, 1 failed"; exit 1; }
    with_lints
    stage ui ui
    if stage build build; then
        stage lint lint
        stage unit unit
        stage disks disks
        stage conformance conformance
        stage clients clients
        stage browser browser
    fi
    stage buildroot buildroot
    stage fuzz fuzz
fi

# What failed, where the end of a long log shows it.
tell_failures() {
    local log
    for name in "${failures[@]}"; do
        log=$LOGS/$name.log
        echo
        echo "FAILED: $name"
        grep -nE '^(test .* FAILED|error(\[|:)|FAIL|not ok| *✗|--- .*once more|thread .* panicked|Diff in )|needed a second run|Traceback|AssertionError' "$log" | cut -c1-300 | tail -n 40
        echo "... the end of its output:"
        tail -n 25 "$log" | cut -c1-300
    done
}
[ ${#failures[@]} = 0 ] || tell_failures

echo
echo "what ran:"
printf '  %s\n' "${summary[@]}"
[ -f "$LOGS/disks.log" ] && sed 's/^/  /' "$LOGS/disks.log"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
