"""Hands frames over to Blender as the worker's finish does, some of which Blender does not take. Prints `told: ...`."""

import os
import sys
import tempfile

import bpy

sys.path.insert(0, sys.argv[sys.argv.index("--") + 1])

import compat  # noqa: E402
import develop  # noqa: E402
import exr_header  # noqa: E402
import stitched  # noqa: E402

folder = tempfile.mkdtemp(prefix="handover-")
scene = bpy.context.scene
render = scene.render
render.use_compositing = render.use_sequencer = False
render.use_multiview, render.views_format = True, "STEREO_3D"
render.resolution_x, render.resolution_y, render.resolution_percentage = 24, 16, 100
scene.cycles.samples = 1
scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
scene.view_layers[0].name = "First"
scene.view_layers.new("Second")
scene.view_layers[1].use_pass_normal = True
compat.set_tile_exr(render.image_settings)
render.image_settings.exr_codec = "NONE"
render.use_file_extension = False
render.filepath = whole = os.path.join(folder, "whole.exr")
bpy.ops.render.render(write_still=True)
layers = [layer.name for layer in scene.view_layers]
everything = [(layer, view) for layer in layers for view, _ in develop.views(scene)]
render.filepath = os.path.join(folder, "again.exr")


def handed(damage=None, single=False):
    """What is said when the frame is handed over."""
    frame = stitched.Frame(whole)
    stitched.attach(scene, "frame", frame)
    # Blender does not ask for a view layer that is off.
    scene.view_layers["Second"].use = not single
    if damage:
        exr_header.patch(whole, *damage)
    try:
        bpy.ops.render.render(write_still=True)
        stitched.check("frame", everything)
        return "same"
    except RuntimeError as e:
        return str(e).strip()
    finally:
        stitched.detach("frame")


def place(channel):
    with open(whole, "rb") as file:
        return file.read().index(channel.encode() + b"\0")


said = [handed(), handed(single=True)]
# Blender finds no channel of that name any more.
name = "Second.Normal.right.Y"
at = place(name)
said.append(handed(damage=(at, name.replace("Normal", "Mormal").encode())))
exr_header.patch(whole, at, name.encode())
said.append(handed())
print("told: " + " | ".join(line for text in said for line in text.splitlines()[:1]), flush=True)
os._exit(0)
