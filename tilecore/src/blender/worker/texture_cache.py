"""The texture cache of Cycles (from 5.2 on): `NAME.N-HASH.tx` beside an image or in a folder of the preferences."""

import bpy


def looking():
    """The scenes of the file that look for cached textures: a compositor may read any of them."""
    return [scene for scene in bpy.data.scenes
            if getattr(scene.render, "use_texture_cache", False) and scene.render.engine == "CYCLES"]


def version_wanted():
    """This Blender's version where rendering the file looks for cached textures, None where it does not."""
    return ".".join(map(str, bpy.app.version[:2])) if looking() else None


def bars_tiles(sent):
    """Why the scenes of this file cannot be cut, or None. With a cached texture Cycles takes the level that fits a
    pixel's size on the surface; in a part of the frame that comes out otherwise in the last bits than in the whole, and
    so does the mixture of two levels (up to 5e-5, measured on 5.3). `sent` says whether cached textures were sent."""
    scenes = looking()
    if not scenes:
        return None
    own = any(image.filepath.lower().endswith(".tx") for image in bpy.data.images)
    if sent or own or any(scene.render.use_auto_generate_texture_cache for scene in scenes):
        return "its textures come from a texture cache, whose levels depend on how the frame is cut"
    return None


def choose(folder):
    """Has this Blender look where the artist's does."""
    paths = bpy.context.preferences.filepaths
    if hasattr(paths, "texture_cache_directory") and paths.texture_cache_directory != folder:
        paths.texture_cache_directory = folder
