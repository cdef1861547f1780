# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines: the same list as the command line's, read and written by the program."""

import os
import threading

import bpy
from bpy.props import StringProperty

from . import program, properties


def flags(blend):
    """Which configuration counts for a file."""
    config = properties.preferences().config
    if config:
        return ["--config", bpy.path.abspath(config)]
    found = config_of(blend)
    return ["--config", found] if found else []


def config_of(blend):
    """The configuration beside a file, which its copy may not lie beside."""
    if blend:
        path = os.path.join(os.path.dirname(blend), "tilectl.ron")
        if os.path.isfile(path):
            return path
    return None


def read(blend):
    """Every machine of the configuration; this one alone where there is none."""
    return program.ask("nodes", "list", *flags(blend))


def register():
    pass


def unregister():
    pass
