"""What a scene needs to come out of tiles exactly as one machine would have made it."""

import bpy

import blend_name
import compat
import driven
import empty
import extent
import film
import identity
import objects
import reads
import scripted
import simulations
import tiles
import unread
import volumes

#: Pixels around a tile where adaptive sampling looks at neighbours; 2 are enough (F4).
ADAPTIVE_OVERLAP = 8


def has_denoiser():
    return compat.has_denoiser()


def needs(scene, format=None, passes=False):
    """Reads everything from the scene as it stands; nothing is changed and nothing is rendered. `format` is what the
    frame is written as, where that is not the scene's own. Where only the scene's own `passes` are wanted, nothing
    counts that is made of them. What cannot be read keeps the frame from being cut, and no more than that."""
    own = tiles.settings(scene)
    if passes:
        format = "OPEN_EXR_MULTILAYER"
        own["render"].update(use_compositing=False, use_sequencer=False, use_stamp=False)
    if format:
        own["image"]["file_format"] = format
    parts = unread.Parts()
    key = identity.key(scene, bpy.data.scenes)
    sources = parts.read("what the frame is made from", lambda: reads.pictures(scene, own), None)
    listed = sources.pictures if sources else [{"scene": key}]
    pictures = [identity.find(each["scene"], bpy.data.scenes) for each in listed]
    refuse = parts.read("what Blender lacks", lambda: why_refuse(scene, own, pictures), [])
    if sources is None:
        refuse = [*refuse, {"code": "unread", "text": parts.trouble,
                            "remedy": "Tell the makers of tilectl; the log of the node has the whole message."}]
        sources = reads.Sources()
    found = {
        "reasons": parts.read("what needs the whole frame", lambda: why_finish(scene, own, sources), None),
        "overlap": parts.read("how the scene is sampled",
                              lambda: max([overlap(s) for s in pictures], default=0), ADAPTIVE_OVERLAP),
        "pictures": listed,
        "whole": parts.read("whether tiles fit together", lambda: why_whole(scene, own, sources, pictures), None),
        "alone": parts.read("what reads settings of tiles", driven.reader, None)
        or parts.read("what only Blender by itself renders", lambda: why_alone(scene, own, pictures), None),
        "refuse": refuse,
        "notes": parts.read("what is worth knowing", lambda: remarks(scene, own, pictures), []),
        "region": parts.read("the render region", lambda: extent.region(scene, own), None),
        "format": final_format(own),
        "simulated": parts.read("what is simulated",
                                lambda: sorted({each for s in pictures for each in simulations.unbaked(s)}), None),
    }
    if found["reasons"] is None:
        found["reasons"] = [reason("unread", "not all of the scene could be read")]
    if found["simulated"]:
        found["whole"] = found["whole"] or simulated(found["simulated"])
        found["refuse"] = [*refuse, *why_not_a_frame(found["simulated"])]
    if parts.trouble:
        found["whole"] = f"{parts.trouble}, so it is not known whether tiles would fit together"
    found["tile_format"] = "exr" if found["reasons"] else "png"
    return found


def simulated(found):
    """Why a frame is not cut in which something is simulated while it renders."""
    return (f"it shows a simulation that is not baked ({named(found)}), and every Blender goes its own way through the "
            "frames; with a bake it can be cut into tiles")


def why_not_a_frame(found):
    """What of it keeps even a single frame from being rendered."""
    unsteady = simulations.unsteady(found)
    if not unsteady:
        return []
    return [{"code": "simulated",
             "text": f"{named(unsteady)} would be simulated while it renders, and comes out otherwise in every Blender that "
                     "has gone to the frame another number of times",
             "remedy": "Bake it in Blender and save the file, or render the frame with Blender itself."}]


def named(found, most=3):
    shown = ", ".join(found[:most])
    return shown if len(found) <= most else f"{shown} and {len(found) - most} more"


def overlap(scene):
    """Pixels that a tile is rendered beyond its region."""
    if not compat.engine_is_cycles(scene):
        return 0
    return (ADAPTIVE_OVERLAP if scene.cycles.use_adaptive_sampling else 0) + film.volume_overlap(scene)


