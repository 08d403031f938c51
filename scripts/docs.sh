#!/bin/sh
# Writes the generated parts of docs/: the crate graph and the settings table.
set -eu
. "$(dirname "$0")/env.sh"
cd "$ROOT"
UPDATE_DOCS=1 cargo test --quiet -p bramble-tests --test house
