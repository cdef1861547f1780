# SPDX-License-Identifier: GPL-3.0-or-later
"""One render of Blender, from F12 to its end: which scenes go to all machines, and what has come back.

Blender renders on a thread of its own when a window is there. What must happen on the main thread is left here by that
thread and done by a timer.
"""

import os
import threading

import bpy
from bpy.app.handlers import persistent

from . import nodes, outside, places, program, scene_copy
from .job import Job

#: How often the main thread looks whether something waits for it, seconds: while a render runs, and otherwise.
BUSY, IDLE = 0.02, 0.1
#: How long the main thread may be busy with something else before a render gives up, seconds.
PATIENCE = 60


class Session:
    """A render that runs."""

    def __init__(self, scene):
        self.scene = scene.name
        self.depth = 1
        self.copy = None
        self.seat = None
        self.jobs = {}
        self.cancelled = False
        self.notes = []

    def job(self, key, arguments):
        """The run of the program for one picture, started when it is asked for first."""
        if key in self.jobs:
            return self.jobs[key]
        if self.copy is None:
            program.ready()
            wait_for_former()
            self.copy = on_main_thread(lambda: scene_copy.SceneCopy(self.take_seat()))
            self.copy.settle()
        name = f"{len(self.jobs)}"
        output = self.seat.at(f"passes-{name}.exr")
        work = self.seat.at(f"tiles-{name}")
        job = self.start(arguments, output, work)
        self.jobs[key] = job
        running.append(job)
        return job

    def start(self, arguments, output, work):
        common = ["render", self.copy.path, *arguments, "--passes", "-o", output, "--work-dir", work]
        for root in self.copy.roots:
            common += ["--root", root]
        words, left_out = on_main_thread(lambda: nodes.taking_part(self.copy.original))
        if left_out:
            self.notes.append(f"Online access is off: {', '.join(left_out)} did not take part.")
        return Job([*common, *words], output, os.path.join(work, "tiles"))

    def take_seat(self):
        self.seat = places.Seat(bpy.data.filepath)
        return self.seat

    def end(self, cancelled):
        """Everything was handed over, or the render was stopped."""
        for job in self.jobs.values():
            if not job.ended.is_set():
                job.stop()
        whole = not cancelled and all(job.code == 0 for job in self.jobs.values())
        if all(job.ended.is_set() for job in self.jobs.values()):
            self.put_away(whole)
            return
        self.thread = threading.Thread(target=self.put_away, args=(False,), daemon=True)
        stopping.append(self)
        self.thread.start()

    def put_away(self, whole):
        for job in self.jobs.values():
            job.ended.wait()
            if job in running:
                running.remove(job)
            if whole:
                job.clear()
            for path in (job.output, job.output + ".strip"):
                remove(path)
        if self.copy is not None:
            self.copy.remove()
            if whole:
                self.seat.clear()
        if self in stopping:
            stopping.remove(self)


#: The session that runs, the last one, and every run of the program that has not ended.
current = None
last = None
running = []
#: Sessions that were stopped and whose last tiles are still being rendered.
stopping = []
#: Whether the next render is for all machines, whatever its scene says.
wanted = False
#: What was said about runs in the background, for scripts.
notices = []


def wait_for_former():
    """A render that was stopped still finishes its tiles; who renders again does not wait for that."""
    for session in list(stopping):
        for job in session.jobs.values():
            job.stop(at_once=True)
        session.thread.join()


def note(text):
    """Keeps what the panel shows about the last render."""
    if last is not None:
        last.notes.append(text)


def remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


# What only the main thread may do

waiting = []


class Request:
    def __init__(self, function):
        self.function = function
        self.result = self.error = None
        self.ended = threading.Event()

    def run(self):
        try:
            self.result = self.function()
        except Exception as e:
            self.error = e
        finally:
            self.ended.set()


def on_main_thread(function):
    """Runs `function` on the main thread and returns its result."""
    request = Request(function)
    if threading.current_thread() is threading.main_thread():
        request.run()
    else:
        waiting.append(request)
        if not request.ended.wait(PATIENCE):
            if request in waiting:
                waiting.remove(request)
            raise program.Trouble("Blender's window did not answer in time. Render again.")
    error, request.error = request.error, None
    if error is not None:
        try:
            raise error
        finally:
            # Its traceback would keep the engine alive after its end.
            del error
    return request.result


def serve():
    """The timer of the main thread."""
    while waiting:
        waiting.pop(0).run()
    outside.serve()
    nodes.serve()
    return BUSY if current is not None else IDLE


# What Blender tells


@persistent
def on_init(scene, *_):
    global current, last, wanted
    if current is not None:
        current.depth += 1
    elif wanted or scene.tilectl.use_all_machines:
        current = last = Session(scene)
    wanted = False


@persistent
def on_complete(scene, *_):
    end(False)


@persistent
def on_cancel(scene, *_):
    end(True)


def end(cancelled):
    global current
    if current is None:
        return
    current.depth -= 1
    current.cancelled |= cancelled
    if current.depth == 0:
        session, current = current, None
        session.end(session.cancelled)


HANDLERS = (("render_init", on_init), ("render_complete", on_complete), ("render_cancel", on_cancel))


def register():
    scene_copy.register()
    for name, function in HANDLERS:
        getattr(bpy.app.handlers, name).append(function)
    bpy.app.timers.register(serve, persistent=True)


def unregister():
    if bpy.app.timers.is_registered(serve):
        bpy.app.timers.unregister(serve)
    for name, function in HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if function in handlers:
            handlers.remove(function)
    for job in list(running):
        job.stop(at_once=True)
    scene_copy.unregister()
