# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the extension keeps its files: the one folder that Blender gives it."""

import hashlib
import os
import shutil

import bpy


def folder(*names):
    """A folder of the extension's own, which is there afterwards."""
    if __package__.startswith("bl_ext.") and hasattr(bpy.utils, "extension_path_user"):
        base = bpy.utils.extension_path_user(__package__, create=True)
    else:
        base = bpy.utils.user_resource("DATAFILES", path="tilectl", create=True)
    path = os.path.join(base, *names)
    os.makedirs(path, exist_ok=True)
    return path


def is_alive(pid):
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Seat:
    """A folder for what one file renders, kept from render to render. Two Blenders that have the same file open get two
    of them."""

    def __init__(self, blend, kind="jobs"):
        key = hashlib.sha256((blend or "unsaved").encode("utf-8", "surrogateescape")).hexdigest()[:16]
        number = 0
        while True:
            self.path = folder(kind, f"{key}-{number}")
            if self.take():
                break
            number += 1
        #: No two seats have the same.
        self.name = str(number) if kind == "jobs" else f"{kind}-{number}"

    def take(self):
        lock = os.path.join(self.path, "owner")
        for _ in range(2):
            try:
                with open(lock, "x") as file:
                    file.write(str(os.getpid()))
                return True
            except FileExistsError:
                owner = read_number(lock)
                if owner == os.getpid():
                    return True
                if owner is not None and is_alive(owner):
                    return False
                try:
                    os.unlink(lock)
                except FileNotFoundError:
                    pass
        return False

    def clear(self):
        """Removes the folder: what it held is no longer needed."""
        shutil.rmtree(self.path, ignore_errors=True)

    def at(self, *names):
        return os.path.join(self.path, *names)


def read_number(path):
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
