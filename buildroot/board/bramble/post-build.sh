#!/usr/bin/env bash
# What Buildroot installs and the appliance has no use for; and whether what its units run is there.
set -euo pipefail
target=$1
overlay=$BR2_EXTERNAL_BRAMBLE_PATH/../image/overlay

rm -rf "$target"/usr/lib/systemd/user "$target"/usr/lib/systemd/catalog "$target"/usr/lib/udev/hwdb.d \
	"$target"/etc/init.d "$target"/etc/network "$target"/etc/profile.d

missing=0
while read -r program; do
	if [ ! -x "$target$program" ] && [ ! -x "$overlay$program" ]; then
		echo "post-build: a unit of image/overlay runs $program, which no package installed" >&2
		missing=1
	fi
done < <(sed -n 's/^Exec[A-Za-z]*=[-+!@:]*\(\/[^ ]*\).*/\1/p' "$overlay"/usr/lib/systemd/system/*.service | sort -u)
exit $missing
