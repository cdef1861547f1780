"""Cycles that does not render: for scenes marked so it hands Blender the passes of a stitched frame.

Everything after the render is then Blender's own, unchanged: compositor, sequencer, File Output nodes, views,
region, view transform, dither, output format. No node has to be replaced. The scenes keep the engine they have,
because Blender forgets what is kept between renders of all scenes when one of them changes its engine.
"""

import array
import contextlib

import bpy

import compat
import counts
import exr_header
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
        self.used = False

    def channel(self, *parts):
        """The name of a channel as it is in the file, or None."""
        name = ".".join(part for part in parts if part)
        return name if name in self.header.channels else None

    def readable(self):
        """While this lasts, Blender finds the channels of every view."""
        hide = "multiView" in self.header.offsets and compat.loses_views()
        return exr_header.hidden(self.path, self.header, "multiView") if hide else contextlib.nullcontext()


def attach(scene, key, frame):
    """Makes `scene` get its picture from `frame` when it is rendered."""
    install()
    frames[key] = frame
    scene[KEY] = key


def detach(key):
    frames.pop(key, None)


def check(key):
    """Raises what went wrong while the frame was handed over."""
    if frames[key].problem:
        raise RuntimeError(frames[key].problem)


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
        with frame.readable():
            fill(engine, frame, depsgraph.scene, depsgraph.view_layer)
        frame.used = True
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
            load(frame, result, layer.name, view, passes)
        finally:
            engine.end_result(result)
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
    result.load_from_file(frame.path)
    mine = {each.name: each for each in result.layers[layer].passes}
    if (layer, view) in frame.noisy:
        put(mine["Combined"], picture(frame.noisy[layer, view]))
    for name, stored in NOISY.items():
        if name in mine and stored in mine and not frame.developed:
            put(mine[name], values(mine[stored]))
    if (layer, view) in frame.denoised:
        put(mine["Combined"], picture(frame.denoised[layer, view]))
    if film.COUNT in mine and not frame.counted:
        counted = counts.most(frame.header).get(frame.channel(layer, film.COUNT, view, "X"))
        most = frame.shares.get(layer, counted)
        if most:
            share = film.single(1.0 / most)
            put(mine[film.COUNT], array.array("f", (count * share for count in values(mine[film.COUNT]))))


def values(render_pass):
    pixels = array.array("f", bytes(4 * len(render_pass.rect) * render_pass.channels))
    render_pass.rect.foreach_get(pixels)
    return pixels


def put(render_pass, pixels):
    render_pass.rect.foreach_set(pixels)


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
