"""A whole frame as Blender by itself makes it: nothing is cut, handed over or finished apart.

It is what tiles are proved against, and how a frame is rendered that cannot be made from tiles at all. The scene keeps
every setting of its own; only where files are written to, and what is asked for, is changed, and put back afterwards.
"""

import os
import re
import shutil
import tempfile

import bpy

import compat
import identity
import outputs

#: Stamps that hold a clock or a machine: no two renders have the same.
VARYING = ("use_stamp_date", "use_stamp_render_time", "use_stamp_memory", "use_stamp_hostname")


def render(scene, frame, output, format=None, repeatable=False, passes=False):
    """Renders a frame of `scene` as `blender -f` does; the picture and what File Output nodes write end up beside
    `output`. Answers as `finish.finish` does. With `repeatable`, what no two renders have alike is left out. Where only
    the `passes` are wanted, they are the picture."""
    folder = tempfile.mkdtemp(prefix="native-", dir=os.path.dirname(output))
    own = Own(scene)
    try:
        if repeatable:
            steady(scene)
        image = scene.render.image_settings
        if passes:
            scene.render.use_compositing = scene.render.use_sequencer = scene.render.use_stamp = False
            scene.render.use_crop_to_border = True
            compat.set_tile_exr(image)
        else:
            wanted = format or image.file_format
            # As with `blender -F`, EXR is 32 bits unless the scene has 16.
            depth = "32" if "EXR" in wanted and image.color_depth not in {"16", "32"} else None
            compat.set_format(image, "PNG" if wanted in compat.MOVIES else wanted, depth=depth)
        pictures = os.path.join(folder, "image")
        os.mkdir(pictures)
        scene.render.filepath = os.path.join(pictures, "frame")
        scene.render.use_file_extension = True
        scene.render.use_overwrite, scene.render.use_placeholder = True, False
        if hasattr(scene.render, "save_output"):
            scene.render.save_output = True
        redirected = outputs.redirect(scene, os.path.join(folder, "outputs"))
        as_blender_does(scene, frame)
        files = [{"kind": "image", **named(os.path.join(pictures, name), output)}
                 for name in sorted(os.listdir(pictures))]
        if not files:
            raise RuntimeError("Blender wrote no picture")
        return {"files": files + outputs.collect(redirected, output)}
    finally:
        own.put_back()
        shutil.rmtree(folder, ignore_errors=True)


def as_blender_does(scene, frame):
    """`blender -f FRAME` on the open file. The scene's last frame stays: how frames are numbered depends on it."""
    with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        if "frame_start" in bpy.ops.render.render.get_rna_type().properties:
            step, scene.frame_step = scene.frame_step, 1
            try:
                bpy.ops.render.render(animation=True, scene=scene.name, frame_start=frame, frame_end=frame)
            finally:
                scene.frame_step = step
            return
        start, end, step = scene.frame_start, scene.frame_end, scene.frame_step
        scene.frame_start, scene.frame_end = frame, max(frame, end)
        scene.frame_step = max(frame, end) - frame + 1
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
        finally:
            scene.frame_start, scene.frame_end, scene.frame_step = start, end, step


def steady(scene):
    """Leaves the clock, the memory and the machine out of what is burned in or written as metadata."""
    for name in VARYING:
        if hasattr(scene.render, name):
            setattr(scene.render, name, False)


def named(path, output):
    """Gives a written picture its final name, with the suffix of its view if it has one."""
    stem, _ = os.path.splitext(os.path.basename(path))
    suffix = re.sub(r"^frame-?\d*", "", stem)
    base, ending = os.path.splitext(output)
    target = base + suffix + ending
    shutil.move(path, target)
    return {"path": target, "view_suffix": suffix}


class Own:
    """What a scene has that `render` changes, to be put back."""

    def __init__(self, scene):
        r = scene.render
        names = ("filepath", "use_file_extension", "use_overwrite", "use_placeholder", "use_compositing",
                 "use_sequencer", "use_stamp", "use_crop_to_border", "save_output", *VARYING)
        self.values = [(r, name, getattr(r, name)) for name in names if hasattr(r, name)]
        image = r.image_settings
        medium = ("media_type", "file_format", "color_mode", "color_depth", "exr_codec", "views_format",
                  "use_preview", "use_exr_interleave", "color_management")
        self.values += [(image, name, getattr(image, name)) for name in medium if hasattr(image, name)]
        for node in compat.nodes_of(compat.active_compositor(scene)):
            if node.type == "OUTPUT_FILE":
                name = compat.output_folder(node)
                self.values.append((node, name, getattr(node, name)))
                self.values += [(holder, name, getattr(holder, name)) for holder, name in compat.output_paths(node)]

    def put_back(self):
        for holder, name, value in self.values:
            try:
                setattr(holder, name, value)
            except TypeError:
                pass  # an enumeration that what was put back before does not allow


class Asked:
    """Gives scenes the sizes, samples and seeds that are asked for, for as long as it lasts: each of `wanted` names a
    `scene` and has, where it differs from the scene's own, `resolution`, `percentage`, `samples` and `seed`."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.before = []

    def __enter__(self):
        for each in self.wanted:
            scene = identity.find(each["scene"], bpy.data.scenes)
            if scene is None:
                continue
            render, cycles, sampling = scene.render, getattr(scene, "cycles", None), compat.sampling(scene)
            if each.get("resolution"):
                self.set(render, "resolution_x", each["resolution"][0])
                self.set(render, "resolution_y", each["resolution"][1])
            if each.get("percentage"):
                self.set(render, "resolution_percentage", each["percentage"])
            if sampling and each.get("samples"):
                self.set(*sampling, each["samples"])
            if cycles and each.get("seed") is not None:
                self.set(cycles, "seed", each["seed"])
        return self

    def set(self, holder, name, value):
        self.before.append((holder, name, getattr(holder, name)))
        setattr(holder, name, value)

    def __exit__(self, *_):
        for holder, name, value in reversed(self.before):
            setattr(holder, name, value)
