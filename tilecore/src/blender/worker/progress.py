"""Blender's own output: kept in a file of bounded size, and read for how far a render is."""

import os
import re
import threading

import bpy

#: A tile that Cycles cuts itself begins at its first sample again and again.
SAMPLE = re.compile(rb"(?:Rendered (\d+)/(\d+) Tiles, )?Sample (\d+)/(\d+)")
LIMIT = 4 << 20


class Log:
    """Follows the log file that Blender writes its chatter to (it cannot break a protocol message there)."""

    def __init__(self, path):
        self.path = path
        self.tell = None
        self.wake = threading.Event()
        if bpy.app.version >= (4, 0, 0):
            # From here on the handler is given the text; newer versions no longer print it.
            bpy.app.handlers.render_stats.append(bpy.app.handlers.persistent(lambda *words: self.stats(*words)))
        elif path:
            threading.Thread(target=self.follow, daemon=True).start()

    def stats(self, text=None, *_):
        tell = self.tell
        found = SAMPLE.search(text.encode()) if tell is not None and isinstance(text, str) else None
        if found:
            tell(*progress(*found.groups()))

    def begin(self, tell):
        if self.path and os.path.getsize(self.path) > LIMIT:
            os.truncate(self.path, 0)
        self.position = self.size()
        self.tell = tell
        self.wake.set()

    def end(self):
        self.tell = None
        self.wake.clear()

    def size(self):
        try:
            return os.path.getsize(self.path)
        except (OSError, TypeError):
            return 0

    def follow(self):
        last = None
        while True:
            self.wake.wait()
            tell = self.tell
            if tell is not None:
                found = self.latest()
                if found and found != last:
                    last = found
                    try:
                        tell(*found)
                    except OSError:
                        return
            threading.Event().wait(0.25)

    def latest(self):
        try:
            with open(self.path, "rb", buffering=0) as f:
                f.seek(max(self.position, self.size() - 65536))
                found = SAMPLE.findall(f.read(65536))
        except OSError:
            return None
        return progress(*found[-1]) if found else None

    def said(self):
        """What Blender has written since `begin`."""
        try:
            with open(self.path, "rb", buffering=0) as f:
                f.seek(self.position)
                return f.read(LIMIT).decode("utf-8", "replace")
        except (OSError, TypeError):
            return ""

    def tail(self, size):
        try:
            with open(self.path, "rb") as f:
                f.seek(max(0, self.size() - size))
                return f.read(size).decode("utf-8", "replace").strip()
        except (OSError, TypeError):
            return ""


def progress(tiles, of_tiles, samples, of):
    """How many samples of how many are done."""
    return int(tiles or 0) * int(of) + int(samples), int(of_tiles or 1) * int(of)
