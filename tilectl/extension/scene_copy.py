# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the file as it is now, unsaved changes included, that the program can read. Main thread only.

It lies beside the file under a hidden name while it is needed, so that every relative path means what it meant; where
nobody can write there, in the extension's own folder with its paths adjusted. What is not removed because Blender
ended in between is removed at the next start.
"""

import atexit
import contextlib
import os
import shutil

import bpy

from . import blendfile, places, program, properties

#: The list of copies that lie outside the extension's folder, one path a line, for the next start.
LIST = "copies"


class SceneCopy:
    """A saved copy; `remove` it when the program is done with it."""

    def __init__(self, seat):
        self.seat = seat
        self.original = bpy.data.filepath
        self.roots = []
        self.extras = []
        self.path = None
        self.save()

    def save(self):
        if not properties.preferences().allow_scripts:
            refuse_scripts()
        beside = self.place_beside()
        for path in filter(None, (beside, self.seat.at("copy.blend"))):
            if self.write(path, remap=path != beside):
                self.path = path
                break
        else:
            raise program.Trouble("The scene cannot be saved for the other machines: there is no place for a copy. "
                                  "Make room on the disk, or make the folder of the file writable.")
        if self.path != beside and self.original:
            self.roots.append(os.path.dirname(self.original))
        self.link_caches()

    def settle(self):
        """Where nothing has changed since the last render was stopped, its tiles are still good, and the same bytes are
        taken again; otherwise they are of no use. Any thread."""
        kept = self.seat.at("scene.blend")
        if os.path.exists(kept) and blendfile.same(kept, self.path):
            shutil.copyfile(kept, self.path)
            return
        for name in os.listdir(self.seat.path):
            if name.startswith("tiles-"):
                shutil.rmtree(self.seat.at(name), ignore_errors=True)
        shutil.copyfile(self.path, kept)

    def place_beside(self):
        if not self.original:
            return None
        folder, name = os.path.split(self.original)
        if not os.access(folder, os.W_OK):
            return None
        return os.path.join(folder, f".{os.path.splitext(name)[0]}.tilectl-{self.seat.name}.blend")

    def write(self, path, remap):
        with contextlib.suppress(OSError):
            os.unlink(path)
        remember(path)
        try:
            with pictures_in_memory(), no_preview():
                # Blender writes where nobody may write, too, if it can: whoever owns the folder decides.
                bpy.ops.wm.save_as_mainfile(filepath=path, copy=True, compress=False, relative_remap=remap)
        except RuntimeError:
            forget(path)
            return False
        return os.path.isfile(path)

    def link_caches(self):
        """Simulations on disk lie in a folder that has the name of the file."""
        if not self.original:
            return
        folder, name = os.path.split(self.original)
        caches = os.path.join(folder, "blendcache_" + os.path.splitext(name)[0])
        if not os.path.isdir(caches):
            return
        there, own = os.path.split(self.path)
        link = os.path.join(there, "blendcache_" + os.path.splitext(own)[0])
        with contextlib.suppress(OSError):
            remember(link)
            if not os.path.islink(link):
                os.symlink(caches, link)
            self.extras.append(link)

    def remove(self):
        for path in (self.path, *self.extras):
            with contextlib.suppress(OSError):
                os.unlink(path)
            forget(path)


def refuse_scripts():
    """Scripts that have run here and would not run there could make another picture there."""
    if bpy.app.autoexec_fail:
        # Here they did not run either.
        return
    found = next((f"the text {text.name}" for text in bpy.data.texts if text.use_module), None) or scripted_driver()
    if found:
        raise program.Trouble(f"The picture may depend on Python in the file ({found}), which does not run on the other "
                              "machines. Switch on Allow Scripts in the panel All Machines if you trust the file.")


def scripted_driver():
    """The name of something whose driver needs Python, or None."""
    for name in dir(bpy.data):
        for each in all_of(getattr(bpy.data, name)):
            for owner in (each, getattr(each, "node_tree", None), getattr(each, "shape_keys", None)):
                data = getattr(owner, "animation_data", None)
                if data is None:
                    continue
                for curve in data.drivers:
                    driver = curve.driver
                    if driver.type == "SCRIPTED" and not driver.is_simple_expression:
                        return f"a driver of {each.name}"
    return None


def all_of(collection):
    return collection if isinstance(collection, bpy.types.bpy_prop_collection) else ()


@contextlib.contextmanager
def no_preview():
    """No picture of the window goes into the file: it takes time, and the program has no use for it."""
    preferences = bpy.context.preferences
    paths, dirty = preferences.filepaths, preferences.is_dirty
    kind = getattr(paths, "file_preview_type", None)
    if kind is not None:
        paths.file_preview_type = "NONE"
    try:
        yield
    finally:
        if kind is not None:
            paths.file_preview_type = kind
            preferences.is_dirty = dirty


@contextlib.contextmanager
def pictures_in_memory():
    """While this lasts, packed stand-ins take the place of images whose changed pixels are in memory alone. Cycles reads
    those of packed and generated images; others it reads from their files, changed or not."""
    stand_ins = []
    for image in list(bpy.data.images):
        packed = bool(image.packed_files) if hasattr(image, "packed_files") else image.packed_file is not None
        if image.is_dirty and image.library is None and (packed or image.source == "GENERATED") and image.has_data:
            if image.source in {"GENERATED", "FILE"}:
                stand_ins.append((image, stand_in(image)))
    try:
        for image, other in stand_ins:
            image.user_remap(other)
        yield
    finally:
        for image, other in stand_ins:
            other.user_remap(image)
            bpy.data.images.remove(other)


def stand_in(image):
    """A packed image with the pixels and settings of another."""
    width, height = image.size
    other = bpy.data.images.new(image.name, width, height, alpha=True, float_buffer=image.is_float)
    for name in ("alpha_mode", "use_view_as_render", "use_half_precision"):
        if hasattr(image, name):
            setattr(other, name, getattr(image, name))
    other.colorspace_settings.name = image.colorspace_settings.name
    pixels = buffer(image)
    other.pixels.foreach_set(pixels)
    other.pack()
    return other


def buffer(image):
    import array

    count = len(image.pixels)
    pixels = array.array("f", bytes(4 * count))
    image.pixels.foreach_get(pixels)
    if image.channels != 4:
        # A new image always has four.
        full = array.array("f", [1.0]) * (count // image.channels * 4)
        for channel in range(4):
            if channel < image.channels or channel < 3:
                full[channel::4] = pixels[min(channel, image.channels - 1)::image.channels]
        return full
    return pixels


# What lies outside the extension's own folder


def listed():
    try:
        with open(os.path.join(places.folder(), LIST), encoding="utf-8", errors="surrogateescape") as file:
            return [line.split(" ", 1) for line in file.read().splitlines() if " " in line]
    except OSError:
        return []


def write_list(entries):
    path = os.path.join(places.folder(), LIST)
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{pid} {copy}\n" for pid, copy in entries)
    os.replace(draft, path)


def remember(path):
    write_list([*listed(), [str(os.getpid()), path]])


def forget(path):
    write_list([entry for entry in listed() if entry[1] != path])


def remove_leftovers(own=False):
    """Removes the copies of Blenders that are no more; with `own` those of this one."""
    entries = listed()
    kept = []
    for pid, path in entries:
        mine = pid == str(os.getpid())
        if own if mine else pid.isdigit() and not places.is_alive(int(pid)):
            with contextlib.suppress(OSError):
                if os.path.islink(path) or ".tilectl-" in os.path.basename(path) or path.endswith("copy.blend"):
                    os.unlink(path)
        else:
            kept.append([pid, path])
    if kept != entries:
        write_list(kept)


def register():
    remove_leftovers()
    atexit.register(remove_leftovers, own=True)


def unregister():
    atexit.unregister(remove_leftovers)
    remove_leftovers(own=True)
