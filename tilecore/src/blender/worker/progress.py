"""Blender's own output: kept in a file of bounded size, and read for how far a render is."""

import os
import re
import threading
import time

import bpy

#: A tile that Cycles cuts itself begins at its first sample again and again.
SAMPLE = re.compile(rb"(?:Rendered (\d+)/(\d+) Tiles, )?Sample (\d+)/(\d+)")
LIMIT = 4 << 20
#: What Blender is at before the first sample, among what else it says on the line.
STAGE = re.compile(rb"\| ((?:Synchronizing|Updating|Loading|Initializing|Building|Compiling|Computing|Copying|Reading)"
                   rb"[^|\n]*(?:\| [^|\n]+)?)")
#: So often it is told at most, seconds.
OFTEN = 0.25


class Log:
    """Follows the log file that Blender writes its chatter to (it cannot break a protocol message there)."""

    def __init__(self, path):
        self.path = path
        self.tell = None
        self.say = None
        self.mentioned = (None, 0.0)
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
        elif tell is not None and isinstance(text, str):
            self.mention(STAGE.findall(f"| {text}".encode()))

    def mention(self, stages):
        """Says what Blender is at, if that is something new."""
        before, when = self.mentioned
        now = time.monotonic()
        if self.say is None or not stages or stages[-1] == before or now - when < OFTEN:
            return
        self.mentioned = stages[-1], now
        words = " ".join(stages[-1].decode("utf-8", "replace").replace("|", " ").split())
        try:
            self.say(words[:100])
        except OSError:
            self.say = None

    def begin(self, tell, say=None):
        if self.path and os.path.getsize(self.path) > LIMIT:
            os.truncate(self.path, 0)
        self.position = self.size()
        self.tell, self.say = tell, say
        self.wake.set()

    def end(self):
        self.tell = self.say = None
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
                elif not found:
                    self.mention(STAGE.findall(self.recent()))
            threading.Event().wait(0.25)

    def recent(self):
        """The last that Blender has written since `begin`."""
        try:
            with open(self.path, "rb", buffering=0) as f:
                f.seek(max(self.position, self.size() - 65536))
                return f.read(65536)
        except OSError:
            return b""

    def latest(self):
        found = SAMPLE.findall(self.recent())
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
