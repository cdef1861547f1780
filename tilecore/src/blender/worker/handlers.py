"""Handlers that a file's own scripts install, where those may run.

`blender -f` and `-a` call those of `depsgraph_update_pre` and `_post` at no frame that they render. Here settings
change between renders, which would call them at every tile, so they are taken out. Those of frames and renders are
called by every render, as there.
"""

import bpy

NEVER = ("depsgraph_update_pre", "depsgraph_update_post")
OFTEN = ("frame_change_pre", "frame_change_post", "render_init", "render_pre", "render_post", "render_write",
         "render_complete")


def known():
    """All handlers that there are."""
    return [handler for name in OFTEN for handler in getattr(bpy.app.handlers, name)]


def take_out():
    for name in NEVER:
        getattr(bpy.app.handlers, name).clear()


def remark(before):
    """What is to be said about the handlers that were not there `before`; None if there are none."""
    new = sorted({name for name in OFTEN for handler in getattr(bpy.app.handlers, name) if handler not in before})
    if not new:
        return None
    return (f"Scripts in the file have handlers ({', '.join(new)}); every tile calls them, where one render calls them "
            "once, so what they do must hang on nothing but the frame.")