def denoised_layers(scene, own=None):
    own = own or tiles.settings(scene)
    return [layer.name for index, layer in enumerate(scene.view_layers)
            if layer.use and tiles.denoises(own, index)]


def views(scene):
    if not scene.render.use_multiview:
        return []
    return [view.name for view in reads.active_views(scene)]


def passes_of(scene):
    """Names of the passes that the tiles of this scene carry, by view layer."""
    if not compat.engine_is_cycles(scene):
        return {}
    from cycles import engine

    return {layer.name: [name for name, _, _ in engine.list_render_passes(scene, layer)]
            for layer in scene.view_layers if layer.use}


def final_format(own):
    fmt = own["image"]["file_format"]
    return "PNG" if fmt in compat.MOVIES else fmt


def reason(code, text):
    return {"code": code, "text": text}


def why_finish(scene, own, sources):
    """Why tiles in the output format alone would not make the file that one machine makes."""
    found = []
    for name in (each["scene"] for each in sources.pictures):
        if denoised_layers(identity.find(name, bpy.data.scenes)):
            found.append(reason("denoise", f"the scene {name!r} is denoised, which has to see the whole frame"))
    if sources.compositor:
        found.append(reason("compositor", "the scene has compositor nodes, which have to see the whole frame"))
    if sources.sequencer:
        found.append(reason("sequencer", "the sequencer makes the final picture"))
    render, image = own["render"], own["image"]
    fmt = image["file_format"]
    if fmt not in compat.MOVIES and fmt != "PNG":
        found.append(reason("format", f"the output format is {fmt}, which only Blender itself writes"))
    eight_bit = image["color_depth"] == "8" or fmt in compat.MOVIES
    if render["dither_intensity"] > 0.0 and eight_bit:
        found.append(reason("dither", "dither is on, and its pattern belongs to the whole frame"))
    if render["use_stamp"]:
        found.append(reason("stamp", "metadata is burned into the picture"))
    if scene.render.use_multiview:
        found.append(reason("views", "the scene has several views"))
    if render["use_border"] and not render["use_crop_to_border"]:
        found.append(reason("region", "a render region without cropping is set, and the rest of the frame stays empty"))
    return found


def why_alone(scene, own, pictures):
    """Why the frame is left to one Blender alone, from rendering to file; None where it need not be."""
    regions = own["render"]["use_border"] or any(tiles.settings(p)["render"]["use_border"] for p in pictures)
    if len(pictures) > 1 and regions:
        # Blender puts what the other scenes render by their own regions into a picture the size of the first one's.
        return "a render region is set, and the frame shows several scenes"
    for picture in pictures:
        if compat.engine_is_cycles(picture):
            continue
        for layer in (layer for layer in picture.view_layers if layer.use):
            asked = passes_asked(layer)
            if asked:
                # The finish hands over the passes that Cycles has.
                return (f"the view layer {layer.name!r} has passes of its own ({named(asked)}), "
                        f"and {compat.engine_name(picture.render.engine)} renders them")
    return None


def passes_asked(layer):
    """The switches of passes that are on, but for the picture itself and its depth."""
    holders = [layer, *(holder for holder in (getattr(layer, name, None) for name in ("cycles", "eevee")) if holder)]
    names = [name for holder in holders for name in holder.bl_rna.properties.keys()
             if name.startswith(("use_pass_", "pass_", "denoising_store")) and getattr(holder, name) is True
             and name not in ("use_pass_combined", "use_pass_z", "use_pass_cryptomatte_accurate")]
    return names + [each.name for each in getattr(layer, "aovs", ())]


