# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two .blend files hold the same scene, although Blender has written different bytes.

A file is a row of blocks. Those of the window, of the user interface and of the file itself say nothing about a frame.
Everywhere else a block may refer to others by the address they had in memory, which is another one after every start:
every address is replaced by the number of the block that had it.
"""

import array
import hashlib
import struct

#: Blocks that a render does not depend on, with all that belongs to them: what was on the screen, and the file's notes.
UI = {b"GLOB", b"REND", b"TEST", b"USER", b"WM\0\0", b"SR\0\0", b"SN\0\0", b"WS\0\0", b"SCRN"}
#: Belongs to the block before it.
DATA = b"DATA"


def same(one, other):
    """Whether a render of either gives the same picture; False where that cannot be told."""
    try:
        return fingerprint(one) == fingerprint(other)
    except (OSError, ValueError, struct.error):
        return False


def fingerprint(path):
    with open(path, "rb") as file:
        data = file.read()
    wide = data[:12].startswith(b"BLENDER17")
    blocks = list(large_blocks(data) if wide else blocks_of(data))
    return digest(data, blocks)


def blocks_of(data):
    """(code, address, start, length, kind, count) of every block, up to 4.5."""
    if not data.startswith(b"BLENDER-v"):
        raise ValueError("not a plain file of a 64-bit little-endian machine")
    at = 12
    while True:
        code, length, address, kind, count = struct.unpack_from("<4siQii", data, at)
        if code == b"ENDB":
            return
        yield code, address, at + 24, length, kind, count
        at += 24 + length


def large_blocks(data):
    """The same from 5.0 on."""
    at = 17
    while True:
        code, kind, address, length, count = struct.unpack_from("<4siQqq", data, at)
        if code == b"ENDB":
            return
        yield code, address, at + 32, length, kind, count
        at += 32 + length


def digest(data, blocks):
    kept, in_ui = [], False
    for block in blocks:
        in_ui = block[0] in UI or in_ui and block[0] == DATA
        if not in_ui:
            kept.append(block)
    number = {block[1]: index for index, block in enumerate(kept)}
    total = hashlib.sha256()
    for code, _, start, length, kind, count in kept:
        total.update(struct.pack("<4sqqq", code, length, kind, count))
        end = start + length // 8 * 8
        words = array.array("Q", data[start:end])
        total.update(array.array("Q", [number.get(word, word) for word in words]).tobytes())
        total.update(data[end:start + length])
    return total.digest()
