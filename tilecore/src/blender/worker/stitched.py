"""Cycles that does not render: for scenes marked so it hands Blender the passes of a stitched frame.

Everything after the render is then Blender's own, unchanged: compositor, sequencer, File Output nodes, views,
region, view transform, dither, output format. No node has to be replaced. The scenes keep the engine they have,
because Blender forgets what is kept between renders of all scenes when one of them changes its engine.
"""

import array
import contextlib
import ctypes
import zlib

import bpy

import compat
import counts
import exr_header
import exr_pixels
import film

#: Custom property of a scene that names what its frame is made from.
KEY = "tilectl_frame"
#: Larger than any frame; Blender cuts results to the frame's size.
WHOLE = 1 << 20
#: Passes that exist only because Cycles denoises: what the tiles have under another name.
NOISY = {"Noisy Image": "Combined", "Noisy Shadow Catcher": "Shadow Catcher"}

frames = {}


class Frame:
    """A stitched frame and what was made of it."""

    def __init__(self, path, only=None, counted=False, developed=False):
        self.path = path
        self.header = exr_header.read(path)
        #: Names of the only passes wanted, or None for all.
        self.only = only
        #: Whether sample counts are numbers of samples, not fractions of the most.
        self.counted = counted
        #: Whether Cycles has denoised it, and has stored the noisy image under its own name.
        self.developed = developed
        #: By view layer, what the fractions are of where that is not the most samples of any pixel.
        self.shares = {}
        #: Single-layer EXR files by (view layer, view): what stands for Combined, and for the noisy image.
        self.denoised = {}
        self.noisy = {}
        self.problem = None
        #: (view layer, view) of all that was handed over.
        self.used = set()
        #: Whether Blender finds channels of views only while the file does not say that it has some; found by trying.
        self.hides = compat.may_lose_views()

    def channel(self, *parts):
        """The name of a channel as it is in the file, or None."""
        name = ".".join(part for part in parts if part)
        return name if name in self.header.channels else None

    def read_into(self, result):
        """Has Blender fill the passes of a result from the file."""
        hide = "multiView" in self.header.offsets and self.hides
        with exr_header.hidden(self.path, self.header, "multiView") if hide else contextlib.nullcontext():
            result.load_from_file(self.path)


def attach(scene, key, frame):
    """Makes `scene` get its picture from `frame` when it is rendered."""
    install()
    frames[key] = frame
    scene[KEY] = key


def detach(key):
    frames.pop(key, None)


def check(key, wanted, optional=False):
    """Raises what went wrong while the frame was handed over: to every (view layer, view) that is `wanted`; where it
    is `optional`, to all of them or to none."""
    frame = frames[key]
    if frame.problem:
        raise RuntimeError(frame.problem)
    missing = [each for each in wanted if each not in frame.used]
    if missing and not (optional and not frame.used):
        layer, view = missing[0]
        raise RuntimeError(f"Blender did not ask for the stitched frame of the view layer {layer!r}"
                           + (f", view {view!r}" if view else ""))


def passes_of(scene, layer):
    """(name, channels, kind) of every pass that Cycles gives this view layer and that is wanted."""
    from cycles import engine

    frame = frames.get(scene.get(KEY))
    for name, channels, kind in engine.list_render_passes(scene, layer):
        if frame is None or frame.only is None or name in frame.only:
            yield name, channels, kind


def install():
    """Puts `hand_over` before Cycles' own render, once."""
    from cycles import CyclesRender

    if hasattr(CyclesRender, "tilectl_installed"):
        return
    own_update, own_render = CyclesRender.update, CyclesRender.render

    def update(self, data=None, depsgraph=None):
        if KEY not in depsgraph.scene:
            own_update(self, data, depsgraph)

    def render(self, depsgraph):
        if KEY not in depsgraph.scene:
            own_render(self, depsgraph)
        else:
            hand_over(self, depsgraph)

    CyclesRender.update, CyclesRender.render = update, render
    CyclesRender.tilectl_installed = True


def hand_over(engine, depsgraph):
    """Gives `engine` the passes of the stitched frame that the scene is made from."""
    frame = frames.get(depsgraph.scene[KEY])
    if frame is None:
        engine.error_set("there is no stitched frame for this scene")
        return
    try:
        fill(engine, frame, depsgraph.scene, depsgraph.view_layer)
    except Exception as e:
        # An exception that leaves an engine is printed and otherwise lost.
        frame.problem = frame.problem or f"{e}"
        engine.error_set(f"{e}")


