"""How long Cycles took to build the scene before it rendered a tile, from the tile's own metadata."""

import re

#: Cycles writes `cycles.LAYER.synchronization_time`: in PNG a keyword, a zero and the text; in EXR an attribute of type
#: string. Both stand before the pixels.
FIELD = re.compile(rb"\.synchronization_time\0(?:string\0.{4})?((?:\d+:)?\d+:\d+(?:\.\d+)?)", re.DOTALL)
HEAD = 256 << 10


def sync_seconds(path):
    """Seconds of synchronization, all view layers together; 0 where the file does not say."""
    try:
        with open(path, "rb") as f:
            head = f.read(HEAD)
    except OSError:
        return 0.0
    return sum(clock(found) for found in set(FIELD.findall(head)))


def clock(text):
    """`HH:MM:SS.ss` or `MM:SS.ss` in seconds."""
    seconds = 0.0
    for part in text.decode("ascii").split(":"):
        seconds = seconds * 60.0 + float(part)
    return seconds
