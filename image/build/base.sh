#!/bin/bash
# What does not depend on Bramble: packages unpacked and thinned out, kernel modules chosen, boot files and the initramfs'
# modules put aside. Usage: base.sh LOCK DEBS OUT. OUT gets root.tar, boot/ (for p1), slot/ (for A/ and B/), initramfs/.
#
# Runs as anyone: nothing is chrooted into, mounted, or run from the packages.
set -euo pipefail
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")/.." && pwd)
lock=$1 debs=$2 out=$3
work=$out.new
rm -rf "$work"
mkdir -p "$work"/{root,kernel,firmware,boot,slot,initramfs}
root=$work/root

skip=(--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' --exclude='./usr/share/locale/*'
    --exclude='./usr/share/lintian/*' --exclude='./usr/share/bug/*' --exclude='./usr/share/bash-completion/*'
    --exclude='./usr/share/zsh/*' --exclude='./usr/share/initramfs-tools/*' --exclude='./usr/share/polkit-1/*'
    --exclude='./usr/share/dbus-1/*' --exclude='./usr/lib/udev/hwdb.d/*' --exclude='./var/*' --exclude='./usr/share/man'
    --exclude='./etc/init.d/*' --exclude='./etc/pam.d/*' --exclude='./usr/share/pam*')
# base-files first: it makes /bin, /lib and /sbin links into /usr.
for name in base-files $(sed -n 's/^\([a-z0-9][^ ]*\) .*/\1/p' "$lock" | grep -vx base-files); do
    file=$debs/$(awk -v n="$name" '$1==n{print $4}' "$lock")
    case $name in
    linux-*) into=$work/kernel ;;
    raspi-firmware) into=$work/firmware ;;
    *) into=$root ;;
    esac
    dpkg-deb --fsys-tarfile "$file" | tar -C "$into" -x --no-same-owner --same-permissions --keep-directory-symlink "${skip[@]}"
done

# --- of the packages' files, what an appliance has no use for
cd "$root"
rm -rf usr/lib/udev/hwdb.bin usr/lib/systemd/catalog usr/share/{common-licenses,base-files,keyrings,menu,applications,icons,readline} \
    usr/share/{python3,perl5,gcc,gdb} usr/lib/systemd/system-generators/systemd-{gpt-auto,cryptsetup,veritysetup,hibernate-resume,bless-boot,tpm2,ssh,integritysetup,sysv,rc-local,system-update}-generator \
    usr/lib/systemd/user usr/lib/systemd/user-* usr/lib/environment.d etc/{cron.daily,logcheck,dpkg,apt,kernel,X11,xdg,skel,default,profile.d,update-motd.d} usr/lib/pcrlock.d
rm -rf usr/lib/aarch64-linux-gnu/{gconv,security,engines-3,perl*} usr/share/{fish,dict,metainfo,mime,bash-completion,bug,lintian,zsh,initramfs-tools}
rm -f usr/bin/lslogins usr/bin/lastlog2 etc/{motd,issue,issue.net,debian_version} etc/e2scrub.conf \
    usr/bin/systemd-{cryptenroll,cryptsetup} usr/bin/bootctl usr/sbin/{e2scrub,e2scrub_all} usr/bin/{cfdisk,kernel-install,ukify} usr/sbin/cfdisk
# Terminal descriptions come with ncurses-base, which is not taken; zone names outside the region folders are aliases.
rm -rf usr/share/zoneinfo/{posix,right} usr/share/zoneinfo/tzdata.zi usr/share/zoneinfo/leap*
# Wireless firmware: of all chips by this maker only those on Raspberry Pis.
find usr/lib/firmware -mindepth 1 \( -type f -o -type l \) ! -path '*/brcm/*' ! -path '*/cypress/*' ! -name 'regulatory.db*' -delete
find usr/lib/firmware/brcm usr/lib/firmware/cypress \( -type f -o -type l \) \
    ! -name '*43430*' ! -name '*43436*' ! -name '*43455*' ! -name '*43456*' ! -name 'BCM4345*' ! -name '*4343A*' -delete
find usr/lib/firmware -type d -empty -delete
# Certificates of authorities, in one file as programs look for them.
mkdir -p etc/ssl/certs
find usr/share/ca-certificates/mozilla -name '*.crt' | sort | xargs cat >etc/ssl/certs/ca-certificates.crt
rm -rf usr/share/ca-certificates usr/sbin/update-ca-certificates etc/ca-certificates*
# A shell and the everyday programs: busybox under every name that nothing better has.
for name in $(cat "$here/boot/applets.list"); do
    [ -e usr/bin/$name ] || [ -e usr/sbin/$name ] || ln -s busybox usr/bin/"$name"
