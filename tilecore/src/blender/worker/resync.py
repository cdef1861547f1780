"""Keeps Cycles from going through the whole scene again for a tile of the picture that it has just rendered.

A border that is set counts as a change of the scene, and after any change Cycles compares every object and every
instance with what it holds: 0.1 s for 100,000 instances, for every tile. What is animated counts as changed at every
render, though the frame is the same, and is built anew. Where nothing but the border has moved since the last render,
the dependency graph is evaluated once more before Cycles asks it for changes; with nothing left to evaluate, it has none
to tell of, as when a still picture is rendered twice. Borders and where the camera is are read anew either way; how it
moves is not.
"""

import bpy

import compat
import film
import identity
import simulations
import tiles
import unread


class Resync:
    def __init__(self):
        #: What Cycles holds: a picture and how it was rendered.
        self.held = None
        #: Whether the render that begins may spare itself the comparison.
        self.spare = False
        #: The frame that every scene was kept for last.
        self.frames = {}
        #: Scenes whose solvers were seen to survive that what they hold is freed.
        self.survived = set()
        #: One that has yet to show that, by the render that begins.
        self.on_trial = None
        self.listen()

    def listen(self):
        try:
            from cycles import CyclesRender
        except ImportError:
            return  # a Blender without Cycles
        update = CyclesRender.update

        def sparing(engine, data, depsgraph):
            spare, self.spare = self.spare, False
            if spare:
                depsgraph.update()
            return update(engine, data, depsgraph)

        CyclesRender.update = sparing

    def keep(self, scene, picture):
        """Has Cycles keep the scene from tile to tile where that is wanted and exact, but not from frame to frame: not
        all that moves is seen to (hair, curves and points of nodes). A scene that asks for that itself is kept, as
        Blender by itself does."""
        render, frame = scene.render, picture["frame"]
        own = tiles.settings(scene)["render"]["use_persistent_data"]
        key = identity.key(scene, bpy.data.scenes)
        if self.frames.get(key, frame) != frame and not own:
            render.use_persistent_data = False  # which frees what is kept
        self.frames[key] = frame
        if picture.get("whole"):
            # There is nothing to keep it for, and Blender by itself does as the scene says: with pixel jitter, a view
            # layer comes out otherwise where the scene was kept from the one before.
            render.use_persistent_data, self.on_trial = own, None
            return
        render.use_persistent_data = bool(picture.get("persistent", True)) and (
            not compat.engine_is_cycles(scene) or film.repeats(scene))
        # A solver that fails may only take Blender down when it is freed: after every frame where Blender renders by
        # itself, after the last tile, and after pictures without what it should have made, where the scene is kept.
        self.on_trial = None
        if render.use_persistent_data and key not in self.survived and unread.Parts().read(
                "solvers", lambda: simulations.has_solver(scene), True):
            render.use_persistent_data, self.on_trial = False, key

    def begin(self, scene, picture):
        """`picture` is rendered now; whether that goes well is not known yet."""
        held, self.held = self.held, None
        self.spare = held is not None and held[0] is picture and held[1] == state(scene) and is_simple(scene)

    def done(self, scene, picture):
        """It went well."""
        self.held = picture, state(scene)
        if self.on_trial is not None:
            self.survived.add(self.on_trial)
            scene.render.use_persistent_data, self.on_trial, self.held = True, None, None

    def forget(self):
        """Who knows what Cycles holds."""
        self.held = None


def state(scene):
    """What may differ between renders of one picture that is not set up anew."""
    return identity.key(scene, bpy.data.scenes), scene.frame_current, getattr(getattr(scene, "cycles", None), "samples", None)


def is_simple(scene):
    """Whether nothing that Cycles holds depends on the border, on the view or on other times."""
    r, cycles = scene.render, getattr(scene, "cycles", None)
    if not compat.engine_is_cycles(scene) or not r.use_persistent_data:
        return False
    culls = r.use_simplify and (cycles.use_camera_cull or cycles.use_distance_cull)
    layers = [layer for layer in scene.view_layers if layer.use]
    moves = r.use_motion_blur or any(layer.use_pass_vector for layer in layers)
    return len(layers) == 1 and not (culls or moves or r.use_multiview or r.use_freestyle)
