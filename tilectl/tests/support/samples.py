"""Looks at a scene, sets it up and asks for its samples, as the worker does, per engine. Prints `told: ...`."""

import os
import sys

import bpy

sys.path.insert(0, sys.argv[sys.argv.index("--") + 1])

import compat  # noqa: E402
import native  # noqa: E402
import stage  # noqa: E402

scene = bpy.context.scene
engines = [item.identifier for item in bpy.types.RenderSettings.bl_rna.properties["engine"].enum_items]
eevee = next(name for name, words in compat.RASTERIZERS.items() if words == "EEVEE" and name in engines)


def told(owner, name):
    """What becomes of the file's 16 samples where 7 are asked for, and 9 of a frame that Blender renders by itself."""
    setattr(owner, name, 16)
    worker = stage.Stage(None, None)
    wanted = {"frame": 1, "samples": 7, "format": "png", "whole": True}
    looked = worker.do_look({"picture": wanted})["samples"]
    said = worker.set_up(wanted)["samples"]
    yield f"file {looked}"
    if name != "samples":
        yield "cycles untouched" if scene.cycles.samples == 5 else f"cycles {scene.cycles.samples}"
    yield f"set {getattr(owner, name)}"
    yield f"said {said}"
    setattr(owner, name, 16)
    with native.Asked([{"scene": scene.name, "samples": 9}]):
        yield f"native {getattr(owner, name)}"
    yield f"back {getattr(owner, name)}"


scene.render.engine, scene.cycles.samples = eevee, 5
first = ", ".join(told(scene.eevee, "taa_render_samples"))
scene.render.engine = "CYCLES"
second = ", ".join(told(scene.cycles, "samples"))
print(f"told: eevee: {first} | cycles: {second}", flush=True)
os._exit(0)
