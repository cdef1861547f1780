# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `tilectl`: where it is, and how it is asked."""

import json
import os
import shutil
import subprocess
import sys

import bpy

from . import properties

HERE = os.path.dirname(os.path.abspath(__file__))
#: The version that the program must have: both are made together.
VERSION = "0.1.0"


class Trouble(Exception):
    """What is wrong, and what to do about it, for the user."""


def find():
    """The path of the program."""
    chosen = properties.preferences().program
    if chosen:
        path = bpy.path.abspath(chosen)
        if os.path.isfile(path):
            return path
        raise Trouble(f"There is no tilectl at {path}. Choose another one in the add-on's preferences.")
    bundled = os.path.join(HERE, "bin", "tilectl")
    if os.path.isfile(bundled):
        if not os.access(bundled, os.X_OK):
            # Zip files are unpacked without permissions.
            os.chmod(bundled, 0o755)
        return bundled
    for path in (shutil.which("tilectl"), os.path.expanduser("~/.cargo/bin/tilectl")):
        if path and os.path.isfile(path):
            return path
    raise Trouble("The program tilectl is not here. Install it, or choose it in the add-on's preferences.")


checked = {}


def ready():
    """The path of a program of the right version."""
    path = find()
    key = (path, os.stat(path).st_mtime_ns)
    if key not in checked:
        try:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30).stdout
        except (OSError, subprocess.SubprocessError) as e:
            raise Trouble(f"{path} does not run: {e}. Choose another one in the add-on's preferences.") from e
        words = said.split()
        checked[key] = words[1] if len(words) == 2 and words[0] == "tilectl" else None
    version = checked[key]
    if version != VERSION:
        what = f"tilectl {version}" if version else "no tilectl"
        raise Trouble(f"{path} is {what}, and this add-on needs {VERSION}. Run `tilectl extension install` of the "
                      "version you want.")
    return path


def start(arguments, **more):
    """The running program; its input, output and messages are pipes."""
    try:
        # A session of its own: Ctrl-C in Blender's terminal is for Blender.
        return subprocess.Popen([ready(), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
                                start_new_session=True, **more)
    except OSError as e:
        raise Trouble(f"tilectl does not start: {e}.") from e


def ask(*arguments):
    """What the program answers, as JSON; short questions only."""
    process = start([*arguments, "--json"])
    said, complaint = process.communicate(timeout=300)
    if not said.strip():
        raise Trouble(told(complaint) or f"tilectl ended with {process.returncode}.")
    return json.loads(said)


def tell(*arguments):
    """Has the program do something."""
    process = start(arguments)
    _, complaint = process.communicate(timeout=60)
    if process.returncode:
        raise Trouble(told(complaint) or f"tilectl ended with {process.returncode}.")


def told(complaint):
    """An error of the program in one paragraph: what is wrong, what to do."""
    lines = complaint.splitlines()
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith("tilectl: "):
            first = lines[index].removeprefix("tilectl: ")
            rest = [line.strip() for line in lines[index + 1:index + 2] if not line.strip().startswith("|")]
            return " ".join([first, *rest])
    return " ".join(line.strip() for line in lines[-3:])


def blender():
    """The Blender that runs this, as a node of this machine is told of it."""
    return bpy.app.binary_path or sys.executable
