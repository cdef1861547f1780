"""Which colour configuration this Blender uses, told by what is in it: where it lies says nothing.

Blender takes what the variable OCIO names, from 5.3 on what the project says, else what lies in the user's or its own
data folder. The controller computes the same number for a configuration that it sends (`sync/colour.rs`).
"""

import hashlib
import os
import re

import bpy

from arrival import digest_of

#: Variables that OpenColorIO itself reads beside the configuration.
VARIABLES = (b"OCIO_ACTIVE_DISPLAYS", b"OCIO_ACTIVE_VIEWS", b"OCIO_INACTIVE_COLORSPACES", b"OCIO_OPTIMIZATION_FLAGS")
#: Files that are no longer than this are read for what they refer to.
LONGEST = 16 << 20
SOURCE = re.compile(rb"(?<![A-Za-z0-9_])src:[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|(?:\$\{[^,}\n]*\}|[^,}\n])*)")
USED = re.compile(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)|%([A-Za-z_][A-Za-z0-9_]*)%")


def used():
    """(where the configuration comes from, for people; what is in it, as a number)."""
    named = os.environb.get(b"OCIO", b"")
    if named:
        return "OCIO", number(named)
    project = getattr(bpy.data, "project", None)
    kind = getattr(project, "ocio_config", "BLENDER") if project is not None else "BLENDER"
    if kind == "PATH":
        path = project.ocio_config_path.replace("{project_root}", project.root_path.rstrip("/"))
        return "the project", number(os.fsencode(path))
    if kind != "BLENDER":
        return "the project", number(b"ocio://" + kind.encode())
    for folder in (bpy.utils.user_resource("DATAFILES", path="colormanagement"),
                   bpy.utils.system_resource("DATAFILES", path="colormanagement")):
        if folder and os.path.isdir(folder):
            return "Blender's own", number(os.fsencode(os.path.join(folder, "config.ocio")))
    return "none", ""


def number(path):
    """SHA-256 over a configuration and all that it reads, or over its name where it is built in."""
    if path.startswith(b"ocio://"):
        return hashlib.sha256(b"built in " + path + b"\n").hexdigest()
    try:
        lines = [b"config " + digest_of(path).encode()]
        with open(path, "rb") as f:
            text = f.read(LONGEST)
    except OSError:
        return "unreadable"
    defaults = environment(text)
    values = {**defaults, **{name: os.environb[name] for name in defaults if name in os.environb}}
    folders = [os.path.join(os.path.dirname(path), expand(folder, values)) for folder in search_path(text)]
    for source in sorted(sources(text)):
        found = [file for folder in folders if os.path.isfile(file := os.path.join(folder, expand(source, values)))]
        if found:
            lines.append(b"file " + source + b" " + digest_of(found[0]).encode())
    for name in sorted({*defaults, *VARIABLES}):
        if name in os.environb:
            lines.append(b"variable " + name + b"=" + os.environb[name])
    return hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def unquoted(text):
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[:1] in b"\"'" and text[:1] == text[-1:] else text


def sources(text):
    """What the transforms of a configuration read from: files, and colour spaces that no file is called like."""
    return {unquoted(found) for found in SOURCE.findall(text)} - {b""} if is_config(text) else set()


def is_config(text):
    """Whether it is text; an archive holds all that it needs."""
    return b"ocio_profile_version" in text[:1 << 16]


def block(text, key):
    """The entries below a key of the outermost level: of a list or a table, in one line or in several."""
    lines = text.split(b"\n")
    for at, line in enumerate(lines):
        if line.startswith(key + b":"):
            rest = line[len(key) + 1:].split(b" #")[0].strip()
            if rest[:1] in (b"[", b"{"):
                return [entry.strip() for entry in rest.strip(b"[]{}").split(b",") if entry.strip()]
            if rest:
                return [rest]
            found = []
            for below in lines[at + 1:]:
                if below.strip() and below[:1] not in (b" ", b"-", b"#", b"\t"):
                    break
                entry = below.strip().removeprefix(b"-").strip()
                if entry and not entry.startswith(b"#") and entry != b"{}":
                    found.append(entry)
            return found
    return []


def search_path(text):
    """Folders in which files are looked for, in this order; that of the configuration where it says nothing."""
    folders = []
    for entry in block(text, b"search_path"):
        folders += unquoted(entry).split(b":")
    return [folder for folder in folders if folder] or [b"."]


def environment(text):
    """Names and defaults of the variables that names of files may hold."""
    found = {}
    for entry in block(text, b"environment"):
        name, _, value = entry.partition(b":")
        found[unquoted(name)] = unquoted(value)
    return found


def expand(name, values):
    return USED.sub(lambda m: values.get(m[1] or m[2] or m[3], m[0]), name)


def shown():
    """What Blender offers of it, as a number: one that cannot be read leaves other names than one that can."""
    scene = bpy.context.scene
    said = []
    for owner, name in ((scene.display_settings, "display_device"), (scene.view_settings, "view_transform"),
                        (scene.view_settings, "look"), (scene.sequencer_colorspace_settings, "name")):
        try:
            setattr(owner, name, "\x01")
        except TypeError as e:
            said.append(str(e).partition("not found in")[2])
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogateescape")).hexdigest()


#: How Blender says that the file names something that the configuration does not have.
LACKED = re.compile(r"(?:[Dd]isplay|[Vv]iew|[Ll]ook|[Cc]olorspace) \"[^\"]*\"[^\n]* not found, (?:setting|will use)[^\n]*")


def lacked(said):
    """What the opened file wants of the configuration in vain, in Blender's words."""
    return sorted({found.group() for found in LACKED.finditer(said)})[:8]
