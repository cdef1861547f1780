"""What hangs on settings that are others while tiles render: drivers, shaders, and animation of the settings."""

import re

import bpy

import references
import tiles

#: Paths below a scene or view layer that are changed for tiles, and for no render by Blender alone.
CHANGED = re.compile(
    r"^(render\.(threads|threads_mode|image_settings\..*|" + "|".join(tiles.RENDER) + r")"
    r"|(view_layers\[.*\]\.)?cycles\.(" + "|".join((*tiles.CYCLES, *tiles.LAYER)) + r"))$")


def reader():
    """Why the frame is left to one Blender alone: what reads such a setting; None where nothing does."""
    for owner in bpy.data.user_map():
        tree = references.tree_of(owner)
        for thing in (owner, tree) if tree is not None else (owner,):
            path = next((path for path in paths(thing) if CHANGED.match(path)), None)
            if path:
                return f"{owner.name!r} hangs on the setting {path}, which is another one while tiles render"
    return None


def paths(thing):
    """The settings that a data-block's drivers and Attribute nodes read, and those of a scene that are animated."""
    for curve in references.curves(thing):
        if isinstance(thing, bpy.types.Scene):
            yield curve.data_path
        driver = getattr(curve, "driver", None)
        for variable in driver.variables if driver else ():
            yield from (target.data_path for target in variable.targets if target.data_path)
    for node in getattr(thing, "nodes", ()):
        if getattr(node, "attribute_type", None) == "VIEW_LAYER":
            yield node.attribute_name
