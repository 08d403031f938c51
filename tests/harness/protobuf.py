"""Protobuf messages and snappy blocks by hand: a test says byte for byte what it sends."""

import struct


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def zigzag(number):
    return number * 2 if number >= 0 else -number * 2 - 1


def integer(field, number):
    """int64, uint64, bool, enum."""
    return varint(field << 3) + varint(number)


def signed(field, number):
    """sint32, sint64."""
    return integer(field, zigzag(number))


def double(field, number):
    return varint(field << 3 | 1) + struct.pack("<d", number)


def fixed64(field, number):
    return varint(field << 3 | 1) + struct.pack("<Q", number)


def message(field, *parts):
    """A message, text (str) or bytes."""
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def packed(field, numbers):
    """Varints, packed."""
    return message(field, b"".join(varint(n) for n in numbers))


def doubles(field, numbers):
    """Doubles, packed."""
    return message(field, struct.pack(f"<{len(numbers)}d", *numbers))


def snappy(data):
    """A snappy block without any compression."""
    out = bytearray(varint(len(data)))
    for start in range(0, len(data), 65536):
        chunk = data[start : start + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(chunk) - 1) + chunk
    return bytes(out)


def labels(field, pairs):
    """Remote write's and the exposition's pairs of name and value."""
    return b"".join(message(field, message(1, name), message(2, value)) for name, value in pairs.items())
