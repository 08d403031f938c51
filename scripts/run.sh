#!/bin/sh
# Serves the built binary. Data goes where `bramble` would put it (storage.data_dir = "auto") unless told otherwise.
set -eu
. "$(dirname "$0")/env.sh"
exec "$HOUSE_BIN" serve "$@"
