#!/bin/sh
# Installs from the archive that this file lies in; everything is done by `bramble setup`, whose options it takes:
#
#     sudo ./install.sh --role node --hub attic.lan --token TOKEN --preset mdso
#
# Can be repeated (also from a newer archive, which upgrades). `bramble teardown` takes it back.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! "$here/bramble" version >/dev/null 2>&1; then
    echo "install: this archive's program does not run here: $(uname -m), $(getconf GNU_LIBC_VERSION 2>/dev/null || echo 'no glibc')" >&2
    echo "install: it needs 64-bit Linux of its architecture with glibc 2.28 or newer" >&2
    exit 1
fi
exec "$here/bramble" setup "$@"
