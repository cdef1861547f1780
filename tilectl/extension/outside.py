# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the program beside Blender's own render: in the background, while Blender stays free."""

import threading

import bpy

from . import program

#: What has ended and waits for the main thread.
ended = []
running = []


class Run:
    """The program at work on a copy of the scene. `then` is called on the main thread with the run."""

    def __init__(self, name, arguments, copy, then):
        self.name, self.copy, self.then = name, copy, then
        self.error = None
        self.said = ""
        self.process = program.start(arguments)
        self.thread = threading.Thread(target=self.read, daemon=True)
        running.append(self)
        self.thread.start()

    def read(self):
        self.said, complaint = self.process.communicate()
        if self.process.returncode:
            self.error = program.told(complaint) or f"tilectl ended with {self.process.returncode}."
        if self.copy is not None:
            self.copy.remove()
        ended.append(self)

    def stop(self):
        """Ends at once; what was rendered is kept."""
        self.process.terminate()
        self.process.terminate()


def start(name, arguments, copy, then):
    """Starts a run; in the background mode of Blender it is waited for."""
    try:
        run = Run(name, arguments, copy, then)
    except program.Trouble:
        if copy is not None:
            copy.remove()
        raise
    if bpy.app.background:
        run.thread.join()
        serve()
    return run


def serve():
    """What is done on the main thread."""
    while ended:
        run = ended.pop(0)
        if run in running:
            running.remove(run)
        run.then(run)


def register():
    pass


def unregister():
    for run in list(running):
        run.stop()
    running.clear()
    ended.clear()