def fill(engine, frame, scene, layer):
    passes = list(passes_of(scene, layer))
    for name, channels, _ in passes:
        if name != "Combined":
            engine.add_pass(name, len(channels), channels, layer=layer.name)
    for view in [view.name for view in engine.get_result().views]:
        engine.active_view_set(view)
        result = engine.begin_result(0, 0, WHOLE, WHOLE, layer=layer.name, view=view)
        if result is None:
            raise RuntimeError("Blender takes no result")
        try:
            put_in = load(frame, result, layer.name, view, passes)
        finally:
            engine.end_result(result)
        compare(frame, engine.get_result().layers[layer.name].passes, layer.name, view, passes, put_in)
        frame.used.add((layer.name, view))
    for name, text in frame.header.texts.items():
        if name.startswith(("cryptomatte/", "cycles.")):
            engine.get_result().stamp_data_add_field(name, text)


def load(frame, result, layer, view, passes):
    """Fills the passes of one view of one view layer."""
    size = (result.resolution_x, result.resolution_y)
    if frame.header.size != size:
        raise RuntimeError("the stitched frame has {}x{} pixels where {}x{} are rendered".format(
            *frame.header.size, *size))
    for name, channels, _ in passes:
        stored = name if frame.developed else NOISY.get(name, name)
        for channel in channels:
            if not frame.channel(layer, stored, view, channel):
                raise RuntimeError(f"the stitched frame lacks {layer}.{stored} ({channel})")
    frame.read_into(result)
    mine = {each.name: each for each in result.layers[layer].passes}
    if "multiView" in frame.header.offsets and differs(frame, mine.get, layer, view, passes, {}):
        # Which way Blender finds the channels of a view depends on its version.
        frame.hides = not frame.hides
        frame.read_into(result)
    put_in = {}
    if (layer, view) in frame.noisy:
        put_in["Combined"] = put(mine["Combined"], picture(frame.noisy[layer, view]))
    for name, stored in NOISY.items():
        if name in mine and stored in mine and not frame.developed:
            put_in[name] = put(mine[name], values(mine[stored]))
    if (layer, view) in frame.denoised:
        put_in["Combined"] = put(mine["Combined"], picture(frame.denoised[layer, view]))
    if film.COUNT in mine and not frame.counted:
        counted = counts.most(frame.header).get(frame.channel(layer, film.COUNT, view, "X"))
        most = frame.shares.get(layer, counted)
        if most:
            share = film.single(1.0 / most)
            put_in[film.COUNT] = put(
                mine[film.COUNT], array.array("f", (count * share for count in values(mine[film.COUNT]))))
    return put_in


def compare(frame, held, layer, view, passes, put_in):
    """Raises where Blender's render result does not hold what it was given; `put_in` are checksums by pass."""
    wrong = differs(frame, lambda name: held.find_by_name(name, view), layer, view, passes, put_in)
    if wrong:
        raise RuntimeError(f"Blender's render result does not hold the pass {wrong!r} of the view layer {layer!r} "
                           + (f"and view {view!r} " if view else "") + "that it was given")


def differs(frame, find, layer, view, passes, put_in):
    """The name of the first pass that is not as it was handed over, or None."""
    with exr_pixels.Pixels(frame.path, frame.header) as pixels:
        for name, channels, _ in passes:
            held = find(name)
            if held is None:
                return name
            now = values(held)
            if name in put_in:
                if zlib.crc32(now) != put_in[name]:
                    return name
                continue
            stored = name if frame.developed else NOISY.get(name, name)
            if pixels.differ([frame.channel(layer, stored, view, channel) for channel in channels], now):
                return name
    return None


def values(render_pass):
    pixels = array.array("f", bytes(4 * len(render_pass.rect) * render_pass.channels))
    if compat.passes_are_arrays(render_pass):
        render_pass.rect.foreach_get(pixels)
    else:
        memory, size = compat.memory_of(render_pass)
        ctypes.memmove(pixels.buffer_info()[0], memory, size)
    return pixels


def put(render_pass, pixels):
    """Replaces the pixels of a pass; returns their checksum."""
    if compat.passes_are_arrays(render_pass):
        render_pass.rect.foreach_set(pixels)
    else:
        memory, size = compat.memory_of(render_pass)
        if size != len(pixels) * pixels.itemsize:
            raise RuntimeError(f"{len(pixels)} values for the {size // 4} of the pass {render_pass.name!r}")
        ctypes.memmove(memory, pixels.buffer_info()[0], size)
    return zlib.crc32(pixels)


def picture(path):
    """The pixels of an RGBA file as they are."""
    header = exr_header.read(path)
    if "multiView" in header.offsets:
        # The mark of a view would make an image of several layers of it.
        exr_header.patch(path, header.offsets["multiView"][0], b"~ultiView")
    image = bpy.data.images.load(path, check_existing=False)
    try:
        image.colorspace_settings.name = "Non-Color"
        pixels = array.array("f", bytes(4 * len(image.pixels)))
        image.pixels.foreach_get(pixels)
        return pixels
    finally:
        bpy.data.images.remove(image)
