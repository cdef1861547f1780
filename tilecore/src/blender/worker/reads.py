"""Which scenes a frame is made from: its own, those its compositor reads, those its sequencer shows."""

import bpy

import compat
import extent
import identity


class Sources:
    """What the frame of a scene is made from."""

    def __init__(self):
        #: {"scene"} and, where they are not those of the frame, {"frame", "camera", "resolution", "percentage"}; in
        #: the order they were found.
        self.pictures = []
        #: Whether compositor nodes run.
        self.compositor = False
        #: Whether strips make the picture.
        self.sequencer = False
        #: Why the frame cannot be made from tiles, in words, or None.
        self.whole = None

    def add(self, scene, **picture):
        key = identity.key(scene, bpy.data.scenes)
        picture = {"scene": key, **picture}
        same = [each for each in self.pictures if each["scene"] == key]
        if not same:
            self.pictures.append(picture)
        elif picture not in same:
            self.whole = f"the frame shows the scene {scene.name!r} at two times or through two cameras"


def pictures(scene, own):
    """The sources of the scene's current frame; `own` are its own settings."""
    found = Sources()
    if own["render"]["use_sequencer"] and sequencer_runs(scene):
        found.sequencer = True
        show(scene, found)
    else:
        composite(scene, own["render"]["use_compositing"], found)
    return found


def composite(scene, switched_on, found, **picture):
    """Adds what a render of the scene takes: the scene, and those that its compositor reads."""
    tree = compat.compositor(scene)
    if tree is None or not switched_on or not len(tree.nodes):
        found.add(scene, **picture)
        return
    found.compositor = True
    read = [node.scene for node in compat.nodes_of(tree) if node.type == "R_LAYERS" and node.scene is not None]
    if scene not in read:
        found.whole = (f"the compositor of the scene {scene.name!r} does not read the scene's own render, "
                       "so there is nothing to cut into tiles")
        return
    found.add(scene, **picture)
    frame = {"frame": picture["frame"]} if "frame" in picture else {}
    for other in read:
        if other != scene:
            found.add(other, **frame, **size_in(scene, other))


def is_unseen(scene, own):
    """Whether strips make the picture and show nothing of the scene's own render, which then needs no camera."""
    found = pictures(scene, own)
    key = identity.key(scene, bpy.data.scenes)
    return found.sequencer and all(each["scene"] != key for each in found.pictures)


def certainly_renders(main, scene):
    """Whether a render of `main` certainly renders `scene`. Strips may hide one another, and what only nodes in groups
    or muted nodes read, some versions do not render."""
    if main.render.use_sequencer and sequencer_runs(main):
        return False
    tree = compat.active_compositor(main)
    if tree is None:
        return main == scene
    return any(node.type == "R_LAYERS" and not node.mute and node.scene == scene for node in tree.nodes)


def size_in(scene, other):
    """The size at which the compositor of `scene` has another scene rendered: its own, not the other's."""
    if extent.size(other) == extent.size(scene):
        return {}
    render = scene.render
    return {"resolution": [render.resolution_x, render.resolution_y], "percentage": render.resolution_percentage}


def sequencer_runs(scene):
    """Blender renders the strips instead of the scene if there is one that is not muted and not sound."""
    return any(strip.type != "SOUND" and not compat.strip_is_muted(scene, strip) for strip in compat.strips(scene))


def show(scene, found):
    """Adds the scenes that strips show at the current frame."""
    now = scene.frame_current
    shown = [strip for strip in visible(scene, compat.strips(scene), now) if strip.type == "SCENE"]
    if not shown:
        found.whole = "the sequencer makes the picture from strips that show nothing rendered"
    for strip in shown:
        source = strip.scene
        if source is None:
            continue
        if strip.scene_input != "CAMERA":
            found.whole = f"the strip {strip.name!r} shows the sequencer of another scene"
        elif getattr(strip, "speed_factor", 1.0) != 1.0 or getattr(strip, "use_reverse_frames", False):
            found.whole = f"the strip {strip.name!r} does not play at the speed of its scene"
        else:
            picture = {}
            start = strip.content_start if hasattr(strip, "content_start") else strip.frame_start
            frame = source.frame_start + int(now - start) + strip.animation_offset_start
            if frame != now:
                picture["frame"] = frame
            if strip.scene_camera is not None and strip.scene_camera != source.camera:
                picture["camera"] = identity.key(strip.scene_camera, source.objects)
            composite(source, source.render.use_compositing, found, **picture)


def visible(scene, strips, frame):
    """The strips at a frame that are not muted, those inside meta strips too."""
    for strip in strips:
        if compat.strip_is_muted(scene, strip) or not strip.frame_final_start <= frame < strip.frame_final_end:
            continue
        if strip.type == "META":
            yield from visible(scene, compat.strips_in(strip), frame)
        else:
            yield strip


def active_views(scene):
    """The views of a scene with several."""
    render = scene.render
    if render.views_format == "STEREO_3D":
        return [view for view in render.stereo_views if view.name in ("left", "right")]
    return [view for view in render.views if view.use]
