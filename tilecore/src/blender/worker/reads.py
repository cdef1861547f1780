"""Which scenes a frame is made from: its own, those its compositor reads, those its sequencer shows."""

import compat


class Sources:
    """What the frame of a scene is made from."""

    def __init__(self):
        #: Names of the scenes that are rendered, the frame's own first.
        self.scenes = []
        #: Whether compositor nodes run.
        self.compositor = False
        #: Whether strips make the picture.
        self.sequencer = False
        #: Why the frame cannot be made from tiles, in words, or None.
        self.whole = None

    def add(self, scene):
        if scene.name not in self.scenes:
            self.scenes.append(scene.name)


def active_views(scene):
    """The views of a scene with several."""
    render = scene.render
    if render.views_format == "STEREO_3D":
        return [view for view in render.stereo_views if view.name in ("left", "right")]
    return [view for view in render.views if view.use]


def pictures(scene, own):
    found = Sources()
    if own["render"]["use_sequencer"] and sequencer_runs(scene):
        found.sequencer = True
        strips(scene, found)
    else:
        composite(scene, own["render"]["use_compositing"], found)
    return found


def composite(scene, switched_on, found):
    tree = compat.compositor(scene)
    if tree is None or not switched_on or not len(tree.nodes):
        found.add(scene)
        return
    found.compositor = True
    layers = [node for node in compat.nodes_of(tree) if node.type == "R_LAYERS"]
    read = [node.scene for node in layers if node.scene is not None]
    if scene not in read:
        found.whole = (f"the compositor of the scene {scene.name!r} does not read the scene's own render, "
                       "so there is nothing to cut into tiles")
    else:
        found.add(scene)
    for other in read:
        found.add(other)


def sequencer_runs(scene):
    """Blender renders the strips instead of the scene when any strip that is not sound is audible, so to speak."""
    return any(strip.type != "SOUND" and not compat.strip_is_muted(scene, strip) for strip in compat.strips(scene))


def strips(scene, found):
    found.whole = "the sequencer makes the final picture"
