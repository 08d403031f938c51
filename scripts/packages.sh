#!/bin/sh
# Makes .deb, .rpm and .tar.gz of binaries that were built before, into target/packages:
#
#     scripts/packages.sh [--version V] [--only deb,rpm,tar] BINARY...
#
# Each binary's architecture (amd64, arm64) is read from the file. The same binaries give the same packages: times are
# those of the last commit. What is needed and missing is installed (cargo-deb below target/tools, rpmbuild by apt).
# scripts/packages.sh --build makes the binary for this machine first, against glibc 2.28 (zig).
set -eu
. "$(dirname "$0")/env.sh"
cd "$ROOT"
OUT=${PACKAGES_OUT:-$TARGET/packages}
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
# Tests make packages that are larger and done in a tenth of the time.
if [ -n "${PACKAGES_FAST:-}" ]; then deb_level="--fast --compress-type gz" rpm_level=w1.gzdio tar_level=-1
# xz in the .rpm: that of RHEL 8 reads it whatever its build.
else deb_level="--compress-type xz" rpm_level=w6.xzdio tar_level=-9; fi

tools() {
    if [ ! -x "$HOUSE_TOOLS/bin/cargo-deb" ]; then
        scripts/setup.sh rust
        # A debug build of it does the same and is made in a third of the time.
        CARGO_TARGET_DIR=$TARGET/cargo-deb cargo install --quiet --debug --locked --no-default-features \
            --root "$HOUSE_TOOLS" cargo-deb@3.8.0
        rm -rf "$TARGET/cargo-deb"
    fi
    command -v rpmbuild >/dev/null 2>&1 || scripts/setup.sh rpm
}

# Machine of an ELF file: bytes 18 and 19.
architecture() {
    case $(od -An -tx1 -j18 -N2 "$1" | tr -d ' ') in
    3e00) echo amd64 ;;
    b700) echo arm64 ;;
    *) echo "packages: $1: neither x86-64 nor aarch64" >&2; return 1 ;;
    esac
}

# Without the symbols that nobody needs at run time, where a tool for that machine is here.
stripped() { # from to architecture
    cp "$1" "$2"
    case $3 in amd64) tool=x86_64-linux-gnu-strip ;; *) tool=aarch64-linux-gnu-strip ;; esac
    if command -v $tool >/dev/null 2>&1; then $tool --strip-all "$2"; fi
    chmod 755 "$2"
}

deb() { # stage architecture triple
    # cargo-deb finds the binary where cargo would have put it.
    mkdir -p "$1/$3/release"
    ln -f "$1/bramble" "$1/$3/release/bramble"
    # shellcheck disable=SC2086 # several words
    CARGO_TARGET_DIR=$1 "$HOUSE_TOOLS/bin/cargo-deb" --quiet --package bramble --no-build --no-strip --no-dbgsym \
        --compress-system $deb_level --target "$3" --deb-version "$VERSION-1" --output "$OUT/bramble_$VERSION-1_$2.deb" >/dev/null
}

rpm() { # stage machine
    for file in systemd/*.service systemd/bramble.sysusers systemd/bramble.tmpfiles systemd/bramble.toml \
        firmware/board/60-bramble-board.rules docs/install.md LICENSE; do
        cp "$file" "$1/"
    done
    # A fixed host name, for equal bytes.
    rpmbuild --quiet -bb --target "$2-linux" --define "_topdir $1/rpmbuild" --define "_sourcedir $1" --define "_rpmdir $1/rpm" \
        --define "bramble_version $VERSION" --define "bramble_release 1" --define "_buildhost bramble" \
        --define "_binary_payload $rpm_level" --define "use_source_date_epoch_as_buildtime 1" \
        --define "clamp_mtime_to_source_date_epoch 1" systemd/rpm/bramble.spec >"$1/rpmbuild.log" 2>&1 ||
        { cat "$1/rpmbuild.log" >&2; return 1; }
    cp "$1/rpm/$2"/*.rpm "$OUT/"
}

archive() { # stage machine
    name=bramble-$VERSION-linux-$2
    mkdir "$1/$name"
    ln "$1/bramble" "$1/$name/bramble"
    cp systemd/install.sh docs/install.md LICENSE "$1/$name/"
    tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r-w \
        -cf - "$name" | gzip "$tar_level" -n >"$OUT/$name.tar.gz"
}

# The program for this machine (or TRIPLE), linked by zig against the glibc of 2018.
build() {
    triple=${TRIPLE:-$(uname -m)-unknown-linux-gnu}
    scripts/setup.sh rust python
    if [ ! -x "$HOUSE_TOOLS/zig/bin/cargo-zigbuild" ]; then
        python3 -m venv "$HOUSE_TOOLS/zig"
        "$HOUSE_TOOLS/zig/bin/pip" install --quiet ziglang==0.15.2 cargo-zigbuild==0.24.0
    fi
    PATH=$HOUSE_TOOLS/zig/bin:$PATH CARGO_TARGET_DIR=$TARGET/zig \
        BRAMBLE_REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
        cargo-zigbuild zigbuild --release --locked --target "$triple.2.28" -p bramble >&2
    echo "$TARGET/zig/$triple/release/bramble"
}

binaries= only=deb,rpm,tar
while [ $# -gt 0 ]; do
    case $1 in
    --version) VERSION=$2; shift ;;
    --only) only=$2; shift ;;
    --build) binaries="$binaries $(build)" ;;
    -*) echo "packages: no such option: $1" >&2; exit 2 ;;
    *) binaries="$binaries $1" ;;
    esac
    shift
done
[ -n "$binaries" ] || { echo "usage: scripts/packages.sh [--version V] BINARY... | --build" >&2; exit 2; }

tools
mkdir -p "$OUT"
for binary in $binaries; do
    arch=$(architecture "$binary")
    case $arch in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac
    stage=$OUT/.stage-$arch
    rm -rf "$stage"
    mkdir -p "$stage"
    stripped "$binary" "$stage/bramble" "$arch"
    case $only in *deb*) deb "$stage" "$arch" $machine-unknown-linux-gnu ;; esac
    case $only in *rpm*) rpm "$stage" $machine ;; esac
    case $only in *tar*) archive "$stage" $machine ;; esac
    rm -rf "$stage"
done
cd "$OUT"
find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS
cat SHA256SUMS
