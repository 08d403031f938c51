# Sourced: apt for arm64 trixie through lists of its own, from the mirror that this machine uses (or DEBIAN_MIRROR).
# Needs no root, changes nothing of the machine's.
SUITE=trixie

apt_lists() { # directory
    APT_DIR=$1
    local mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/*$' | head -n 1)}
    mirror=${mirror%/}
    [ -n "$mirror" ] || { echo "image: no Debian mirror in this machine's sources: set DEBIAN_MIRROR" >&2; return 1; }
    mkdir -p "$APT_DIR/lists/partial" "$APT_DIR/archives/partial"
    : >"$APT_DIR/status"
    {
        echo "deb [signed-by=$keys] $mirror $SUITE main non-free-firmware"
        echo "deb [signed-by=$keys] $mirror $SUITE-backports main"
        echo "deb [signed-by=$keys] $mirror-security $SUITE-security main non-free-firmware"
    } >"$APT_DIR/sources.list"
    apt_ apt-get -qq update >&2
}

apt_() {
    local tool=$1
    shift
    "$tool" -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User="$(id -un)" \
        -o Dir::Etc::SourceList="$APT_DIR/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State::Lists="$APT_DIR/lists" -o Dir::State::status="$APT_DIR/status" \
        -o Dir::Cache="$APT_DIR" -o Dir::Cache::archives="$APT_DIR/archives" -o Acquire::Languages=none \
        -o Acquire::Retries=5 "$@"
}
