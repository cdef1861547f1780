# SPDX-License-Identifier: GPL-3.0-or-later
"""F12 on all machines: Cycles' own render is replaced by what `tilectl` has rendered on the nodes.

Read in this order: `properties` (what is chosen), `program` (the command line), `scene_copy` (the scene as it is now),
`job` (one run of the program), `session` (one render of Blender), `engine` (what Cycles' engine does instead),
`exr` (the passes), `outside` (runs in the background), `nodes`, `operators`, `panel`.
"""

bl_info = {
    "name": "tilectl: All Machines",
    "description": "F12 renders on all your machines, bit for bit as on one",
    "author": "The tilectl developers",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "Properties > Render > All Machines",
    "category": "Render",
}

from . import engine, nodes, operators, outside, panel, properties, session  # noqa: E402

PARTS = (properties, nodes, outside, operators, panel, session, engine)


def register():
    for part in PARTS:
        part.register()


def unregister():
    for part in reversed(PARTS):
        part.unregister()
