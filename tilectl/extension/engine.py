# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles does while all machines render: it waits, shows tiles, and hands Blender the passes.

The engine stays Cycles, so that every panel stays where it is and everything after the render is Blender's own.
Nothing here keeps the interpreter for long: whatever is large is done a strip at a time.
"""

import contextlib
import time

import bpy

from . import display, exr, program, properties, session

#: The most pixels that are handed over at once.
STRIP = 1 << 18
#: How often the render thread looks at what has come, seconds.
LOOK = 0.05

own = {}


class Fallback(Exception):
    """This Blender renders the layer itself; why."""


def update(engine, data=None, depsgraph=None):
    if is_ours(engine):
        engine_data[engine.as_pointer()] = data
    else:
        own["update"](engine, data, depsgraph)


engine_data = {}


def render(engine, depsgraph):
    if not is_ours(engine):
        own["render"](engine, depsgraph)
        return
    data = engine_data.pop(engine.as_pointer(), None)
    try:
        hand_over(engine, depsgraph)
    except Fallback as e:
        engine.report({"WARNING"}, f"Rendered by this Blender alone: {e}")
        own["update"](engine, data or bpy.data, depsgraph)
        own["render"](engine, depsgraph)
    except program.Trouble as e:
        fail(engine, str(e))
    except (exr.Damaged, OSError) as e:
        fail(engine, f"The passes cannot be read: {e}. Render again.")
    except Exception as e:
        # An exception that leaves an engine is printed and otherwise lost.
        fail(engine, f"All Machines: {type(e).__name__}: {e}. Please report this.")


def fail(engine, text):
    # The report ends the render, in scripts with an exception; the message stays in the Image Editor.
    engine.report({"ERROR"}, text)
    engine.error_set(text)
    session.note(text)


def is_ours(engine):
    return session.current is not None and not engine.is_preview


def hand_over(engine, depsgraph):
    scene = depsgraph.scene
    if scene.frame_subframe:
        raise Fallback("the frame is between two frames, and the program renders whole ones")
    if not depsgraph.view_layer.use:
        raise Fallback(f"the view layer {depsgraph.view_layer.name} is not switched on for rendering")
    arguments = ["--frame", str(scene.frame_current), "--scene", scene.name]
    camera = engine.camera_override
    if camera is not None and camera.name != getattr(scene.camera, "name", None):
        arguments += ["--camera", camera.name]
    size = (engine.resolution_x, engine.resolution_y)
    percentage = scene.render.resolution_percentage
    usual = (scene.render.resolution_x * percentage // 100, scene.render.resolution_y * percentage // 100)
    if size != usual:
        arguments += ["--resolution", "{}x{}".format(*size), "--percentage", "100"]
    arguments += chosen(scene.tilectl)
    job = session.current.job(tuple(arguments), arguments)
    layer = depsgraph.view_layer.name
    if not wait(engine, job, layer):
        return
    fill(engine, job, scene, depsgraph.view_layer)


def chosen(settings):
    flags = []
    preferences = properties.preferences()
    if preferences.allow_scripts:
        flags.append("--allow-scripts")
    for folder in filter(None, (each.strip() for each in preferences.folders.split(";"))):
        flags += ["--root", bpy.path.abspath(folder)]
    if settings.allow_missing:
        flags.append("--allow-missing")
    if settings.use_overlap:
        flags += ["--overlap", str(settings.overlap)]
    if settings.use_tiles:
        flags += ["--tiles", str(settings.tiles)]
    return flags


# Waiting


def wait(engine, job, layer):
    """Shows what happens until the run has ended; False when the user has stopped it."""
    said, shown = None, ()
    engine.use_highlight_tiles = True
    while not job.ended.wait(LOOK):
        if engine.test_break():
            job.stop()
            return False
        engine.update_progress(job.done)
        words = job.words()
        if words != said:
            said = words
            engine.update_stats("", words)
        now = tuple(sorted(job.in_work.values()))
        if now != shown:
            highlight(engine, job, shown, now)
            shown = now
        for _ in range(8):
            if not job.arrived or engine.test_break():
                break
            show(engine, job, layer, job.arrived.popleft())
    engine.tile_highlight_clear_all()
    engine.use_highlight_tiles = False
    if engine.test_break():
        return False
    if job.mismatch:
        raise program.Trouble(job.mismatch)
    if job.code:
        raise program.Trouble(job.error)
    for text in job.notes:
        session.note(text)
    return True


def highlight(engine, job, before, now):
    """Frames round the tiles in work."""
    if job.scene is None:
        return
    height = job.scene["size"][1]
    for places, on in ((before, False), (now, True)):
        for left, top, wide, high in places:
            engine.tile_highlight_set(left, height - top - high, wide, high, on)


def show(engine, job, layer, region):
    """Has a tile that has arrived drawn."""
    path = job.file_of(region)
    if path is None or job.scene is None:
        return
    left, top, width, height = region
    origin, _ = bounds(engine, job)
    frame, overlap = job.scene["size"], job.scene["overlap"]
    inside = (left - max(origin[0], left - overlap), top - max(origin[1], top - overlap))
    view = next(iter(views(engine)), "")
    names = [".".join(filter(None, (layer, "Combined", view, channel))) for channel in "RGBA"]
    try:
        with exr.File(path) as tile:
            if any(name not in tile.place for name in names):
                return
            pixels = tile.floats(names, *inside, width, height)
    except (exr.Damaged, OSError):
        # It is only shown too late, with the frame.
        return
    thin, size = display.thinned(pixels, width, height, display.step_of(frame))
    job.display.add((left, frame[1] - top - height, width, height), size, thin)


def bounds(engine, job):
    """Where the part of the frame that is rendered begins, from the top left, and its size."""
    result, render = engine.get_result(), engine.render
    size, frame = (result.resolution_x, result.resolution_y), job.scene["size"]
    if list(size) == list(frame):
        return (0, 0), size
    return (int(render.border_min_x * frame[0]), frame[1] - int(render.border_min_y * frame[1]) - size[1]), size


def views(engine):
    return [view.name for view in engine.get_result().views]


def strips(width, height):
    """(first row, rows) of pieces that are small enough."""
    rows = max(1, STRIP // width)
    for start in range(0, height, rows):
        yield start, min(rows, height - start)


# Handing over


def fill(engine, job, scene, view_layer):
    """Gives Blender every pass of a view layer."""
    from cycles import engine as cycles

    layer = view_layer.name
    passes = [(name, channels) for name, channels, _ in cycles.list_render_passes(scene, view_layer)]
    for name, channels in passes:
        if name != "Combined":
            engine.add_pass(name, len(channels), channels, layer=layer)
    with exr.File(job.output) as file:
        result = engine.get_result()
        if (file.width, file.height) != (result.resolution_x, result.resolution_y):
            raise program.Trouble(f"The passes have {file.width}x{file.height} pixels where {result.resolution_x}x"
                                  f"{result.resolution_y} are rendered. Render again.")
        for view in views(engine):
            pieces = []
            for name, channels in passes:
                names = [".".join(filter(None, (layer, name, view, channel))) for channel in channels]
                if any(each not in file.place for each in names):
                    raise program.Trouble(f"The passes lack {layer}.{name}. Render again.")
                pieces.append((name, names))
            for start, rows in strips(file.width, file.height):
                if engine.test_break():
                    return
                with part(engine, 0, file.height - start - rows, file.width, rows, layer, view) as target:
                    put(target, file, layer, pieces, 0, start, file.width, rows, job)
        for name, text in file.texts.items():
            if name.startswith(("cryptomatte/", "cycles.")):
                result.stamp_data_add_field(name, text)


@contextlib.contextmanager
def part(engine, left, bottom, width, height, layer, view):
    """A rectangle of the result, which is shown when this is left."""
    engine.active_view_set(view)
    result = engine.begin_result(left, bottom, width, height, layer=layer, view=view)
    if result is None:
        raise program.Trouble("Blender takes no result. Render again.")
    try:
        yield result
    finally:
        engine.end_result(result)
        # Whoever waits for the interpreter gets it.
        time.sleep(0)


#: Whether passes take pixels from memory; before Blender 4 they only take them from files.
TAKES_PIXELS = bpy.app.version >= (4, 0, 0)


def put(result, file, layer, pieces, left, top, width, height, job):
    """Fills passes, each with its channels in the file, with a rectangle of the file."""
    passes = {each.name: each for each in result.layers[layer].passes}
    if TAKES_PIXELS:
        for name, names in pieces:
            passes[name].rect.foreach_set(file.floats(names, left, top, width, height))
        return
    path = job.output + ".strip"
    file.cut(path, [each for _, names in pieces for each in names], left, top, width, height)
    result.load_from_file(path)


def draw(engine, context, depsgraph):
    """What an Image Editor shows of a render that runs."""
    current = session.current
    if current is None:
        own["draw"](engine, context, depsgraph)
        return
    for job in list(current.jobs.values())[-1:]:
        try:
            job.display.draw()
        except (RuntimeError, TypeError, ValueError) as e:
            session.note(f"Tiles cannot be drawn: {e}")
            job.display = display.Display()


def register():
    from cycles import CyclesRender

    own.update(update=CyclesRender.update, render=CyclesRender.render, draw=CyclesRender.draw)
    CyclesRender.draw = lambda self, context, depsgraph: draw(self, context, depsgraph)
    CyclesRender.update = lambda self, data=None, depsgraph=None: update(self, data, depsgraph)
    CyclesRender.render = lambda self, depsgraph: render(self, depsgraph)


def unregister():
    from cycles import CyclesRender

    for name in ("update", "render", "draw"):
        setattr(CyclesRender, name, own.pop(name))
