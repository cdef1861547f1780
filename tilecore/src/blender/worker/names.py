"""Names of files: what is accepted as one, how Blender reads a path, which file of a sequence a frame takes, and how names travel.

A name is bytes. In Python it is text with surrogates for what is not UTF-8; between here and the controller every byte
is the character of the same number, which any JSON parser keeps as it is.
"""

import posixpath
import re

from wire import Refused

DIGEST = re.compile(r"[0-9a-f]{64}\Z")
TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z")


def checked(pattern, value, what):
    if not isinstance(value, str) or not pattern.match(value):
        raise Refused("bad_request", f"not a {what}: {value!r}"[:200])
    return value


def to_wire(name):
    return name.encode("utf-8", "surrogateescape").decode("latin-1")


def from_wire(text):
    try:
        return text.encode("latin-1").decode("utf-8", "surrogateescape")
    except (UnicodeError, AttributeError):
        raise Refused("bad_request", f"not a name: {text!r}"[:200])


def absolute(raw, blend):
    """The path Blender opens for `raw` in the file `blend`: relative with `//`, and either slash in any path."""
    if raw.startswith("//"):
        path = posixpath.dirname(blend) + "/" + raw[2:].replace("\\", "/")
    elif re.match(r"[A-Za-z]:[\\/]", raw):
        # Blender on Unix takes the drive for a directory.
        path = "/" + raw[0].lower() + raw[2:].replace("\\", "/")
    else:
        path = raw.replace("\\", "/")
    if not path:
        return path
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path


# Sequences: a file for each frame, told apart by the last number in the name before its ending.


def split_number(path):
    """(what is before the number, its digits, what is after it); without a number the digits are empty."""
    start = max(path.rfind("/"), path.rfind("\\")) + 1
    end = path.rfind(".")
    if end < start:
        end = len(path)
    digits = re.search(r"[0-9]+(?=[^0-9]*\Z)", path[start:end])
    if digits is None:
        return path[:end], "", path[end:]
    return path[:start + digits.start()], digits.group(), path[start + digits.end():]


def with_number(path, number):
    head, digits, tail = split_number(path)
    return f"{head}{max(0, number):0{max(1, len(digits))}d}{tail}"


def tile_path(path, tile):
    """The file of one UDIM tile."""
    u, v = (tile - 1001) % 10 + 1, (tile - 1001) // 10 + 1
    return path.replace("<UDIM>", f"{tile:04d}").replace("<UVTILE>", f"u{u}_v{v}")


def image_number(frame, start, duration, offset, cyclic):
    """The number of the file that an image user takes at `frame`."""
    if duration == 0:
        return 0
    at = frame - start + 1
    if cyclic:
        at = at % duration or duration
    return min(max(at, 0), duration) + offset


def volume_number(frame, start, duration, offset, mode):
    """The number of the file that a volume sequence takes at `frame`, or None for an empty volume."""
    if duration == 0:
        return None
    at = frame - start + 1
    if mode == "CLIP":
        if not 1 <= at <= duration:
            return None
    elif mode == "EXTEND":
        at = min(max(at, 1), duration)
    elif mode == "REPEAT":
        at = at % duration or duration
    elif mode == "PING_PONG" and duration > 1:
        period = 2 * duration - 2
        at = at % period or period
        if at > duration:
            at = 2 * duration - at
    else:
        at = 1
    return at + offset
