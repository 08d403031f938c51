#!/bin/bash
# Brings the packages of a lock file into a directory, each checked against its sha256. Usage: fetch.sh LOCK DIRECTORY
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/build/apt.sh"
lock=$1 debs=$2
mkdir -p "$debs"

missing=()
while read -r name version sum file; do
    case $name in '#'*) continue ;; esac
    echo "$sum  $debs/$file" | sha256sum --check --status 2>/dev/null || missing+=("$name=$version")
done <"$lock"
[ ${#missing[@]} -gt 0 ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
apt_lists "$work"
echo "image: fetching ${#missing[@]} packages" >&2
(cd "$work" && apt_ apt-get -qq download "${missing[@]}" >&2) || {
    # A mirror keeps the newest version only.
    echo "image: the mirror has newer packages than image/packages.lock: run scripts/image.sh lock, and commit it" >&2
    exit 3
}
while read -r name version sum file; do
    case $name in '#'*) continue ;; esac
    found=$(find "$work" -maxdepth 1 -name "${name}_*.deb" | head -n 1)
    [ -n "$found" ] || continue
    echo "$sum  $found" | sha256sum --check --status || { echo "image: $name is not what the lock file says" >&2; exit 1; }
    mv "$found" "$debs/$file"
done <"$lock"
