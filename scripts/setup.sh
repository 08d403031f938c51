#!/bin/sh
# Installs what is missing on a bare Debian 12 or 13, asking nothing:
#
#     scripts/setup.sh [rust] [lint] [node] [browser] [python] [prometheus] [rsyslog] [rpm] [roots]...
#                      [cross-linker] [cross-debian] [image] [machine]...
#
# Everything that is already there, from wherever, is used as it is; the package lists are only updated when
# something must be installed. Works as root or with sudo. Prints what it installs and nothing else.
set -eu
. "$(dirname "$0")/env.sh"

RUST_MINOR=95 # as rust-version in Cargo.toml
NODE_MAJOR=18

updated=
apt_install() {
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
    if [ -n "$as_root" ] && ! command -v sudo >/dev/null 2>&1; then
        echo "setup: $* must be installed: run as root, or install sudo" >&2
        exit 1
    fi
    echo "setup: installing $*" >&2
    if [ -z "$updated" ]; then
        $as_root apt-get update -qq >&2
        updated=1
    fi
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Whether the newest package that apt knows is at least this version.
apt_has() {
    [ -n "$updated" ] || { if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi; updated=1; } >&2
    candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ] && dpkg --compare-versions "$candidate" ge "$2"
}

base() {
    missing=
    command -v cc >/dev/null 2>&1 && command -v make >/dev/null 2>&1 || missing="$missing build-essential"
    for tool in pkg-config curl python3; do
        command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
    done
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing
}

