"""The pixels of an OpenEXR file as the stitch writes it, in one part, in lines, unpacked, for comparing.

Every line of the file holds its number, its size and then one channel after the other.
"""

import array
import mmap
import struct

import exr_header

#: Bytes of a value, by the kind of channel: whole number, half, float.
SIZES = {0: 4, 1: 2, 2: 4}
FLOAT = 2


class Pixels:
    """Open while it is used in a `with` statement."""

    def __init__(self, path, header):
        if header.packing != 0:
            raise exr_header.Damaged(f"{path} is packed, and only what is not can be compared")
        self.width, self.height = header.size
        #: Where in a line every channel begins, in bytes.
        self.places, at = {}, 8
        for name, kind in header.kinds:
            if kind not in SIZES:
                raise exr_header.Damaged(f"{path} has a channel {name} of an unknown kind")
            self.places[name] = at, kind
            at += self.width * SIZES[kind]
        self.line, self.end = at, header.end
        self.path = path

    def __enter__(self):
        with open(self.path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.lines = array.array("Q", self.data[self.end:self.end + 8 * self.height])
        if len(self.lines) != self.height or any(at + self.line > len(self.data) for at in self.lines):
            raise exr_header.Damaged(f"{self.path} ends in its pixels")
        return self

    def __exit__(self, *_):
        self.data.close()

    def row(self, name, y):
        """The float32 bytes of one channel of a line, counted from the top."""
        (at, kind), begin = self.places[name], self.lines[y]
        raw = self.data[begin + at:begin + at + self.width * SIZES[kind]]
        if kind == FLOAT:
            return raw
        return array.array("f", struct.unpack(f"<{self.width}{'e' if kind == 1 else 'I'}", raw)).tobytes()

    def differ(self, names, pixels):
        """Whether `pixels`, lines from the bottom with the channels of a pixel together, are not these channels bit
        for bit."""
        stride = len(names)
        if len(pixels) != self.width * self.height * stride:
            return True
        for y in range(self.height):
            line = (self.height - 1 - y) * self.width * stride
            for number, name in enumerate(names):
                if pixels[line + number:line + self.width * stride:stride].tobytes() != self.row(name, y):
                    return True
        return False
