"""Libraries that a .blend links: which of them are Blender's own, and pointing the others elsewhere."""

import os

import bpy

import names

#: Where each installation of Blender keeps the assets that it brings.
ASSETS = "/datafiles/assets/"


def own_assets():
    """The folder of the assets that this Blender brings, or None."""
    return bpy.utils.system_resource("DATAFILES", path="assets") or None


def own_copy(path):
    """The file of this Blender's own assets that `path` means, in whichever installation that is; None when it means
    none of them."""
    folder, (_, inside, rest) = own_assets(), path.partition(ASSETS)
    place = os.path.join(folder, rest) if folder and inside and rest else None
    return place if place is not None and os.path.isfile(place) else None


def of_blender(path):
    """Whether a library is one that every Blender of this version brings: nothing of the project."""
    return own_copy(path) is not None


def find_blenders_own():
    """Points to this Blender's own assets where the file names those of an installation that is not here."""
    for library in list(bpy.data.libraries):
        path = names.absolute(library.filepath, bpy.data.filepath)
        place = own_copy(path)
        if place is not None and not os.path.isfile(path):
            redirect(library, place)


def held_here(library):
    """Whether the open .blend itself holds the data-blocks of a library: nothing is read from that file."""
    return library.packed_file is not None or getattr(library, "archive_parent_library", None) is not None \
        or getattr(library, "is_archive", False)


def keep_held_below(tree):
    """Has relative paths in data-blocks of libraries that the open .blend holds count from below `tree`, where their
    files are on this node; Blender counts them from where the artist's library was."""
    for library in list(bpy.data.libraries):
        path = names.absolute(library.filepath, bpy.data.filepath)
        if held_here(library) and path.startswith("/") and not path.startswith(tree + "/") and not of_blender(path):
            library.filepath = tree + path


def redirect(library, place):
    """Has a library be the file `place`. Where there is none, its data-blocks are missing, as for Blender itself."""
    if not os.path.isfile(place):
        if any(not getattr(each, "is_missing", False) for each in library.users_id):
            # This node has another file by the name that the artist's machine lacks.
            nothing = os.path.join(bpy.app.tempdir, "nothing.blend")
            if not os.path.isfile(nothing):
                bpy.data.libraries.write(nothing, set())
            reload(library, nothing)
        library.filepath = place
        return
    reload(library, place)


def reload(library, place):
    library.filepath = place
    try:
        library.reload()
    except RuntimeError as e:
        # Not a library: Blender itself goes on without it, too.
        print(f"{place} was not read as a library: {e}")
