#!/bin/sh
# Builds the web UI and the release binary with the UI in it: scripts/build.sh [ui|bramble]...
set -eu
. "$(dirname "$0")/env.sh"
cd "$ROOT"

ui() {
    "$ROOT/scripts/setup.sh" node
    cd "$ROOT/ui"
    # npm ci starts from nothing each time: only when the lock file is newer than what it installed.
    if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
        npm ci --no-audit --no-fund --loglevel=error
        touch node_modules/.package-lock.json
    fi
    npm run --silent build
    cd "$ROOT"
}

bramble() {
    "$ROOT/scripts/setup.sh" rust
    BRAMBLE_REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
        cargo build --release --locked -p bramble
}

[ $# -gt 0 ] || set -- ui bramble
for what in "$@"; do "$what"; done
