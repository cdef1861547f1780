"""How large a picture is, which part of it is rendered, and whether Cycles cuts that into tiles of its own.

What Cycles cuts it counts the samples of, pixel by pixel, to know what is done; and there it stores them as shares of
the samples asked for, not of the most that any pixel got.
"""

import ctypes

#: Sides of Cycles' own tiles are multiples of this where they are larger, and no side is ever longer than that.
STEP, LONGEST = 128, 8192


def size(scene):
    """Width and height in pixels as Blender truncates them (F2)."""
    render = scene.render
    side = lambda pixels: max(1, pixels * render.resolution_percentage // 100)
    return side(render.resolution_x), side(render.resolution_y)


def region(scene, own):
    """The render region set in the file as pixels from the top left, and whether the file is cropped to it."""
    render = own["render"]
    if not render["use_border"]:
        return None
    width, height = size(scene)
    # Blender multiplies in float32 and truncates.
    at = lambda part, side: int(ctypes.c_float(ctypes.c_float(part).value * side).value)
    left, right = at(render["border_min_x"], width), at(render["border_max_x"], width)
    bottom, top = at(render["border_min_y"], height), at(render["border_max_y"], height)
    return {"rect": [left, height - top, right - left, top - bottom], "crop": bool(render["use_crop_to_border"])}


def frame_is_cut(scene, own):
    """Whether Cycles itself cuts the frame that one machine would render."""
    part = region(scene, own)
    return is_cut(scene, part["rect"][2:] if part else size(scene))


def is_cut(scene, extent):
    """Whether Cycles cuts a render of this width and height."""
    cycles, (width, height) = scene.cycles, extent
    if not cycles.use_auto_tile:
        return False
    side = max(cycles.tile_size, 8)
    if side > STEP:
        side = min(-(-side // STEP) * STEP, LONGEST)
    if width * height <= side * side and max(width, height) <= LONGEST:
        return False
    return width > side or height > side
