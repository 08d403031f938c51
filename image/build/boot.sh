#!/bin/bash
# The boot partition and the slot directory's tar. Usage: boot.sh BASE INITRD WORK OUT.fat OUT.tar
# From the environment: VERSION BUILD_ID SOURCE_DATE_EPOCH.
set -euo pipefail
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")/.." && pwd)
base=$1 initrd=$2 work=$3 fat=$4 tar=$5
rm -rf "$work" "$fat"
mkdir -p "$work/A"
cp "$base"/boot/* "$work/"
cp "$base"/slot/* "$work/A/"
cp "$initrd" "$work/A/initrd.img"
cp "$here/boot/cmdline.txt" "$work/A/cmdline.txt"
printf '{"version":"%s","build_id":"%s"}\n' "$VERSION" "$BUILD_ID" >"$work/A/release.json"
cp "$here/boot/config.txt" "$here/boot/README.txt" "$here/boot/bramble.toml.example" "$work/"

# One sector of text that is overwritten in place; slot B has nothing yet, so it is no place to fall back to.
sector() { { cat; head -c 512 /dev/zero | tr '\000' '#'; } | head -c 511; echo; }
printf 'version=1\nslot=A\ntrying=\ntries_left=0\nbad=B\n' | sector >"$work/bootstate"
printf '\n' | sector >"$work/machine-id"

find "$work" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar -C "$work/A" --sort=name --owner=0 --group=0 --numeric-owner --mode=0644 --mtime="@$SOURCE_DATE_EPOCH" --format=ustar \
    -cf "$tar" $(cd "$work/A" && ls)

truncate -s 128M "$fat"
mkfs.vfat --invariant -F 32 -n BRAMBLE -i B2A3B1E0 "$fat" >/dev/null
mmd -i "$fat" ::/A ::/B
(cd "$work" && find . -type f | sort | while read -r file; do mcopy -m -i "$fat" "$file" "::/${file#./}"; done)
