#!/usr/bin/env bash
# From what Buildroot built to a card and an update bundle, by the programs that make the Debian-based image: the same
# overlay, units, initramfs, slots, partition table and bundle format, since it is the same code.
# Usage: post-image.sh BINARIES BOARD; from the environment as in scripts/image.sh: VERSION BUILD_ID BUNDLE_KEY LEVEL.
set -euo pipefail
binaries=$1 board=$2
source=$(cd "$BR2_EXTERNAL_BRAMBLE_PATH/.." && pwd)
build=$source/image/build
work=$binaries/bramble
rm -rf "$work"
mkdir -p "$work"/{keys,base/boot,base/slot,base/initramfs/modules}

VERSION=${VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$source/Cargo.toml")}
BUILD_ID=${BUILD_ID:-$(git -C "$source" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 1767225600)}
export VERSION BUILD_ID SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

# --- what image/build/base.sh makes of Debian's packages, made of Buildroot's output
base=$work/base
cp "$binaries/rootfs.tar" "$base/root.tar"
# Whoever unpacks it need not be root, and makes no device nodes; the kernel does.
tar --delete --wildcards -f "$base/root.tar" './dev/*' 2>/dev/null || true
# A Pi 5 starts from its own flash memory and needs none of these.
find "$binaries/rpi-firmware" -maxdepth 1 \( -name '*.elf' -o -name '*.dat' -o -name bootcode.bin \) \
	-exec cp {} "$base/boot/" \; 2>/dev/null || true
printf 'Raspberry Pi boot firmware: see https://github.com/raspberrypi/firmware\n' >"$base/boot/FIRMWARE.txt"
cp "$binaries/Image.gz" "$base/slot/kernel8.img"
cp "$binaries"/*.dtb "$base/slot/"
cp "$TARGET_DIR/bin/busybox" "$base/initramfs/busybox"
# All that leads to the root is built into the kernel (linux.fragment): nothing to load. The folder may not be empty.
: >"$base/initramfs/load"
: >"$base/initramfs/modules/built-in"

# --- the key that updates are signed with
key=${BUNDLE_KEY:-$binaries/update-key.pem}
[ -e "$key" ] || (umask 077 && openssl genpkey -algorithm ed25519 -out "$key")
openssl pkey -in "$key" -pubout -outform DER | tail -c 32 | base64 >"$work/keys/build.pub"

# --- the image's own steps
KEYS=$work/keys "$build/root.sh" "$base" "$TARGET_DIR/usr/bin/bramble" "$work/root" "$work/root.squashfs"
"$build/initramfs.sh" "$base" "$source/firmware/appliance/initramfs/slot.sh" "$work/initrd.img"
"$build/boot.sh" "$base" "$work/initrd.img" "$work/boot" "$work/boot.fat" "$work/boot.tar"
name=bramble-$VERSION-$board-buildroot
"$build/bundle.py" "$binaries/$name.bramble" --root "$work/root.squashfs" --boot-tar "$work/boot.tar" --key "$key" \
	--version "$VERSION" --build-id "$BUILD_ID" --time "$SOURCE_DATE_EPOCH" --boards "$board"
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -t ext4 -L data -m 1 -U 0b5a3b1e-0000-4000-8000-000000000001 -J size=8 \
	-E "hash_seed=0b5a3b1e-0000-4000-8000-000000000002,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,resize=256000000" \
	-b 4096 "$work/data.ext4" 64M
"$build/assemble.py" "$binaries/$name.img" "$work/boot.fat" "$work/root.squashfs" - "$work/data.ext4"
rm -rf "$work"
echo "post-image: $binaries/$name.img, $binaries/$name.bramble"
