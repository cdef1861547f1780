"""The file of a frame in which no view layer is rendered: Blender makes an empty picture of it, and crashes where it is
to write that as EXR. Written here: transparent black under a name that no view layer has."""

import struct
import zlib

#: Lines that are packed together.
BLOCK = 16
#: Channels of 32-bit floats, in the order they stand in the file.
CHANNELS = tuple(f"tilectl empty.Combined.{letter}" for letter in "ABGR")
FLOAT = 2


def is_empty(scene):
    """Whether a render of this scene renders nothing at all."""
    return not any(layer.use for layer in scene.view_layers)


def write(path, width, height):
    """Writes an OpenEXR file of this size, ZIP packed."""
    channels = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", FLOAT, 0, 1, 1) for name in CHANNELS) + b"\0"
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    header = struct.pack("<II", 20000630, 2) + b"".join(
        attribute(*each) for each in (
            ("channels", "chlist", channels), ("compression", "compression", b"\x03"),
            ("dataWindow", "box2i", window), ("displayWindow", "box2i", window),
            ("lineOrder", "lineOrder", b"\0"), ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
            ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
            ("screenWindowWidth", "float", struct.pack("<f", 1.0)))) + b"\0"
    starts = range(0, height, BLOCK)
    at, offsets, blocks = len(header) + 8 * len(starts), [], []
    for start in starts:
        data = packed(width * 4 * len(CHANNELS) * min(BLOCK, height - start))
        block = struct.pack("<ii", start, len(data)) + data
        offsets.append(at)
        blocks.append(block)
        at += len(block)
    with open(path, "wb") as file:
        file.write(header + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(blocks))


def attribute(name, kind, value):
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def packed(size):
    """So many zeros as EXR packs them: differences first, of which each is 128 where there is none."""
    data = zlib.compress(b"\0" + b"\x80" * (size - 1))
    return data if len(data) < size else b"\0" * size
