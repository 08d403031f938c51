#!/bin/bash
# Resolves image/packages.list into image/packages.lock: name, version, sha256, file name; sorted. Usage: lock.sh OUT
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/build/apt.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
apt_lists "$work"

names=$(grep -v '^#' "$here/packages.list" | tr ' ' '\n' | grep -vx '@kernel' | grep .)
# The newest kernel of backports: three packages that carry its version in their names.
kernel=$(apt_ apt-cache depends "linux-image-arm64/$SUITE-backports" | sed -n 's/^ *Depends: linux-image-\([0-9].*-arm64\)$/\1/p')
[ -n "$kernel" ] || { echo "image: no kernel in $SUITE-backports" >&2; exit 1; }
names="$names linux-binary-$kernel linux-modules-$kernel linux-base-$kernel"

{
    echo "# Debian $SUITE arm64, made by 'scripts/image.sh lock': name version sha256 file"
    for name in $names; do
        version=$(apt_ apt-cache policy "$name" | sed -n 's/^ *Candidate: //p')
        [ -n "$version" ] && [ "$version" != "(none)" ] || { echo "image: no package $name" >&2; exit 1; }
        apt_ apt-cache show "$name=$version" | awk -v name="$name" -v version="$version" \
            '/^SHA256:/{s=$2} /^Filename:/{n=split($2,p,"/"); f=p[n]} END{print name, version, s, f}'
    done | sort
} >"$1.new"
mv "$1.new" "$1"
