"""What in a file only works where its scripts may run."""

import bpy

import references

#: So many are named.
MOST = 3


def note():
    """One sentence on what stays off, by name; None where nothing does."""
    texts = [text.name for text in bpy.data.texts if text.use_module]
    owners = [owner.name for owner in owners_of_scripted_drivers()]
    parts = []
    if owners:
        parts.append(f"drivers with Python expressions ({listed(owners)})")
    if texts:
        parts.append(f"registered texts ({listed(texts)})")
    if not parts:
        return None
    return (f"Scripts in the .blend are off, and it has {' and '.join(parts)}: the picture is the one that Blender makes "
            "without them. --allow-scripts lets them run.")


def listed(names):
    shown = ", ".join(map(repr, names[:MOST]))
    return shown if len(names) <= MOST else f"{shown} and {len(names) - MOST} more"


def owners_of_scripted_drivers():
    """Data-blocks with a driver whose expression Blender cannot do without Python."""
    for owner in bpy.data.user_map():
        drivers = [curve.driver for curve in references.curves(owner) if hasattr(curve, "driver") and curve.driver]
        if any(is_scripted(driver) for driver in drivers):
            yield owner


def is_scripted(driver):
    if driver.type != "SCRIPTED" or not driver.expression.strip():
        return False
    return driver.use_self or not driver.is_simple_expression
