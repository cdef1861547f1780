"""Blender's projects (from 5.3 on): a folder with `.blender_project` in it, above the .blend."""

import os

import bpy

from wire import Refused


def known():
    """Whether this Blender looks for projects."""
    return hasattr(bpy.data, "project")


def check(tree):
    """Refuses the project of somebody else: one that this node's cache directory happens to lie in."""
    project = getattr(bpy.data, "project", None)
    if project is not None and not os.path.normpath(project.root_path).startswith(tree + "/"):
        raise Refused("foreign_project", "its cache directory lies in a Blender project of its own")


def expanded(text, here):
    """A path of the kind in which Blender puts a project's variables, as the controller knows it. `here` maps a path."""
    project = getattr(bpy.data, "project", None)
    if project is None or "{" not in text:
        return text
    values = {"project_root": here(project.root_path.rstrip("/"))}
    for variable in project.variables:
        if isinstance(variable.value, str):
            values[variable.name] = variable.value
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
