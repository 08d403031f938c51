# Which slot boots: the initramfs' share of it, to be sourced by its init (busybox sh suffices: sed, awk, dd, head, tr).
#
# BOOT is where the boot partition is mounted, writable. SCRATCH is a directory in memory (default /run).
#
#   slot_at_boot OWN      OWN is the slot that the kernel was told (bramble.slot=). 0: go on with it; 1: reboot now.
#   slot_root_failed OWN  its root cannot be mounted. 1: reboot now, into the other; 2: neither can, stay and say so.
#
# The same rules are in Rust (slot/rules.rs); a test runs both on every state and compares what they leave behind.
# Every change is one sector overwritten in place and synced, and config.txt always goes first: whatever is cut off, the
# next boot finds a state that these rules understand.

slot_other() { [ "$1" = A ] && echo B || echo A; }

slot_field() { sed -n "s/^$1=\([^#]*\)\$/\1/p" "$BOOT/bootstate" 2>/dev/null | head -n 1; }

# slot_put SLOT TRYING TRIES_LEFT BAD
slot_put() {
    { printf 'version=1\nslot=%s\ntrying=%s\ntries_left=%s\nbad=%s\n' "$1" "$2" "$3" "$4"
      head -c 512 /dev/zero | tr '\000' '#'; } | head -c 511 >"${SCRATCH:-/run}/bootstate"
    echo >>"${SCRATCH:-/run}/bootstate"
    dd if="${SCRATCH:-/run}/bootstate" of="$BOOT/bootstate" bs=512 count=1 conv=notrunc,fsync 2>/dev/null
}

# slot_prefix SLOT: the one byte of config.txt that says which slot the firmware starts.
slot_prefix() {
    at=$(LC_ALL=C awk '/^os_prefix=[AB]\//{print n+10; exit} {n+=length($0)+1}' "$BOOT/config.txt")
    [ -n "$at" ] || return 0
    printf %s "$1" | dd of="$BOOT/config.txt" bs=1 seek="$at" count=1 conv=notrunc,fsync 2>/dev/null
}

slot_at_boot() {
    slot=$(slot_field slot) trying=$(slot_field trying) left=$(slot_field tries_left) bad=$(slot_field bad)
    # A state that cannot be read decides nothing: what the firmware chose boots.
    case "$(slot_field version):$slot:$trying:$left:$bad" in
        1:[AB]:[AB]:[0-9]:[AB] | 1:[AB]:[AB]:[0-9]: | 1:[AB]::[0-9]:[AB] | 1:[AB]::[0-9]:) ;;
        *) return 0 ;;
    esac
    [ "$trying" != "$slot" ] || trying=
    [ -n "$trying" ] || return 0
    if [ "$trying" = "$1" ] && [ "$left" -gt 0 ]; then
        slot_put "$slot" "$trying" $((left - 1)) "$bad"
        return 0
    fi
    # The trial is over: its tries are used up, or the firmware came back from it by itself.
    slot_prefix "$slot"
    slot_put "$slot" "" 0 "$trying"
    [ "$trying" != "$1" ]
}

slot_root_failed() {
    slot=$(slot_field slot) bad=$(slot_field bad)
    case "$slot" in A | B) ;; *) slot=$1 ;; esac
    [ "$bad" != "$(slot_other "$1")" ] || return 2
    slot_prefix "$(slot_other "$1")"
    slot_put "$(slot_other "$1")" "" 0 "$1"
    return 1
}
