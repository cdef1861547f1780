# SPDX-License-Identifier: GPL-3.0-or-later
"""One render of Blender, from F12 to its end: which scenes go to all machines, and what has come back.

Blender renders on a thread of its own when a window is there. What must happen on the main thread is left here by that
thread and done by a timer.
"""

import os
import threading

import bpy
from bpy.app.handlers import persistent

from . import places, program, properties, scene_copy
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
            self.copy = on_main_thread(lambda: scene_copy.SceneCopy(self.take_seat()))
            self.copy.settle()
        name = f"{len(self.jobs)}"
        wait_for_former(self.seat, name)
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
        return Job([*common, *on_main_thread(lambda: nodes_of(self.copy.original))], output, os.path.join(work, "tiles"))

    def take_seat(self):
        self.seat = places.Seat(bpy.data.filepath)
        return self.seat

    def end(self, cancelled):
        """Everything was handed over, or the render was stopped."""
        for job in self.jobs.values():
            if not job.ended.is_set():
                job.stop()
        whole = not cancelled and all(job.code == 0 for job in self.jobs.values())
        threading.Thread(target=self.tidy, args=(whole,), daemon=True).start()

    def tidy(self, whole):
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


#: The session that runs, the last one, and every run of the program that has not ended.
current = None
last = None
running = []


def wait_for_former(seat, name):
    """A run that was stopped still finishes its tiles."""
    folder = seat.at(f"tiles-{name}", "tiles")
    for job in list(running):
        if job.tiles_folder == folder and not job.ended.is_set():
            job.stop(at_once=True)
            job.ended.wait()


def note(text):
    """Keeps what the panel shows about the last render."""
    if last is not None:
        last.notes.append(text)


def remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def nodes_of(blend):
    """The flags that name the nodes. Blenders of this machine are this very one, unless the list says otherwise."""
    from . import nodes

    flags = []
    for node in nodes.read(blend):
        if not node["enabled"]:
            continue
        spec = node["name"]
        if node["place"] == "Local" and not node.get("blender"):
            spec += f",blender={program.blender()}"
        flags += ["--node", spec]
    if not flags:
        raise program.Trouble("No machine is switched on. Switch one on in the list of the panel All Machines.")
    config = properties.preferences().config
    if config:
        flags += ["--config", bpy.path.abspath(config)]
    elif (found := nodes.config_of(blend)) is not None:
        flags += ["--config", found]
    return flags


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
    if request.error is not None:
        raise request.error
    return request.result


def serve():
    """The timer of the main thread."""
    while waiting:
        waiting.pop(0).run()
    return BUSY if current is not None else IDLE


# What Blender tells


@persistent
def on_init(scene, *_):
    global current, last
    if current is not None:
        current.depth += 1
    elif scene.tilectl.use_all_machines:
        current = last = Session(scene)


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
