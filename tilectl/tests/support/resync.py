"""Renders tiles as the worker does and counts the changes that Cycles is told of. Prints `told: ...` at the end."""

import sys

import bpy
from cycles import CyclesRender

sys.path.insert(0, sys.argv[sys.argv.index("--") + 1])
told = []
update = CyclesRender.update


def counting(engine, data, depsgraph):
    told.append(len(depsgraph.updates))
    return update(engine, data, depsgraph)


CyclesRender.update = counting

import resync  # noqa: E402

sparing = resync.Resync()
scene = bpy.context.scene
r, cycles = scene.render, scene.cycles
r.use_persistent_data = r.use_border = r.use_crop_to_border = True
r.use_compositing = False
cycles.samples = 1
found = {}


def tile(name, x, picture):
    r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y = x, x + 0.1, 0.4, 0.5
    sparing.begin(scene, picture)
    bpy.ops.render.render()
    sparing.done(scene, picture)
    found[name] = told.pop() > 0


first, second = {"frame": 1}, {"frame": 1}
tile("first", 0.1, first)
tile("border", 0.2, first)
tile("border_again", 0.3, first)
tile("picture", 0.1, second)
tile("its_border", 0.2, second)
cycles.samples = 2
tile("samples", 0.3, second)
tile("their_border", 0.4, second)
thing = next(thing for thing in scene.objects if thing.type == "MESH")
thing.keyframe_insert("location", frame=0)
sparing.forget()
tile("animated", 0.1, second)
tile("border_of_animated", 0.2, second)
scene.frame_set(2)
tile("frame", 0.1, second)
sparing.forget()
tile("forgotten", 0.2, second)
tile("border_after", 0.3, second)
r.use_motion_blur = True
tile("blur", 0.1, second)
tile("blurred_border", 0.2, second)
r.use_motion_blur = False
r.use_persistent_data = False
tile("not_kept", 0.1, second)
tile("not_kept_border", 0.2, second)
print("told:", *(name for name, changes in found.items() if changes))