def why_whole(scene, own, sources, pictures):
    """Why this scene cannot be cut into tiles at all (F12); None when it can."""
    if sources.whole:
        return sources.whole
    if empty.is_empty(scene):
        return f"no view layer of the scene {scene.name!r} is used for rendering, and the picture is empty"
    for picture in pictures:
        engine = picture.render.engine
        if engine in compat.RASTERIZERS:
            return (f"{compat.engine_name(engine)} looks at the whole picture while it renders, "
                    f"so tiles of the scene {picture.name!r} would not fit together exactly")
        if not compat.engine_is_cycles(picture):
            return (f"the scene {picture.name!r} is rendered by {compat.engine_name(engine)}, and only of Cycles is it "
                    "known that tiles fit together exactly")
        cycles = picture.cycles
        if getattr(cycles, "use_guiding", False) and compat.cycles_build().get("with_path_guiding"):
            return (f"path guiding is on in the scene {picture.name!r}, and it learns from the pixels "
                    "rendered together with a pixel")
        if cycles.time_limit > 0:
            return (f"the scene {picture.name!r} has a time limit of {cycles.time_limit:g} s for rendering, "
                    "and a clock ends every tile at another number of samples")
        if getattr(cycles, "use_pixel_jitter", False):
            return (f"pixel jitter is on in the scene {picture.name!r}, and tiles are not offset as the whole frame is")
        inexact = inexact_denoising(picture) or inexact_volume(picture)
        if inexact:
            return inexact
        if picture.render.use_freestyle:
            return f"Freestyle lines are on in the scene {picture.name!r}, and they are drawn over the whole picture"
        pencil = grease_pencil(picture)
        if pencil:
            return f"{pencil!r} in the scene {picture.name!r} is Grease Pencil, which is drawn over the whole picture"
        resized = any("resolution" in each for each, one in zip(sources.pictures, pictures) if one == picture)
        if picture != scene and not resized and extent.size(picture) != extent.size(scene):
            return f"the frame shows the scene {picture.name!r}, whose resolution is not that of {scene.name!r}"
        if sources.sequencer and (own["render"]["use_border"] or tiles.settings(picture)["render"]["use_border"]):
            return "a render region is set, and the sequencer makes the picture"
    return None


#: What Cycles scales by the exposure, by the beginning of the pass's name in any version.
EXPOSED = ("Diff", "Gloss", "Trans", "Volume", "Emit", "Emission", "Env", "Shadow", "AO", "Ambient Occlusion",
           "Combined_")


def inexact_denoising(scene):
    """Why this scene cannot be denoised after stitching exactly as Cycles does; None when it can."""
    own = tiles.settings(scene)
    layers = denoised_layers(scene, own)
    if not layers:
        return None
    name = repr(scene.name)
    quality = getattr(scene.cycles, "denoising_quality", "HIGH")
    if quality != "HIGH" and not compat.denoise_node_has_quality():
        return f"the scene {name} is denoised with quality {quality.title()}, which only Cycles itself does here"
    if getattr(scene.cycles, "denoiser", "OPENIMAGEDENOISE") == "OPTIX":
        return f"the scene {name} is denoised by OptiX, which only Cycles itself does"
    catcher = next((thing for thing in objects.possible(scene)
                    if thing.is_shadow_catcher and thing.type not in {"LIGHT", "CAMERA"}), None)
    if catcher is not None:
        return f"the scene {name} is denoised and {catcher.name!r} is a shadow catcher, which Cycles denoises apart"
    if any("Shadow Catcher" in passes_of(scene)[layer] for layer in layers):
        return f"the scene {name} is denoised and has a Shadow Catcher pass, which Cycles denoises apart"
    unsure = next((each for each in scene.view_layers
                   if each.name in layers and film.is_counted(scene, each, own) is None), None)
    if unsure is not None:
        return (f"the scene {name} is denoised, and only rendering tells whether there is a volume in "
                f"{unsure.name!r}, on which it hangs what Cycles gives its denoiser; with a noise threshold it can be "
                "cut into tiles")
    exposure = tiles.tile_exposure(scene, own)
    if exposure is None and scene.cycles.use_adaptive_sampling:
        return (f"the scene {name} is denoised at a film exposure other than 1, and then tiles cannot carry what "
                "Cycles gives its denoiser; with the exposure of the colour management instead they can")
    if exposure is None:
        return (f"the scene {name} is denoised with a number of samples that tiles cannot carry without rounding; "
                "with a power of two, or with a noise threshold, they can")
    if exposure == film.single(own["cycles"]["film_exposure"]):
        return None
    exposed = {each for names in passes_of(scene).values() for each in names if each.startswith(EXPOSED)}
    if exposed:
        return (f"the scene {name} is denoised with {scene.cycles.samples} samples and has light passes; "
                "with a power of two samples, or with a noise threshold, it can be cut into tiles")
    return None


