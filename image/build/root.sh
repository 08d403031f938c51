#!/bin/bash
# The root file system of a slot: the base, the overlay, Bramble. Usage: root.sh BASE BINARY WORK OUT
# From the environment: VERSION BUILD_ID SOURCE_DATE_EPOCH KEYS (directory of *.pub) LEVEL (zstd) BROKEN (for tests).
set -euo pipefail
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")/.." && pwd)
source=$here/..
base=$1 binary=$2 root=$3 out=$4
rm -rf "$root" "$out"
mkdir -p "$root"
tar -C "$root" --no-same-owner -xpf "$base/root.tar"
rm -rf "$root"/etc/systemd/network "$root"/etc/{machine-id,hostname,resolv.conf,localtime,timezone,os-release,mtab}
cp -R --preserve=mode "$here/overlay/." "$root/"

# --- Bramble
install -D -m 755 "$binary" "$root/usr/bin/bramble"
install -D -m 644 "$source/systemd/bramble.service" "$root/usr/lib/systemd/system/bramble.service"
[ ! -e "$source/firmware/board/60-bramble-board.rules" ] ||
    install -m 644 "$source/firmware/board/60-bramble-board.rules" "$root/usr/lib/udev/rules.d/"
mkdir -p "$root/usr/share/bramble/update-keys" "$root"/{data,boot/firmware,root,proc,sys,dev,run,tmp,var,etc/systemd/system}
cp "$KEYS"/*.pub "$root/usr/share/bramble/update-keys/"
install -m 644 "$source/LICENSE" "$root/usr/share/bramble/LICENSE"
cat >"$root/usr/lib/os-release" <<RELEASE
PRETTY_NAME="Bramble $VERSION"
NAME=Bramble
ID=bramble
ID_LIKE=debian
VERSION_ID=$VERSION
BUILD_ID=$BUILD_ID
IMAGE_ID=bramble
IMAGE_VERSION=$VERSION
DEFAULT_HOSTNAME=bramble
RELEASE
ln -s ../usr/lib/os-release "$root/etc/os-release"
# What changes is elsewhere.
ln -s ../data/etc/hostname "$root/etc/hostname"
ln -s ../data/etc/localtime "$root/etc/localtime"
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
ln -s ../proc/self/mounts "$root/etc/mtab"
mkdir -p "$root/etc/systemd"
ln -s ../../data/etc/network "$root/etc/systemd/network"
# The mount point of the initramfs' machine-id.
: >"$root/etc/machine-id"
# The clock never starts before this.
: >"$root/usr/lib/clock-epoch"

# --- which units start: said here, nothing else does
units=$root/etc/systemd/system
want() { # target unit...
    local target=$1 unit
    shift
    mkdir -p "$units/$target.wants"
    for unit in "$@"; do
        ln -sf "/usr/lib/systemd/system/${unit/@*./@.}" "$units/$target.wants/$unit"
    done
}
rm -rf "$units"/*.wants "$units"/dbus-*
want local-fs.target data.mount boot-firmware.mount var.mount tmp.mount
want data.mount bramble-grow-data.service systemd-growfs@data.service
want sysinit.target bramble-clock.service systemd-timesyncd.service bramble-first-boot.service
want timers.target bramble-clock-save.timer systemd-tmpfiles-clean.timer
want sockets.target bramble-helper.socket systemd-networkd.socket
want multi-user.target systemd-networkd.service systemd-resolved.service bramble.service bramble-commit.service \
    bramble-ssh.service bramble-console@tty1.service \
    bramble-console@ttyS1.service bramble-console@ttyAMA0.service bramble-console@ttyAMA10.service
ln -sf /usr/lib/systemd/system/multi-user.target "$units/default.target"
for unit in systemd-journal-catalog-update.service ldconfig.service systemd-hwdb-update.service systemd-update-done.service \
    systemd-networkd-wait-online.service systemd-machine-id-commit.service systemd-firstboot.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-pcrmachine.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    systemd-tpm2-setup.service systemd-tpm2-setup-early.service systemd-boot-random-seed.service systemd-journal-flush.service \
    systemd-logind.service systemd-user-sessions.service systemd-sysusers.service systemd-ask-password-wall.path \
    systemd-ask-password-console.path getty.target systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    dev-hugepages.mount systemd-userdbd.socket systemd-homed.service systemd-rfkill.socket systemd-random-seed.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-mqueue.mount \
    run-lock.mount modprobe@configfs.service modprobe@fuse.service systemd-creds.socket systemd-initctl.socket \
    systemd-pcrextend.socket systemd-pcrlock.socket systemd-sysext.socket systemd-hostnamed.socket \
    systemd-hibernate-clear.service systemd-udev-load-credentials.service systemd-remount-fs.service \
    systemd-ask-password-console.service systemd-network-generator.service systemd-networkd-persistent-storage.service \
    fstrim.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer wpa_supplicant.service dropbear.service; do
    ln -sf /dev/null "$units/$unit"
done
rm -f "$root/usr/lib/systemd/system-generators/systemd-getty-generator"
# They would write into /etc, /srv and homes, which are read-only and as they should be.
(cd "$root/usr/lib/tmpfiles.d" && rm -f etc.conf credstore.conf home.conf provision.conf legacy.conf debian.conf systemd-nspawn.conf systemd-pstore.conf portables.conf x11.conf)

# A slot whose application never becomes healthy, for tests/boot/soak.
if [ -n "${BROKEN:-}" ]; then
    mkdir -p "$units/bramble.service.d"
    printf '[Service]\nExecStart=\nExecStart=/bin/sleep infinity\nType=simple\nWatchdogSec=0\n' >"$units/bramble.service.d/zz-broken.conf"
fi

chmod 600 "$root/etc/shadow"
chmod 700 "$root/root"
# Owners are given by mksquashfs, so that nobody needs to be root: all of it is root's.
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
unset_epoch=$SOURCE_DATE_EPOCH
env -u SOURCE_DATE_EPOCH mksquashfs "$root" "$out" -quiet -no-progress -noappend -all-root -no-exports -no-xattrs \
    -comp zstd -Xcompression-level "${LEVEL:-15}" -b 256K -mkfs-time "$unset_epoch" -all-time "$unset_epoch"
