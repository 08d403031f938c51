#!/usr/bin/env python3
"""Puts file systems into one disk image: assemble.py OUT BOOT ROOT_A ROOT_B|- DATA, sizes below.

The partition table is written here: a table of four entries is 66 bytes, and the same input gives the same bytes.
The image has holes where nothing is.
"""

import os
import struct
import sys

MIB = 1 << 20
SECTOR = 512
START = 4 * MIB  # a card's erase unit, at least
BOOT, SLOT, DATA = 128 * MIB, 192 * MIB, 64 * MIB
SIGNATURE = 0xB2A3B1E0
FAT32_LBA, LINUX = 0x0C, 0x83
# Addresses by cylinder, head and sector are of no use beyond 8 GB: the value that says so.
NO_CHS = bytes([0xFE, 0xFF, 0xFF])


def layout():
    """(offset, size, type) of the four partitions, bytes."""
    at, parts = START, []
    for size, kind in ((BOOT, FAT32_LBA), (SLOT, LINUX), (SLOT, LINUX), (DATA, LINUX)):
        parts.append((at, size, kind))
        at += size
    return parts


def table():
    """The master boot record: no code, four partitions."""
    record = bytearray(SECTOR)
    struct.pack_into("<I", record, 440, SIGNATURE)
    for i, (offset, size, kind) in enumerate(layout()):
        active = 0x80 if i == 0 else 0
        entry = struct.pack("<B3sB3sII", active, NO_CHS, kind, NO_CHS, offset // SECTOR, size // SECTOR)
        record[446 + 16 * i : 462 + 16 * i] = entry
    record[510:512] = b"\x55\xaa"
    return bytes(record)


def copy(source, out, offset, size):
    """Copies a file to its place; runs of zeros become holes."""
    if os.path.getsize(source) > size:
        sys.exit(f"assemble: {source} has {os.path.getsize(source)} bytes, its partition {size}")
    with open(source, "rb") as file:
        out.seek(offset)
        while piece := file.read(64 * 1024):
            if piece.count(0) == len(piece):
                out.seek(len(piece), os.SEEK_CUR)
            else:
                out.write(piece)


def main():
    path, *parts = sys.argv[1:]
    with open(path, "wb") as out:
        out.write(table())
        for source, (offset, size, _) in zip(parts, layout(), strict=True):
            if source != "-":
                copy(source, out, offset, size)
        last = layout()[-1]
        out.truncate(last[0] + last[1])


if __name__ == "__main__":
    main()
