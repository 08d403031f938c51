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
# Real nodes, since PrivateDevices= makes copies of them for each service.
while read -r node major minor; do
    mknod -m 666 "$root/dev/$node" c "$major" "$minor"
done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
# What systemd says there goes to nobody; the journal has it.
mknod "$root/dev/console" c 1 3
ip link set lo up
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=bramble-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
