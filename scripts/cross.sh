#!/bin/bash
# The aarch64 binary with the UI in it, stripped: scripts/cross.sh [PROFILE]
#
# PROFILE is `appliance` (default: what is shipped) or `appliance-quick` (compiled in a fraction of the time, for tests).
# Takes what there is, in this order: rustup with its aarch64 target and a cross linker, `cross` (cross.toml), Debian's
# cross toolchain, which it installs. CROSS_WITH=rustup|cross|debian chooses. The last line printed is the binary's path.
#
# Same sources, same compiler: same bytes. Paths are taken out, the only time that gets in is SOURCE_DATE_EPOCH.
set -euo pipefail
. "$(dirname "$0")/env.sh"
cd "$ROOT"

profile=${1:-appliance}
triple=aarch64-unknown-linux-gnu
export CARGO_TARGET_DIR=$TARGET/cross CARGO_INCREMENTAL=0
[ -e ui/dist/index.html ] || scripts/build.sh ui >&2

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
BRAMBLE_REVISION=${BRAMBLE_REVISION:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
export SOURCE_DATE_EPOCH BRAMBLE_REVISION

cargo_home=${CARGO_HOME:-${HOME:-/root}/.cargo}
flags=("--remap-path-prefix=$ROOT=/bramble" "--remap-path-prefix=$cargo_home=/cargo"
    "--remap-path-prefix=$CARGO_TARGET_DIR=/target"
    # Nothing unwinds (panic = "abort"), and a stripped binary has no names for a trace: a tenth of its size.
    "-Cforce-unwind-tables=no")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
export CFLAGS_aarch64_unknown_linux_gnu="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$CARGO_TARGET_DIR=/target -fno-asynchronous-unwind-tables"

linker() { command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || scripts/setup.sh cross-linker >&2; }

# rustup adds the target if it can fetch it: not every machine may.
with_rustup() {
    command -v rustup >/dev/null 2>&1 || return 1
    rustup target list --installed 2>/dev/null | grep -qx $triple || timeout 300 rustup target add $triple >&2 || return 1
    linker && command -v aarch64-linux-gnu-gcc >/dev/null 2>&1
}

build() { "$@" build --locked --profile "$profile" --target $triple -p bramble >&2; }

# Debian's compiler and standard library, called by path: the cargo that comes first on PATH stays as it is.
build_with_debian() {
    scripts/setup.sh cross-debian >&2
    RUSTC=/usr/bin/rustc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar \
        build /usr/bin/cargo
}

with=${CROSS_WITH:-}
if [ -z "$with" ]; then
    if with_rustup; then with=rustup; elif command -v cross >/dev/null 2>&1; then with=cross; else with=debian; fi
fi
echo "cross: with $with, profile $profile" >&2
case $with in
rustup) linker && build cargo ;;
cross) CROSS_CONFIG=$ROOT/cross.toml build cross ;;
debian) build_with_debian ;;
*) echo "cross: CROSS_WITH is rustup, cross or debian" >&2; exit 2 ;;
esac

binary=$CARGO_TARGET_DIR/$triple/$profile/bramble
floor=$(aarch64-linux-gnu-objdump -T "$binary" 2>/dev/null | grep -o 'GLIBC_2[.0-9]*' | sort -uV | tail -n 1 || true)
echo "cross: $(stat -c %s "$binary") bytes, needs ${floor:-an unknown C library}" >&2
echo "$binary"
