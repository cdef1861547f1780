"""Which files a scene refers to, and pointing it at where they are on this node."""

import bpy


def listing():
    return []


def remap(tree, changes):
    return None
