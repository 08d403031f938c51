#!/bin/sh
# Starts systemd as process 1 of a root directory: boot.sh ROOT. Called inside fresh mount, process, network, host name
# and control group namespaces (machine.py), so it sees and reaches nothing of the machine around it but the kernel.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" 2>/dev/null || {
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
}
for directory in run tmp dev; do mount -t tmpfs tmpfs "$root/$directory"; done
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
# What systemd says goes to nobody; the journal has it.
: >"$root/dev/console"
mount --bind /dev/null "$root/dev/console"
ip link set lo up
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=bramble-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
