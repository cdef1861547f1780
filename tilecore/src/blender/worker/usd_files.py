"""USD files refer to others, by paths relative to the file they stand in: which, and how they are brought along."""

import mmap
import os
import posixpath
import re

import bpy

import names
from references import MAY, MUST, Reference

USD = (".usd", ".usda", ".usdc")
#: In a text: what may look like a path of a file and is none, then such a path. In a crate nothing can be told apart.
USD_TEXT = re.compile(rb'"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|'
                      rb"'''(?:\\.|[^\\])*?'''|'(?:\\.|[^'\\\n])*'|#[^\n]*|@@@(.*?)@@@|@([^@\n]*)@", re.DOTALL)
USD_CLIPS = re.compile(rb'templateAssetPath\s*=\s*"([^"\n]*)"')
#: Where an asset path ends and what USD adds to it begins: a file within a package, arguments for reading it.
USD_MORE = re.compile(r"\[|:SDF_FORMAT_ARGS:")


def usd_module():
    """USD's own reader of its files, or None: Blender brings it from 4.4 on, some builds earlier."""
    try:
        if hasattr(bpy.utils, "expose_bundled_modules"):
            bpy.utils.expose_bundled_modules()
        from pxr import Sdf
        return Sdf
    except ImportError:
        return None


def usd_files(place):
    """The files that the USD file at `place` takes geometry from, as it names them: other layers and value clips.

    Textures do not count: materials are made when a USD file is imported, not when it is read again for a frame.
    None when this Blender cannot look into the file.
    """
    sdf = usd_module()
    if sdf is not None:
        try:
            # A copy of its own: what is read here must not stay in USD's memory of open files.
            layer = sdf.Layer.OpenAsAnonymous(place)
        except RuntimeError:
            layer = None
        if layer is None:
            return []  # Damaged: Blender reads nothing from it either.
        found = {*layer.GetCompositionAssetDependencies(), *(path for _, paths in usd_clips(layer) for path in paths)}
        return sorted(found - {""})
    with open(place, "rb") as f:
        if f.read(5) != b"#usda":
            return None
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as text:
            found = {match.group(1) or match.group(2) for match in USD_TEXT.finditer(text)} - {None, b""}
            found |= {match.group(1) for match in USD_CLIPS.finditer(text)}
    found = {path.decode("utf-8", "surrogateescape") for path in found}
    return sorted(path for path in found if split_asset(path)[0].lower().endswith((*USD, ".usdz")))


def usd_clips(layer):
    """The prims of a layer that take their values from other files, frame by frame, and those files."""
    found = []

    def visit(path):
        if path.IsPrimPath() or path.IsPrimVariantSelectionPath():
            prim = layer.GetObjectAtPath(path)
            if prim is not None and prim.HasInfo("clips"):
                paths = []
                mapped_clips(prim.GetInfo("clips"), lambda path: paths.append(path) or path)
                found.append((prim, paths))

    layer.Traverse("/", visit)
    return found


def mapped_clips(clips, change):
    """The description of clips with other paths: `change` is told each one."""
    mapped = {}
    for name, clip in clips.items():
        mapped[name] = clip = dict(clip)
        for key, value in clip.items():
            if key == "assetPaths":
                clip[key] = type(value)([change(asset.path) for asset in value])
            elif key == "manifestAssetPath":
                clip[key] = type(value)(change(value.path))
            elif key == "templateAssetPath":
                clip[key] = change(value)
    return mapped


def split_asset(path):
    """(the file, what USD adds to its path)."""
    more = USD_MORE.search(path)
    return (path[:more.start()], path[more.start():]) if more else (path, "")


#: Layers that were changed in memory. Blender takes them from there as long as they are held; the files stay as they are.
CHANGED = []


def set_in_usd(place, path):
    """Writes another file's path in the place of `path`, for this process only; None where there is no way to."""
    sdf = usd_module()
    if sdf is None:
        return None

    def point(value):
        layer = sdf.Layer.FindOrOpen(place)
        if layer is None:
            return
        CHANGED.append(layer)
        value += split_asset(path)[1]
        layer.UpdateCompositionAssetDependency(path, value)
        for prim, paths in usd_clips(layer):
            if path in paths:
                prim.SetInfo("clips", mapped_clips(prim.GetInfo("clips"), lambda p: value if p == path else p))

    return point


class UsdFiles:
    """The USD files in a scene's tree, and where what they refer to leads."""

    def __init__(self, tree):
        self.tree = tree
        self.wanted = bpy.app.build_options.usd
        #: Those that were looked into.
        self.read = set()

    def follow(self, what, path, sequence):
        """References in the USD file at `path`, in those that it refers to, and so on; and what a person should know.

        A file can be asked once it is on this node; until then nobody knows what it refers to.
        """
        found, notes = [], []
        head, _, tail = names.split_number(path)
        waiting = self.numbered(head, tail) if sequence else [path]
        while waiting:
            path = waiting.pop()
            if path in self.read or not path.startswith("/") or not os.path.isfile(self.tree + path):
                continue
            self.read.add(path)
            who = f"{posixpath.basename(path)!r} of {what}"
            files = usd_files(self.tree + path)
            if files is None:
                notes.append(f"This Blender cannot tell which files {who} refers to: of the USD files, those in its folder "
                             "and below are sent, and no others.")
                found.append(Reference(who, path, "//", MAY, None, lambda _: [], below=(None, [*USD, ".usdz"])))
            for file in files or ():
                waiting += self.refer(who, path, file, found, notes)
        return found, notes

    def refer(self, who, path, asset, found, notes):
        """Adds what the USD file at `path` calls `asset`; answers with the USD files that may be."""
        file = split_asset(asset)[0]
        if "`" in file or re.match("[A-Za-z][A-Za-z0-9+.-]+:", file):
            notes.append(f"{asset!r} in {who} is not the name of a file, so nothing is sent for it.")
            return []
        raw, point = "//" + file, None
        if file.startswith("/"):
            raw, point = file, set_in_usd(self.tree + path, asset)
            if point is None:
                notes.append(f"{who} refers to {file!r} by an absolute path, and this Blender looks for it there on every "
                             "node: make the path relative.")
        head, signs, tail = raw.partition("#")
        if signs and "/" not in tail:
            # The file of a clip for each frame.
            tail = tail.rpartition("#")[2]
            found.append(Reference(who, path, raw, MUST, point, lambda _: [], like=(head, tail)))
            others = self.numbered(names.absolute(head, path), tail)
        else:
            found.append(Reference(who, path, raw, MUST, point))
            others = [names.absolute(raw, path)]
        return [other for other in others if other.lower().endswith(USD)]

    def numbered(self, head, tail):
        """The files on this node whose names begin and end like this."""
        folder = posixpath.dirname(head)
        if not os.path.isdir(self.tree + folder):
            return []
        paths = [posixpath.join(folder, name) for name in sorted(os.listdir(self.tree + folder))]
        return [path for path in paths if path.startswith(head) and path.endswith(tail)]
