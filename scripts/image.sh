#!/bin/bash
# The flashable image, and the update bundle: scripts/image.sh [image|bundle|base|lock]
#
#   image   (default) $OUT/bramble-<version>-arm64.img.xz, .sha256, .bramble and what is in them (SBOM)
#   bundle  only the .bramble
#   base    only what does not depend on Bramble, into the cache
#   lock    resolves image/packages.list anew into image/packages.lock; to be committed
#
# Neither root, nor a container engine, nor mounts, nor an Arm machine is needed. From the environment, all optional:
#   VERSION BUILD_ID SOURCE_DATE_EPOCH   what it is called; from Cargo.toml and git
#   BUNDLE_KEY      private key that signs (PEM, Ed25519); one is made below target/ otherwise
#   IMAGE_QUICK=1   binary and compression for tests, in a fraction of the time; image not packed
#   IMAGE_BINARY    an aarch64 binary that is there already
#   IMAGE_BROKEN=1  a slot whose application never becomes healthy (tests of the fallback)
#   IMAGE_CACHE OUT DEBIAN_MIRROR
set -euo pipefail
. "$(dirname "$0")/env.sh"
cd "$ROOT"
export LC_ALL=C TZ=UTC PATH=$PATH:/usr/sbin:/sbin
what=${1:-image}
build=$ROOT/image/build
cache=${IMAGE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bramble/image}
OUT=${OUT:-$TARGET/image}
work=$OUT/work
mkdir -p "$cache" "$work"

VERSION=${VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)}
BUILD_ID=${BUILD_ID:-$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
export VERSION BUILD_ID SOURCE_DATE_EPOCH
name=bramble-$VERSION-arm64

scripts/setup.sh image >&2
if [ "$what" = lock ]; then exec "$build/lock.sh" "$ROOT/image/packages.lock"; fi

# --- the base, by what it is made of
lock=$ROOT/image/packages.lock
base_of() { # lock
    local key
    key=$(cat "$1" "$build/base.sh" image/boot/{modules,applets,boards}.list image/initramfs/modules.list | sha256sum | head -c 16)
    echo "$cache/base-$key"
}
base=$(base_of "$lock")
if [ ! -e "$base/root.tar" ]; then
    began=$SECONDS
    "$build/fetch.sh" "$lock" "$cache/debs" || {
        [ $? = 3 ] && [ -z "${IMAGE_LOCKED:-}" ] || exit 1
        # Not what was committed, and said so; a release sets IMAGE_LOCKED=1.
        lock=$cache/packages.lock
        [ -n "$(find "$lock" -mtime -1 2>/dev/null)" ] || "$build/lock.sh" "$lock"
        echo "image: NOT the committed versions: $(diff "$ROOT/image/packages.lock" "$lock" | grep -c '^>') packages differ" >&2
        base=$(base_of "$lock")
        "$build/fetch.sh" "$lock" "$cache/debs"
    }
    [ -e "$base/root.tar" ] || "$build/base.sh" "$lock" "$cache/debs" "$base"
    # Older ones are not needed again.
    find "$cache" -maxdepth 1 -name 'base-*' ! -path "$base" -exec rm -rf {} +
    echo "image: base made in $((SECONDS - began)) s" >&2
fi
if [ "$what" = base ]; then echo "$base"; exit; fi

# --- the key that updates are signed with
key=${BUNDLE_KEY:-$OUT/update-key.pem}
[ -e "$key" ] || (umask 077 && openssl genpkey -algorithm ed25519 -out "$key")
rm -rf "$work/keys"
mkdir -p "$work/keys"
openssl pkey -in "$key" -pubout -outform DER | tail -c 32 | base64 >"$work/keys/build.pub"
# Further keys that the image is to believe (an old one, during a change of keys).
for more in ${BUNDLE_PUBLIC_KEYS:-}; do cp "$more" "$work/keys/"; done

# --- binary, root, boot files
profile=appliance
export LEVEL=15
if [ -n "${IMAGE_QUICK:-}" ]; then profile=appliance-quick LEVEL=3; fi
binary=${IMAGE_BINARY:-$(scripts/cross.sh "$profile" | tail -n 1)}
began=$SECONDS
KEYS=$work/keys BROKEN=${IMAGE_BROKEN:-} "$build/root.sh" "$base" "$binary" "$work/root" "$work/root.squashfs"
"$build/initramfs.sh" "$base" "$ROOT/firmware/appliance/initramfs/slot.sh" "$work/initrd.img"
"$build/boot.sh" "$base" "$work/initrd.img" "$work/boot" "$work/boot.fat" "$work/boot.tar"
"$build/bundle.py" "$OUT/$name.bramble" --root "$work/root.squashfs" --boot-tar "$work/boot.tar" --key "$key" \
    --version "$VERSION" --build-id "$BUILD_ID" --time "$SOURCE_DATE_EPOCH" --boards "pi3 pi4 pi5 zero2w"
rm -rf "$work/root" "$work/boot"
sizes() { for file in "$@"; do printf 'image: %9d bytes %s\n' "$(stat -c %s "$file")" "${file##*/}" >&2; done; }
sizes "$binary" "$work/root.squashfs" "$work/initrd.img" "$OUT/$name.bramble"
if [ "$what" = bundle ]; then echo "$OUT/$name.bramble"; exit; fi

# --- data, and all of it together. The file system is made to grow to a large disk's size while mounted.
export E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
rm -f "$work/data.ext4"
mke2fs -q -t ext4 -L data -m 1 -U 0b5a3b1e-0000-4000-8000-000000000001 -J size=8 \
    -E "hash_seed=0b5a3b1e-0000-4000-8000-000000000002,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,resize=256000000" \
    -b 4096 "$work/data.ext4" 64M
image=$OUT/$name.img
"$build/assemble.py" "$image" "$work/boot.fat" "$work/root.squashfs" - "$work/data.ext4"
rm -f "$work/data.ext4" "$work/boot.fat"
echo "image: assembled in $((SECONDS - began)) s" >&2
if [ -n "${IMAGE_QUICK:-}" ]; then echo "$image"; exit; fi

# Nearly all of it is compressed already.
xz -1 -T0 --block-size=16MiB -kf "$image"
rm "$image"
cp "$lock" "$OUT/$name.packages"
for sbom in scripts/sbom.sh scripts/sbom.py; do
    [ ! -x "$sbom" ] || IMAGE_PACKAGES="$OUT/$name.packages" "$sbom" "$OUT/$name.sbom.json" >&2 || echo "image: no SBOM" >&2
done
(cd "$OUT" && sha256sum "$name.img.xz" "$name.bramble" >"$name.sha256")
sizes "$image.xz"
echo "$image.xz"
