# Sourced by the other scripts: where things are. Everything that is made or fetched stays below target/.
# No name here begins with BRAMBLE_: those are settings of the binary, which refuses ones it does not know.
ROOT=$(cd "$(dirname "$0")" && while [ ! -f Cargo.lock ] && [ "$PWD" != / ]; do cd ..; done && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
HOUSE_TOOLS=$TARGET/tools
HOUSE_BIN=${HOUSE_BIN:-$TARGET/release/bramble}
PATH=$HOUSE_TOOLS/node/node_modules/.bin:$PATH
[ -d "${HOME:-/root}/.cargo/bin" ] && PATH=$PATH:${HOME:-/root}/.cargo/bin
# A registry that hiccups is asked again.
CARGO_NET_RETRY=${CARGO_NET_RETRY:-5}
npm_config_fetch_retries=5
export ROOT TARGET HOUSE_TOOLS HOUSE_BIN PATH CARGO_NET_RETRY npm_config_fetch_retries
