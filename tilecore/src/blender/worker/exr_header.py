"""The header of an OpenEXR file in one part: channels, data window and text attributes, without the pixels."""

import contextlib
import struct

MAGIC = b"\x76\x2f\x31\x01"
#: Bits of the version field: 9 tiled, 10 long names, 11 deep, 12 several parts.
SEVERAL_PARTS = 1 << 12
#: A Cryptomatte manifest of a large scene has some megabytes.
LARGEST = 1 << 28


class Damaged(Exception):
    """Not an OpenEXR file, or one that ends in its header."""


class Header:
    def __init__(self, kinds, window, texts, offsets, packing, end):
        #: (name, kind) of every channel, in the order of the file.
        self.kinds = kinds
        #: Names of all channels, as a set.
        self.channels = {name for name, _ in kinds}
        #: (left, top, right, bottom) of the data window, the last two exclusive.
        self.window = window
        #: Text attributes by name.
        self.texts = texts
        #: (start of the name, start of the value, length of the value) of every attribute, in bytes.
        self.offsets = offsets
        #: How pixels are packed; 0 is not at all.
        self.packing = packing
        #: Where the header ends, in bytes.
        self.end = end

    @property
    def size(self):
        left, top, right, bottom = self.window
        return right - left, bottom - top


def read(path):
    with open(path, "rb") as file:
        return parse(file, path)


def parse(file, path):
    def take(count):
        if not 0 <= count <= LARGEST:
            raise Damaged(f"{path} has an attribute of {count} bytes")
        data = file.read(count)
        if len(data) != count:
            raise Damaged(f"{path} ends in its header")
        return data

    def name():
        letters = bytearray()
        while True:
            letter = take(1)
            if letter == b"\0":
                return letters.decode("utf-8", "replace")
            letters += letter
            if len(letters) > 255:
                raise Damaged(f"{path} has an attribute whose name does not end")

    if take(4) != MAGIC:
        raise Damaged(f"{path} is not an OpenEXR file")
    if struct.unpack("<I", take(4))[0] & SEVERAL_PARTS:
        raise Damaged(f"{path} has several parts")
    channels, window, texts, offsets, packing = [], None, {}, {}, None
    while True:
        begin = file.tell()
        attribute = name()
        if not attribute:
            break
        kind = name()
        length = struct.unpack("<i", take(4))[0]
        offsets[attribute] = (begin, file.tell(), length)
        value = take(length)
        if attribute == "channels" and kind == "chlist":
            channels = list(channel_kinds(value))
        elif attribute == "dataWindow" and kind == "box2i" and len(value) == 16:
            left, top, right, bottom = struct.unpack("<4i", value)
            window = (left, top, right + 1, bottom + 1)
        elif attribute == "compression" and len(value) == 1:
            packing = value[0]
        elif kind == "string":
            texts[attribute] = value.decode("utf-8", "replace")
    if window is None or not channels:
        raise Damaged(f"{path} has no channels or no data window")
    return Header(channels, window, texts, offsets, packing, file.tell())


def channel_kinds(value):
    start = 0
    while start < len(value) and value[start] != 0:
        end = value.index(b"\0", start)
        yield value[start:end].decode("utf-8", "replace"), int.from_bytes(value[end + 1:end + 5], "little")
        start = end + 1 + 16


def overwrite(path, attribute, text):
    """Replaces the value of a text attribute by one of the same length."""
    header = read(path)
    data = text.encode()
    if attribute not in header.offsets or header.offsets[attribute][2] != len(data):
        raise Damaged(f"{path} has no place of {len(data)} bytes for {attribute}")
    patch(path, header.offsets[attribute][1], data)


@contextlib.contextmanager
def hidden(path, header, attribute):
    """Lets an attribute bear another name for a while."""
    begin = header.offsets[attribute][0]
    patch(path, begin, b"~" + attribute.encode()[1:])
    try:
        yield
    finally:
        patch(path, begin, attribute.encode())


def patch(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