done
[ -e usr/bin/sh ]

# --- kernel: modules of the list, and what those need
cd "$work/kernel"
version=$(ls usr/lib/modules)
modules=usr/lib/modules/$version
mkdir -p "$root/$modules"
cp "$modules"/modules.{order,builtin,builtin.modinfo} "$root/$modules/"
# dependencies are told by depmod over all modules
depmod -b "$work/kernel" -m /usr/lib/modules "$version" 2>/dev/null || depmod -b "$work/kernel/usr" "$version"
sed 's/#.*//' "$here/boot/modules.list" | tr ' ' '\n' | grep . | while read -r pattern; do
    case $pattern in '!'*) continue ;; esac
    (cd "$modules/kernel" && find . -path "./$pattern*" -name '*.ko*') | sed 's,^\./,kernel/,'
done | grep -vE "$(sed 's/#.*//' "$here/boot/modules.list" | tr ' ' '\n' | sed -n 's/^!//p' | paste -sd '|')" | sort -u >"$work/wanted"
awk -v list="$work/wanted" 'BEGIN{while((getline l < list)>0) want[l]=1}
    {m=$1; sub(":","",m); if(m in want){print m; for(i=2;i<=NF;i++) print $i}}' "$modules/modules.dep" | sort -u >"$work/chosen"
tar -C "$modules" -c -T "$work/chosen" | tar -C "$root/$modules" -x
# Uncompressed: squashfs compresses better, and loading is faster.
find "$root/$modules" -name '*.ko.xz' -print0 | xargs -0r -P 2 -n 50 xz -d
find "$root/$modules" -name '*.ko.zst' -print0 | xargs -0r zstd -q -d --rm
sed 's/\.ko\.\(xz\|zst\)/.ko/' "$modules/modules.order" >"$root/$modules/modules.order"
depmod -b "$root/usr" "$version" 2>/dev/null || depmod -b "$root" "$version"
rm -f "$root/$modules"/modules.{dep,alias,symbols,softdep,devname,builtin.alias,weakdep}.tmp "$root/$modules"/modules.{dep,alias,symbols}

# --- boot files
gzip -9 -n -c "$modules/vmlinuz" >"$work/slot/kernel8.img"
for board in $(cat "$here/boot/boards.list"); do cp "$modules/dtb/broadcom/$board.dtb" "$work/slot/"; done
echo "$version" >"$work/kernel-version"
# With so little memory for graphics the firmware takes its cut-down form (_cd, 4cd).
for file in bootcode.bin start.elf fixup.dat start_cd.elf fixup_cd.dat start4.elf fixup4.dat start4cd.elf fixup4cd.dat; do
    cp "$(find "$work/firmware" -name "$file" | head -n 1)" "$work/boot/"
done
cp "$(find "$work/firmware" -name 'LICENCE*' -o -name 'copyright' | head -n 1)" "$work/boot/LICENCE.broadcom" 2>/dev/null || true

# --- the initramfs: busybox and the few modules until the root is mounted
cp "$root/usr/bin/busybox" "$work/initramfs/busybox"
: >"$work/initramfs/load"
mkdir "$work/initramfs/modules"
for name in $(sed 's/#.*//' "$here/initramfs/modules.list"); do
    modprobe -d "$root/usr" -S "$version" --show-depends "$name" 2>/dev/null || modprobe -d "$root" -S "$version" --show-depends "$name" 2>/dev/null ||
        echo "# not a module of $version: $name" >&2
done | awk '$1=="insmod"{print $2}' | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$work/initramfs/modules/"
    echo "/modules/${file##*/}" >>"$work/initramfs/load"
done

# --- every program finds its libraries
find "$root/usr" -type f \( -perm -100 -o -name '*.so*' \) ! -path '*/modules/*' ! -path '*/firmware/*' -print0 |
    { xargs -0 readelf -d 2>/dev/null || true; } | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u | while read -r library; do
    [ -n "$(find "$root/usr/lib" -name "$library" | head -n 1)" ] || echo "$library"
done >"$work/missing"
if [ -s "$work/missing" ]; then
    echo "image: libraries that no package of packages.list has: $(tr '\n' ' ' <"$work/missing")" >&2
    exit 1
fi

tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner -cf "$work/root.tar" .
rm -rf "$work"/{root,kernel,firmware,wanted,chosen,missing}
rm -rf "$out"
mv "$work" "$out"
