#!/bin/bash
# The initramfs, for both slots the same. Usage: initramfs.sh BASE SLOT.SH OUT
set -euo pipefail
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")/.." && pwd)
base=$1 rules=$2 out=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,proc,sys,dev,run,root,boot,modules}
cp "$base/initramfs/busybox" "$work/bin/busybox"
for name in sh mount umount insmod switch_root mkdir cat sleep echo ls reboot tr head sed awk dd sync printf sha256sum; do
    ln -s busybox "$work/bin/$name"
done
cp "$base"/initramfs/modules/* "$work/modules/"
cp "$base/initramfs/load" "$work/load"
cp "$rules" "$work/slot.sh"
install -m 755 "$here/initramfs/init" "$work/init"
find "$work" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$work" && find . -print0 | sort -z | cpio -0 -o -H newc --reproducible --quiet -R 0:0) | zstd -q -19 -c >"$out"
