"""The texture cache of Cycles (from 5.2 on): `NAME.N-HASH.tx` beside an image or in a folder of the preferences."""

import bpy


def version_wanted(scenes):
    """This Blender's version where rendering these scenes looks for cached textures, None where it does not."""
    wanted = any(getattr(scene.render, "use_texture_cache", False) and scene.render.engine == "CYCLES"
                 for scene in scenes)
    return ".".join(map(str, bpy.app.version[:2])) if wanted else None


def bars_tiles(scene, sent):
    """Why this scene cannot be cut, or None. With a cached texture Cycles takes the level that fits a pixel's size on
    the surface; in a part of the frame that comes out otherwise in the last bits than in the whole, and so does the
    mixture of two levels (up to 5e-5, measured on 5.3). `sent` says whether cached textures were sent."""
    if not version_wanted([scene]):
        return None
    own = any(image.filepath.lower().endswith(".tx") for image in bpy.data.images)
    if sent or own or getattr(scene.render, "use_auto_generate_texture_cache", False):
        return "its textures come from a texture cache, whose levels depend on how the frame is cut"
    return None


def choose(folder):
    """Has this Blender look where the artist's does."""
    paths = bpy.context.preferences.filepaths
    if hasattr(paths, "texture_cache_directory") and paths.texture_cache_directory != folder:
        paths.texture_cache_directory = folder
