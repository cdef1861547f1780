"""The texts in a PNG file, as Blender writes them before the pixels."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"File\0"


def name_blend(path, blend):
    """Has the PNG file at `path`, where it says which .blend it is made of, name `blend`."""
    with open(path, "rb") as file:
        data = file.read()
    if not data.startswith(SIGNATURE):
        return
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        value = data[at + 8:at + 8 + length]
        if kind == b"IDAT":
            return
        if kind == b"tEXt" and value.startswith(KEYWORD):
            body = kind + KEYWORD + blend.encode("utf-8", "surrogateescape")
            chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
            with open(path, "wb") as file:
                file.write(data[:at] + chunk + data[at + 12 + length:])
            return
        at += 12 + length
