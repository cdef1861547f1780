"""Lets the opened .blend bear the path that it has where it was made while the final picture is written.

Blender burns that path in, writes it into the metadata of files and fills it into templates. It is a field of
Blender's own memory that nothing else sets; paths that begin with `//` are relative to it, so what a finish may still
read is named in full for that while.
"""

import ctypes

import bpy

import compat

#: Where the path stands in Blender's `Main`, and the room that it has there, in bytes.
PLACE, ROOM = 16, 1024


class Named:
    """While this lasts, the .blend is called `path`; `scenes` are those that are rendered then."""

    def __init__(self, path, scenes):
        self.path, self.scenes = path, scenes
        self.before, self.paths = None, []

    def __enter__(self):
        if self.path is None or not can_be(self.path, self.scenes):
            return
        for owner, attribute in paths(self.scenes):
            self.paths.append((owner, attribute, getattr(owner, attribute)))
            setattr(owner, attribute, bpy.path.abspath(getattr(owner, attribute)))
        self.before = bpy.data.filepath
        write(self.path)
        if bpy.data.filepath != self.path:
            write(self.before)
            raise RuntimeError("the .blend cannot be named as it is where it was made")

    def __exit__(self, *_):
        if self.before is not None:
            write(self.before)
        for owner, attribute, value in self.paths:
            setattr(owner, attribute, value)


def can_be(path, scenes):
    """Whether the .blend can be called so for a while: where Blender has the path where it is looked for, and all
    that is relative to it can be named in full."""
    own = bpy.data.filepath.encode("utf-8", "surrogateescape")
    there = ctypes.string_at(bpy.data.as_pointer() + PLACE, len(own) + 1)
    fits = len(path.encode("utf-8", "surrogateescape")) < ROOM
    return bool(own) and there == own + b"\0" and fits and not any(
        font.filepath.startswith("//") for font in fonts(scenes))


def write(path):
    data = path.encode("utf-8", "surrogateescape") + b"\0"
    ctypes.memmove(bpy.data.as_pointer() + PLACE, data, len(data))


def paths(scenes):
    """(owner, property) of every path relative to the .blend that rendering these scenes without objects may read."""
    found = []
    for scene in scenes:
        for node in compat.nodes_of(compat.active_compositor(scene)):
            texture = getattr(node, "texture", None)
            things = [getattr(node, "image", None), getattr(node, "clip", None), getattr(texture, "image", None)]
            found += [(thing, "filepath_raw" if isinstance(thing, bpy.types.Image) else "filepath")
                      for thing in things if thing is not None]
        for strip in all_strips(compat.strips(scene)):
            found += [(thing, "filepath") for thing in (strip, getattr(strip, "sound", None), getattr(strip, "clip", None))
                      if hasattr(thing, "filepath")]
            if hasattr(strip, "directory"):
                found.append((strip, "directory"))
            if hasattr(strip, "proxy") and strip.proxy is not None:
                found += [(strip.proxy, "directory"), (strip.proxy, "filepath")]
    return [(owner, name) for number, (owner, name) in enumerate(found) if (owner, name) not in found[:number]
            and getattr(owner, name).startswith("//") and getattr(owner.id_data, "library", None) is None]


def all_strips(strips):
    for strip in strips:
        yield strip
        if strip.type == "META":
            yield from all_strips(compat.strips_in(strip))


def fonts(scenes):
    strips = (strip for scene in scenes for strip in all_strips(compat.strips(scene)))
    return [font for font in (getattr(strip, "font", None) for strip in strips) if font is not None]
