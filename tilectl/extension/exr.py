# SPDX-License-Identifier: GPL-3.0-or-later
"""Multilayer OpenEXR files of 32-bit floats in scan lines: plain for passes, ZIP for tiles.

Rows are read a strip at a time, so that no call keeps the interpreter for long.
"""

import array
import itertools
import struct
import sys
import zlib

MAGIC = b"\x76\x2f\x31\x01"
#: Bits of the version field that none of these files has set: tiled, deep, several parts.
OTHER_KINDS = 1 << 9 | 1 << 11 | 1 << 12
FLOAT = 2
#: Rows in one block, by compression: none, ZIPS, ZIP.
ROWS = {0: 1, 2: 1, 3: 16}
#: No attribute is larger; manifests of large scenes have some megabytes.
LARGEST = 1 << 28


class Damaged(Exception):
    """Not a file of this kind, or one that ends too soon."""


class File:
    """An open file. `channels` are in the order they have in it."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb")
        try:
            self.read_header()
        except (struct.error, ValueError, KeyError, TypeError) as e:
            self.close()
            raise Damaged(f"{path} has a broken header") from e
        except Damaged:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()

    def take(self, count):
        if not 0 <= count <= LARGEST:
            raise Damaged(f"{self.path} has a block of {count} bytes")
        data = self.file.read(count)
        if len(data) != count:
            raise Damaged(f"{self.path} ends too soon")
        return data

    def name(self):
        letters = bytearray()
        while (letter := self.take(1)) != b"\0":
            letters += letter
            if len(letters) > 255:
                raise Damaged(f"{self.path} has a name without an end")
        return letters.decode("utf-8", "replace")

    def read_header(self):
        if self.take(4) != MAGIC or struct.unpack("<I", self.take(4))[0] & OTHER_KINDS:
            raise Damaged(f"{self.path} is no OpenEXR file in scan lines")
        self.texts, found = {}, {}
        while attribute := self.name():
            kind = self.name()
            value = self.take(struct.unpack("<i", self.take(4))[0])
            if kind == "string":
                self.texts[attribute] = value.decode("utf-8", "replace")
            found[attribute] = value
        left, top, right, bottom = struct.unpack("<4i", found["dataWindow"])
        self.width, self.height, self.top = right - left + 1, bottom - top + 1, top
        if not (0 < self.width <= 1 << 20 and 0 < self.height <= 1 << 20):
            raise Damaged(f"{self.path} has {self.width}x{self.height} pixels")
        self.compression = found["compression"][0]
        self.rows = ROWS[self.compression]
        self.channels = list(channels_of(found["channels"]))
        self.place = {name: index for index, name in enumerate(self.channels)}
        blocks = -(-self.height // self.rows)
        self.offsets = struct.unpack(f"<{blocks}Q", self.take(8 * blocks))

    def block(self, index):
        """The bytes of one block: row by row, in each row channel by channel."""
        rows = min(self.rows, self.height - index * self.rows)
        size = rows * len(self.channels) * self.width * 4
        self.file.seek(self.offsets[index])
        row, packed = struct.unpack("<2i", self.take(8))
        if row != self.top + index * self.rows or packed > size:
            raise Damaged(f"{self.path} has a block in a wrong place")
        data = self.take(packed)
        if self.compression and packed < size:
            data = unpacked(data, size)
        if len(data) != size:
            raise Damaged(f"{self.path} has a block of a wrong size")
        return data

    def floats(self, names, left, top, width, height):
        """Some channels of a rectangle, counted from the top left, as Blender has pixels: interleaved, bottom row
        first."""
        places = [self.place[name] for name in names]
        count = len(places)
        pixels = array.array("f", bytes(4 * width * height * count))
        last, data = None, b""
        for row in range(top, top + height):
            index, inner = divmod(row, self.rows)
            if index != last:
                last, data = index, self.block(index)
            start = (top + height - 1 - row) * width * count
            for number, place in enumerate(places):
                begin = ((inner * len(self.channels) + place) * self.width + left) * 4
                line = array.array("f", data[begin:begin + 4 * width])
                if sys.byteorder == "big":
                    line.byteswap()
                pixels[start + number:start + width * count:count] = line
        return pixels


    def cut(self, path, names, left, top, width, height):
        """Writes some channels of a rectangle as a file of their own, plain."""
        names = sorted(names, key=lambda name: name.encode())
        places = [self.place[name] for name in names]
        size = width * len(names) * 4
        head = header(names, width, height)
        start = len(head) + 8 * height
        with open(path, "wb") as out:
            out.write(head)
            out.write(struct.pack(f"<{height}Q", *(start + row * (size + 8) for row in range(height))))
            last, data = None, b""
            for row in range(height):
                index, inner = divmod(top + row, self.rows)
                if index != last:
                    last, data = index, self.block(index)
                out.write(struct.pack("<2i", row, size))
                for place in places:
                    begin = ((inner * len(self.channels) + place) * self.width + left) * 4
                    out.write(data[begin:begin + 4 * width])


def header(names, width, height):
    """The header of a plain file in scan lines."""
    listed = b"".join(name.encode() + b"\0" + struct.pack("<iI2i", FLOAT, 0, 1, 1) for name in names) + b"\0"
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    text = bytearray(MAGIC)
    # Names longer than 31 bytes need a bit of the version field.
    text += struct.pack("<I", 2 | (1 << 10 if any(len(name.encode()) > 31 for name in names) else 0))
    for name, kind, value in (
            ("channels", "chlist", listed), ("compression", "compression", b"\0"), ("dataWindow", "box2i", box),
            ("displayWindow", "box2i", box), ("lineOrder", "lineOrder", b"\0"),
            ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
            ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
            ("screenWindowWidth", "float", struct.pack("<f", 1.0))):
        text += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    return bytes(text) + b"\0"


def channels_of(value):
    start = 0
    while value[start]:
        end = value.index(b"\0", start)
        kind, _, across, down = struct.unpack_from("<iI2i", value, end + 1)
        if kind != FLOAT or (across, down) != (1, 1):
            raise ValueError("a channel of another kind")
        yield value[start:end].decode("utf-8", "replace")
        start = end + 17


def unpacked(data, size):
    """What ZIP has made smaller: differences between bytes, the even ones before the odd ones."""
    try:
        steps = zlib.decompress(data)
    except zlib.error as e:
        raise Damaged("a block that cannot be unpacked") from e
    if len(steps) != size:
        return b""
    values = summed(steps)
    half = (size + 1) // 2
    pixels = bytearray(size)
    pixels[0::2], pixels[1::2] = values[:half], values[half:]
    return bytes(pixels)


def summed(steps):
    try:
        import numpy
    except ImportError:
        # Blender itself brings it; some distributions leave it out.
        return bytes(itertools.accumulate(steps, lambda value, step: (value + step - 128) & 255))
    values = numpy.frombuffer(steps, dtype=numpy.uint8).copy()
    values[1:] -= 128
    return numpy.cumsum(values, dtype=numpy.uint8).tobytes()
