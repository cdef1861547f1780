# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of `tilectl render` for one frame: started here, read on a thread, asked by whoever waits for it."""

import collections
import json
import os
import re
import shutil
import threading

import bpy

from . import display, program

#: Events of which only the last one counts are not kept.
KEPT = 200


class Job:
    """A render that runs. Attributes are written by the reading thread alone and may be read by all."""

    def __init__(self, arguments, output, tiles_folder):
        self.output = output
        self.tiles_folder = tiles_folder
        #: Tiles that are here and not shown yet: (left, top, width, height) in the frame.
        self.arrived = collections.deque()
        self.display = display.Display()
        #: What slots render now, by slot.
        self.in_work = {}
        self.names = {}
        self.blenders = {}
        self.rendering = set()
        self.done, self.tiles, self.of, self.eta = 0.0, 0, 0, None
        self.stage = "Starting"
        self.scene = None
        self.planned = None
        self.notes = collections.deque(maxlen=KEPT)
        self.summary = None
        self.error = None
        self.code = None
        self.ended = threading.Event()
        self.stopped = False
        self.process = program.start([*arguments, "--json", "--attached"])
        self.complaints = collections.deque(maxlen=50)
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        threading.Thread(target=self.read, daemon=True).start()

    def stop(self, at_once=False):
        """As Ctrl-C: tiles that are being rendered are finished and kept. `at_once`: they are given up."""
        self.stopped = True
        try:
            self.process.stdin.write("stop\n" * (2 if at_once else 1))
            self.process.stdin.flush()
        except (OSError, ValueError):
            pass

    def listen(self):
        for line in self.process.stderr:
            self.complaints.append(line.rstrip())

    def read(self):
        try:
            for line in self.process.stdout:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                hear = getattr(self, "on_" + str(event.get("event")), None)
                if hear:
                    hear(event)
        finally:
            self.code = self.process.wait()
            if self.code:
                # Its last words may still be on their way.
                self.listener.join(5)
                self.error = program.told("\n".join(self.complaints)) or f"tilectl ended with {self.code}."
            self.ended.set()

    # What the program tells

    def on_connecting(self, event):
        self.names[event["slot"]] = event["node"]

    def on_connected(self, event):
        self.names[event["slot"]] = event["node"]
        self.blenders[event["slot"]] = (event["blender"], event["hash"])
        mine = build()
        if (event["blender"], event["hash"]) != mine and not self.stopped:
            self.complaints.append(
                f"tilectl: {event['node']} has Blender {event['blender']} ({event['hash']}), this is "
                f"{mine[0]} ({mine[1]}), and versions render different pixels.")
            self.complaints.append("  Install the same Blender there, or switch that machine off in the list.")
            self.mismatch = program.told("\n".join(self.complaints))
            self.stop(at_once=True)

    mismatch = None

    def on_sending(self, event):
        if event["of"]:
            self.stage = f"Sending {event['sent'] * 100 // event['of']} %"

    def on_opened(self, event):
        self.stage = "Opening"

    def on_scene(self, event):
        self.scene = event

    def on_adopted(self, event):
        self.notes.append(f"{event['tiles']} tiles are here already.")

    def on_planned(self, event):
        self.planned = event["seconds"]
        self.stage = "Rendering"

    def on_began(self, event):
        self.stage = "Rendering"
        self.in_work[event["slot"]] = tuple(event["region"])
        self.rendering.add(event["slot"])

    def on_rendered(self, event):
        self.in_work.pop(event["slot"], None)

    def on_stored(self, event):
        self.arrived.append(tuple(event["region"]))

    def on_failed(self, event):
        self.in_work.pop(event["slot"], None)
        self.notes.append(f"{self.names.get(event['slot'], '?')}: {event['reason']}")

    def on_cancelled(self, event):
        self.in_work.pop(event["slot"], None)

    def on_lost(self, event):
        self.in_work.pop(event["slot"], None)
        self.rendering.discard(event["slot"])
        self.notes.append(f"{event['node']}: {event['reason']}")

    def on_retired(self, event):
        self.in_work.pop(event["slot"], None)
        self.rendering.discard(event["slot"])
        self.notes.append(f"{event['node']}: {event['reason']}")

    def on_progress(self, event):
        self.done, self.tiles, self.of, self.eta = event["done"], event["tiles"], event["of"], event["eta"]

    def on_warning(self, event):
        # Flags are the command line's.
        self.notes.append(re.sub(r" --[a-z-]+ [^.]*\.", "", event["text"]))

    def on_draining(self, event):
        self.stage = "Stopping"

    def on_stitching(self, event):
        self.stage = "Stitching"
        self.in_work.clear()

    def on_finishing(self, event):
        self.stage = f"Denoising on {event['node']}" if event.get("node") else "Denoising"

    def on_done(self, event):
        self.summary = event

    # For people

    def whole(self):
        """Why the frame is not cut, or None."""
        return next((note for note in self.notes if note.startswith("The frame is rendered whole")), None)

    def words(self):
        """One line for the status bar."""
        parts = [self.stage]
        if self.of:
            parts.append(f"{self.tiles}/{self.of} tiles")
        if self.rendering:
            count = len({self.names.get(slot) for slot in self.rendering})
            parts.append(f"{count} machine{'s' if count != 1 else ''}")
        if self.eta is not None:
            parts.append(f"{clock(self.eta)} to go")
        if self.whole():
            parts.append("not cut: " + self.whole().removeprefix("The frame is rendered whole on one node: "))
        return " | ".join(parts)

    def file_of(self, region):
        """The file of a tile that is here, or None."""
        left, top, width, height = region
        start = f"p0-x{left}-y{top}-{width}x{height}-"
        try:
            names = [name for name in os.listdir(self.tiles_folder) if name.startswith(start)]
        except OSError:
            return None
        return os.path.join(self.tiles_folder, names[0]) if names else None

    def clear(self):
        """Removes the tiles; after success nothing needs them."""
        shutil.rmtree(os.path.dirname(self.tiles_folder), ignore_errors=True)


def build():
    """Version and build of this Blender as nodes state theirs."""
    name = bpy.app.build_hash
    return bpy.app.version_string, name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)


def clock(seconds):
    seconds = int(seconds + 0.5)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