def inexact_volume(scene):
    """Why a volume keeps this scene from being cut; None when nothing does."""
    if extent.frame_is_cut(scene, tiles.settings(scene)) and volumes.are_guided(scene):
        return (f"the scene {scene.name!r} has a volume and is so large that Cycles cuts it itself, and what it finds "
                "in the volume depends on where; without tiling in the performance settings, or with biased volumes, "
                "it can be cut into tiles")
    return None


#: Longest name of a channel, in bytes, that Blender finds again in an EXR file.
CHANNEL = 63


def lost_names(scene):
    """Why Blender could not read the passes of this scene back from EXR; None when it can."""
    longest = max((len(view.encode()) + 1 for view in views(scene)), default=0)
    for layer, names in passes_of(scene).items():
        for name in names + ["Denoising Normal"]:
            if len(f"{layer}.{name}.X".encode()) + longest > CHANNEL:
                return (f"the names of the view layer {layer!r} and its pass {name!r} are together too long for "
                        "Blender to find them again in an EXR file")
    return None


def grease_pencil(scene):
    for thing in scene.objects:
        if thing.type in {"GPENCIL", "GREASEPENCIL"} and not thing.hide_render:
            return thing.name
    return None


def why_refuse(scene, own, pictures):
    """What cannot be done exactly by any number of nodes of this kind."""
    found = []
    for picture in pictures:
        if not compat.engine_is_cycles(picture):
            continue
        lost = lost_names(picture)
        if lost:
            found.append({"code": "names", "text": lost, "remedy": "Give the view layer or the pass a shorter name."})
        mine = tiles.settings(picture)
        wanted = mine["cycles"].get("use_denoising") and any(
            layer.use and layer.cycles.use_denoising for layer in picture.view_layers)
        if wanted and not compat.has_denoiser():
            found.append({
                "code": "no_denoiser",
                "text": f"the scene {picture.name!r} is denoised, and this Blender was built without OpenImageDenoise",
                "remedy": "Use a Blender from blender.org on that node, or turn denoising off in the scene.",
            })
    return found


def remarks(scene, own, pictures):
    """What the user should know although nothing is wrong."""
    found = []
    if own["image"]["file_format"] in compat.MOVIES:
        found.append("The output format of the scene is a movie; the frame is written as PNG.")
    if not getattr(scene.render, "save_output", True):
        found.append("The scene does not save its picture, only File Output nodes write; here it is written too.")
    if own["render"]["use_stamp"]:
        when = [words for name, words in STAMPED.items() if own["render"].get(name)]
        if when:
            found.append(f"Burned into the picture: {', '.join(when)}; they are those of the finish, and no two renders "
                         "have the same.")
        if scene.render.use_stamp_filename and not blend_name.can_be("", pictures):
            found.append("Burned into the picture: the path of the .blend; it is that of the copy on the node that "
                         "finishes.")
    for picture in pictures:
        if not compat.engine_is_cycles(picture):
            continue
        if any("Render Time" in names for names in passes_of(picture).values()):
            found.append("The pass Render Time is the clock's and differs from render to render.")
        if picture.cycles.device == "GPU" and denoised_layers(picture):
            found.append("The finish denoises on the processor; what a graphics card denoises differs in the last bits.")
    return found


#: Stamps that say when and how a frame was rendered.
STAMPED = {"use_stamp_date": "the date", "use_stamp_render_time": "the render time", "use_stamp_memory": "the memory",
           "use_stamp_hostname": "the host's name"}
