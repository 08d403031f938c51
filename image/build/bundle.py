#!/usr/bin/env python3
"""An update bundle, as docs/formats.md describes it: magic, manifest, Ed25519 signature, payloads.

    bundle.py OUT --root FILE --boot-tar FILE --key FILE --version V --build-id B --time SECONDS

Needs openssl and zstd. `bramble update bundle` makes the same from the same (but for its compressor's version); this one runs
where no Bramble for this machine was built.
"""

import argparse
import hashlib
import json
import os
import struct
import subprocess
import tempfile

# The data directory's format that this source tree reads and writes: firmware/appliance says the same, and a test of the
# image compares.
READS_FROM = WRITES = 1


def public_key(path):
    """The 32 bytes of the public key."""
    return subprocess.check_output(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"])[-32:]


def sign(path, message, scratch):
    """The signature, 64 bytes. openssl signs what lies in a file."""
    name = os.path.join(scratch, "head")
    with open(name, "wb") as file:
        file.write(message)
    return subprocess.check_output(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", path, "-in", name])


def payload(kind, path, scratch):
    """Compresses a file; its entry of the manifest, and where it is."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    packed = os.path.join(scratch, kind)
    subprocess.check_call(["zstd", "-q", "-3", "--single-thread", "-f", "-o", packed, path])
    entry = {
        "kind": kind,
        "compressed_bytes": os.path.getsize(packed),
        "bytes": os.path.getsize(path),
        "sha256": digest.hexdigest(),
    }
    return entry, packed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    for name in ("root", "boot-tar", "key", "version", "build-id"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--time", type=int, required=True)
    parser.add_argument("--boards", default="")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(told.out))) as scratch:
        # Boot files last: only with them is the slot anything that a firmware could start.
        payloads = [payload("root", told.root, scratch), payload("boot", told.boot_tar, scratch)]
        manifest = {
            "version": told.version,
            "build_id": told.build_id,
            "built_unix_seconds": told.time,
            "architecture": "aarch64",
            "boards": told.boards.split(),
            "data_format": {"reads_from": READS_FROM, "writes": WRITES},
            "key_id": hashlib.sha256(public_key(told.key)).hexdigest()[:16],
            "payloads": [entry for entry, _ in payloads],
        }
        text = json.dumps(manifest, separators=(",", ":")).encode()
        head = b"BRAMBLE1" + struct.pack("<I", len(text)) + text
        with open(told.out + ".new", "wb") as out:
            out.write(head + sign(told.key, head, scratch))
            for _, packed in payloads:
                with open(packed, "rb") as file:
                    while piece := file.read(1 << 20):
                        out.write(piece)
    os.replace(told.out + ".new", told.out)


if __name__ == "__main__":
    main()