rust_minor() { rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p'; }

rust() {
    base
    minor=$(rust_minor)
    if [ "${minor:-0}" -ge $RUST_MINOR ] && command -v cargo >/dev/null 2>&1; then return; fi
    # An installed rustup is asked first; then Debian's own compiler where it is new enough (rustc-web, in the
    # security archive, follows the browsers' needs and so stays recent); then Debian's rustup.
    if command -v rustup >/dev/null 2>&1; then
        rustup toolchain install stable --profile minimal --component clippy --component rustfmt >&2
        rustup default stable >&2
    elif apt_has cargo 1.$RUST_MINOR; then
        apt_install rustc cargo
    elif apt_has rustc-web 1.$RUST_MINOR; then
        apt_install rustc-web cargo-web
    elif apt_has rustup 0; then
        apt_install rustup
        rustup default stable >&2
    fi
    minor=$(rust_minor)
    [ "${minor:-0}" -ge $RUST_MINOR ] || {
        echo "setup: Rust 1.$RUST_MINOR or newer is needed; found: $(rustc --version 2>/dev/null || echo none)" >&2
        exit 1
    }
}

lint() {
    rust
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null 2>&1; then
        rustup component add clippy rustfmt >&2
    elif dpkg -s rustc-web >/dev/null 2>&1; then
        apt_install rustfmt-web rust-web-clippy
    else
        apt_install rustfmt rust-clippy
    fi
}

node_major() { node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'; }

node_() {
    base
    major=$(node_major)
    if [ "${major:-0}" -ge $NODE_MAJOR ] && command -v npm >/dev/null 2>&1; then return; fi
    apt_install nodejs npm
    major=$(node_major)
    [ "${major:-0}" -ge $NODE_MAJOR ] && return
    # The npm package `node` carries the runtime itself; it stays below target/ (see env.sh).
    echo "setup: Debian's Node is too old ($(node --version)); taking npm's" >&2
    npm install --silent --no-save --prefix "$HOUSE_TOOLS/node" node@22 >&2
}

browser() { command -v chromium >/dev/null 2>&1 || [ -n "${CHROMIUM:-}" ] || apt_install chromium; }

python() {
    base
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || apt_install python3-venv
}

# Downloads packages of unstable into the working directory, from the mirror that this machine uses, through lists of
# its own: the machine's stay as they are. Fails where there is no such mirror.
from_unstable() {
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/$' | head -n 1)
    [ -n "$mirror" ] || return 1
    lists=$PWD/apt
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    echo "deb $mirror sid main" >"$lists/sources.list"
    packages=$*
    set -- -qq -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User=root
    # shellcheck disable=SC2086 # names of packages
    apt-get "$@" update >/dev/null 2>&1 && apt-get "$@" download $packages >/dev/null 2>&1
    status=$?
    rm -rf "$lists"
    return $status
}

# Debian's Prometheus, unpacked privately: installing it would start a service and take port 9090. The newest one, since
# only that sends remote write 2.0; else the release's own, with which tests of newer features say that they skip.
prometheus() {
    [ -x "$HOUSE_TOOLS/prometheus/usr/bin/prometheus" ] && [ -x "$HOUSE_TOOLS/prometheus/usr/bin/promtool" ] && return
    command -v apt-get >/dev/null 2>&1 || return
    apt_has prometheus 2 || { echo "setup: no prometheus package" >&2; exit 1; }
    mkdir -p "$HOUSE_TOOLS/prometheus"
    (
        cd "$HOUSE_TOOLS/prometheus"
        # Unstable has promtool in a package of its own.
        from_unstable prometheus promtool || apt-get download -qq prometheus >/dev/null 2>&1
        for package in ./*.deb; do
            dpkg -x "$package" .
            rm "$package"
        done
    )
}

# Unstable's rsyslog, unpacked privately with every library it needs, the C library included: older releases have it
# without its HTTP output. It is started by its own loader (tests/clients/rsyslog.py). Where it cannot be had, tests say
# that they skip.
rsyslog() {
    root=$HOUSE_TOOLS/rsyslog
    [ -x "$root/usr/sbin/rsyslogd" ] && return
    command -v apt-get >/dev/null 2>&1 || return 0
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/$' | head -n 1)
    [ -n "$mirror" ] || return 0
    (
        mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
        cd "$root"
        echo "deb $mirror sid main" >apt/sources.list
        # Nothing counts as installed, so everything is fetched.
        : >apt/status
        set -- -qq -o "Dir::Etc::SourceList=$root/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
            -o "Dir::State::Lists=$root/apt/lists" -o "Dir::State::status=$root/apt/status" \
            -o "Dir::Cache::archives=$root/apt/archives" -o APT::Sandbox::User=root
        if apt-get "$@" update >/dev/null 2>&1 &&
            apt-get "$@" install -y --no-install-recommends --download-only rsyslog rsyslog-http >/dev/null 2>&1; then
            for package in apt/archives/*.deb; do
                dpkg -x "$package" .
            done
        fi
        rm -rf apt
    )
}

# To link for the Pi.
cross_linker() {
    base
    command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
}

# Debian's own Rust for the Pi: its standard library is a package of the architecture arm64.
cross_debian() {
    cross_linker
    [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/aarch64-unknown-linux-gnu ] && return
    if [ "$(id -u)" = 0 ]; then dpkg --add-architecture arm64; else sudo dpkg --add-architecture arm64; fi
    updated=
    if apt_has rustc 1.$RUST_MINOR; then
        apt_install rustc cargo libstd-rust-dev:arm64
    else
        apt_install rustc-web cargo-web libstd-rust-web-dev:arm64
    fi
}

# To make the image: file systems without mounting any.
image() {
    base
    missing=
    while read -r tool package; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null 2>&1 || missing="$missing $package"
    done <<'TOOLS'
mksquashfs squashfs-tools
mcopy mtools
mkfs.vfat dosfstools
mke2fs e2fsprogs
depmod kmod
cpio cpio
zstd zstd
xz xz-utils
openssl openssl
readelf binutils
TOOLS
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing
}

# To boot it: an emulated 64-bit Arm machine. Tools of another release that stand in the way are replaced by this one's.
machine() {
    image
    command -v qemu-system-aarch64 >/dev/null 2>&1 && command -v qemu-img >/dev/null 2>&1 && return
    apt_install qemu-system-arm qemu-utils 2>/dev/null && return
    apt_has qemu-system-arm 1:7 || { echo "setup: no qemu-system-arm package" >&2; exit 1; }
    apt_install --allow-downgrades qemu-system-arm "qemu-utils=$candidate"
}

# Building .rpm files, and looking into them.
rpm() { command -v rpmbuild >/dev/null 2>&1 || apt_install rpm; }

# Fresh Debian roots, for tests of packages.
roots() {
    missing=
    command -v mmdebstrap >/dev/null 2>&1 || missing="$missing mmdebstrap"
    command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
    command -v objdump >/dev/null 2>&1 || missing="$missing binutils"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing
}

[ $# -gt 0 ] || set -- rust node
for what in "$@"; do
    case $what in
    rust) rust ;;
    lint) lint ;;
    node) node_ ;;
    browser) browser ;;
    python) python ;;
    prometheus) prometheus ;;
    rsyslog) rsyslog ;;
    rpm) rpm ;;
    roots) roots ;;
    cross-linker) cross_linker ;;
    cross-debian) cross_debian ;;
    image) image ;;
    machine) machine ;;
    *) echo "setup: no such part: $what" >&2; exit 2 ;;
    esac
done
