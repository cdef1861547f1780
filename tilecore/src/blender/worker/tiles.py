"""Scene settings for tiles: what looks at more than one pixel is off (F3, F5, F11), what the finish needs is stored.

The scene's own settings are remembered in the scene itself, so that they go with it when it is copied for the
finish, and are gone with it when another file is opened.
"""

import json

import compat
import counts
import film

#: Custom property of the scene that holds its own settings.
MEMORY = "tilectl_settings"

RENDER = ("use_border", "use_crop_to_border", "border_min_x", "border_max_x", "border_min_y", "border_max_y",
          "use_compositing", "use_sequencer", "use_stamp", "dither_intensity", "filepath", "use_file_extension",
          "use_overwrite", "use_placeholder", "use_single_layer", "use_persistent_data", "use_stamp_note",
          "stamp_note_text", "use_stamp_date", "use_stamp_render_time", "use_stamp_memory", "use_stamp_hostname")
# Order matters when they are put back: the medium decides the formats, the format decides modes and depths.
IMAGE = ("media_type", "file_format", "color_mode", "color_depth", "compression", "quality", "exr_codec",
         "tiff_codec", "jpeg2k_codec", "views_format", "color_management", "use_preview", "use_zbuffer",
         "use_exr_interleave")
CYCLES = ("use_denoising", "film_exposure")
LAYER = ("use_denoising", "denoising_store_passes", "pass_debug_sample_count")


def configure(scene, fmt, whole=False):
    """Prepares `scene` for tiles of `fmt`, "png" or "exr", or, where it is one tile, for the `whole` that Cycles
    denoises itself. May be called any number of times."""
    remember(scene)
    own = settings(scene)
    render, image = scene.render, scene.render.image_settings
    render.use_compositing = False
    render.use_sequencer = False
    render.use_stamp = False
    render.dither_intensity = 0.0
    # Whether samples are counted depends on the frame's size, and the place for their numbers with it.
    assign(render, {name: own["render"][name] for name in ("use_stamp_note", "stamp_note_text")})
    render.use_file_extension = False
    render.use_overwrite = True
    render.use_placeholder = False
    # `blender -f` renders every view layer that is switched on, the operator only the active one with this set.
    render.use_single_layer = False
    if fmt == "exr":
        compat.set_tile_exr(image)
    else:
        put_back(scene, own, "image")
        compat.set_format(image, "PNG")
        image.compression = 15
    if compat.engine_is_cycles(scene):
        assign(scene.cycles, own["cycles"])
        # Without a denoiser only what nobody sees of a denoised scene gets as far as here.
        itself = whole and fmt == "exr" and compat.has_denoiser()
        if not itself:
            scene.cycles.use_denoising = False
        for layer, mine in zip(scene.view_layers, own["layers"]):
            assign(layer.cycles, mine["cycles"])
        if fmt == "exr" and not itself:
            prepare_denoising(scene, own)


def prepare_denoising(scene, own):
    """Lets tiles carry what the denoiser will need: its guides, and pixels that it can be given without rounding."""
    counted = False
    for index, layer in enumerate(scene.view_layers):
        if layer.use and denoises(own, index):
            layer.cycles.denoising_store_passes = True
            if film.of(scene, layer, own).counted:
                layer.cycles.pass_debug_sample_count = counted = True
        elif layer.use and layer.cycles.pass_debug_sample_count and scene.cycles.use_adaptive_sampling:
            counted = True
    scene.cycles.film_exposure = tile_exposure(scene, own) or scene.cycles.film_exposure
    if counted:
        counts.hold_open(scene.render)


def tile_exposure(scene, own):
    """The exposure that tiles are rendered with; None when the view layers do not agree on one that is exact."""
    found = {film.of(scene, layer, own).tile_exposure for index, layer in enumerate(scene.view_layers)
             if layer.use and denoises(own, index)}
    if not found:
        return film.single(own["cycles"].get("film_exposure", 1.0))
    return found.pop() if len(found) == 1 else None


def denoises(own, index):
    """Whether Cycles would denoise this view layer with the scene's own settings."""
    if not own["cycles"].get("use_denoising") or not compat.has_denoiser():
        return False
    return bool(index < len(own["layers"]) and own["layers"][index]["cycles"].get("use_denoising"))


def remember(scene):
    """Writes the scene's own settings down, the first time only."""
    if MEMORY not in scene:
        scene[MEMORY] = json.dumps(read(scene))


def settings(scene):
    """The scene's own settings: as remembered, or as they are."""
    return json.loads(scene[MEMORY]) if MEMORY in scene else read(scene)


def read(scene):
    image = scene.render.image_settings
    own = {
        "render": {name: getattr(scene.render, name) for name in RENDER if hasattr(scene.render, name)},
        "image": {name: getattr(image, name) for name in IMAGE if hasattr(image, name)},
        "cycles": {},
        "layers": [],
    }
    if compat.engine_is_cycles(scene):
        own["cycles"] = {name: getattr(scene.cycles, name) for name in CYCLES}
        own["layers"] = [{"name": layer.name, "cycles": {name: getattr(layer.cycles, name) for name in LAYER}}
                         for layer in scene.view_layers]
    return own


def put_back(scene, own, *groups):
    """Gives the scene back its own settings, all or those of some groups."""
    groups = groups or ("render", "image", "cycles", "layers")
    if "render" in groups:
        assign(scene.render, own["render"])
    if "image" in groups:
        assign(scene.render.image_settings, own["image"])
    if "cycles" in groups and own["cycles"]:
        assign(scene.cycles, own["cycles"])
    if "layers" in groups:
        for layer, mine in zip(scene.view_layers, own["layers"]):
            assign(layer.cycles, mine["cycles"])


def assign(owner, values):
    for name, value in values.items():
        try:
            setattr(owner, name, value)
        except TypeError:
            pass  # an enumeration that this format does not have


def restore(scene):
    """Undoes `configure`."""
    if MEMORY in scene:
        put_back(scene, settings(scene))
        del scene[MEMORY]
