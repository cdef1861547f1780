"""The finish: from the stitched frame to the file that one machine would have made.

A copy of the scene without its objects is rendered through an engine that hands over the stitched passes, so
that denoising, compositor, sequencer, view transform, dither and output format are Blender's own. The scene
itself is not touched, and the worker can go on rendering tiles of it.
"""

import os
import shutil
import tempfile

import bpy

import blend_name
import compat
import develop
import extent
import film
import identity
import native
import outputs
import reads
import stitched
import tiles


class Unfinished(Exception):
    """The finish could not be made; the message is for the user."""


def finish(scene, frames, output, format=None, work_dir=None, whole=False, blend=None, passes=False,
           repeatable=False):
    """Makes the final picture of `scene` from stitched multilayer EXR files.

    `frames` has the path of a file for every scene that `needs` lists under `pictures`; where the frame was rendered
    `whole`, Cycles has denoised it. `blend` is the path that the .blend has where it was made. Where only the `passes`
    are wanted, they are the picture. With `repeatable`, clocks and machines are left out of stamps. It is written
    to `output`; views that have files of their own get their suffix before the extension. Returns `{"files":
    [{"kind": "image", "path", "view_suffix"}, {"kind": "file_output", "path", "node", "target"}]}`, where
    `target` is the path that the File Output node itself names.
    """
    folder = tempfile.mkdtemp(prefix="finish-", dir=work_dir)
    stage = Stage(folder, blend, repeatable)
    try:
        return stage.run(scene, frames, output, format, whole, passes)
    except (RuntimeError, OSError, stitched.exr_header.Damaged) as e:
        raise Unfinished(str(e).strip().removeprefix("Error: ").strip()) from e
    finally:
        stage.clear()
        shutil.rmtree(folder, ignore_errors=True)


class Stage:
    """The copies that a finish works on."""

    def __init__(self, folder, blend=None, repeatable=False):
        self.folder, self.blend, self.repeatable = folder, blend, repeatable
        #: By the scene that each is a copy of.
        self.copies = {}
        self.trees = []
        #: The copies that are made from stitched frames, by what their scenes are called.
        self.keys = {}
        self.renamed = None

    def run(self, scene, frames, output, format, whole, passes):
        for name, path in frames.items():
            source = identity.found(name, bpy.data.scenes, "scene")
            frame = stitched.Frame(path, developed=whole)
            place = os.path.join(self.folder, f"scene-{len(self.copies)}")
            os.mkdir(place)
            if not whole:
                self.develop(source, frame, place)
                if extent.frame_is_cut(source, tiles.settings(source)):
                    frame.shares = {layer.name: film.samples(source, layer) for layer in source.view_layers}
            copy = self.copies[source] = self.bare(source)
            stitched.attach(copy, name, frame)
            self.keys[name] = copy
        main = self.copies.get(scene) or self.copies.setdefault(scene, self.bare(scene))
        if passes:
            return self.write_passes(scene, main, output)
        for copy in self.copies.values():
            self.repoint(copy)
        self.repoint_strips(main, compat.strips(main))
        return self.render(scene, main, output, format)

    def bare(self, scene):
        """A copy of the scene with its own settings and nothing in it but the camera."""
        copy = scene.copy()
        tiles.restore(copy)
        for collection in list(copy.collection.children):
            copy.collection.children.unlink(collection)
        for thing in list(copy.collection.objects):
            copy.collection.objects.unlink(thing)
        copy.background_set = None
        if copy.rigidbody_world is not None:
            copy.rigidbody_world.enabled = False
        render = copy.render
        render.use_persistent_data = False
        render.use_single_layer = False
        render.use_overwrite, render.use_placeholder = True, False
        if not compat.engine_is_cycles(copy):
            # Frames are handed over in place of Cycles' own render only.
            render.engine = "CYCLES"
            copy.cycles.use_denoising = False
        if hasattr(render, "save_output"):
            render.save_output = True
        if compat.compositor_is_a_group() and copy.compositing_node_group is not None:
            copy.compositing_node_group = copy.compositing_node_group.copy()
            self.trees.append(copy.compositing_node_group)
        return copy

    def develop(self, scene, frame, place):
        copy = self.bare(scene)
        try:
            develop.develop(scene, copy, frame, place)
        finally:
            bpy.data.scenes.remove(copy)

    def repoint(self, main):
        """Makes the nodes of the copied compositor read the copies."""
        tree = compat.compositor(main)
        if tree is None:
            return
        self.trees += compat.own_groups(tree)
        for node in compat.nodes_of(tree):
            if node.type in {"R_LAYERS", "CRYPTOMATTE_V2"} and node.scene is not None:
                copy = self.copies.get(node.scene)
                if copy is not None and copy != node.scene:
                    compat.set_node_scene(node, copy)

    def repoint_strips(self, scene, strips):
        """Makes the strips of the copied sequencer show the copies."""
        for strip in strips:
            if strip.type == "META":
                self.repoint_strips(scene, compat.strips_in(strip))
            elif strip.type == "SCENE" and strip.scene is not None and strip.scene in self.copies:
                strip.scene = self.copies[strip.scene]

    def write_passes(self, scene, main, output):
        """Writes what Cycles would have handed over: every pass of every view layer and view, of the region alone."""
        render = main.render
        render.use_compositing = render.use_sequencer = render.use_stamp = False
        render.use_crop_to_border = True
        render.use_file_extension = False
        render.filepath = output
        compat.set_tile_exr(render.image_settings)
        # Read once and soon, row by row.
        render.image_settings.exr_codec = "NONE"
        with compat.same_name(scene, main):
            compat.render_still(main)
        for key, copy in self.keys.items():
            stitched.check(key, rendered(copy))
        if not os.path.isfile(output):
            raise Unfinished("Blender wrote no passes")
        return {"files": [{"kind": "image", "path": output, "view_suffix": ""}]}

    def render(self, scene, main, output, format):
        render, image = main.render, main.render.image_settings
        if self.repeatable:
            native.steady(main)
        wanted = format or image.file_format
        # As with `blender -F`, EXR is 32 bits unless the scene has 16.
        depth = "32" if "EXR" in wanted and image.color_depth not in {"16", "32"} else None
        compat.set_format(image, "PNG" if wanted in compat.MOVIES else wanted, depth=depth)
        pictures = os.path.join(self.folder, "image")
        os.mkdir(pictures)
        render.filepath = os.path.join(pictures, "frame")
        redirected = outputs.redirect(main, os.path.join(self.folder, "outputs"))
        with compat.same_name(scene, main), blend_name.Named(self.blend, [main, *self.keys.values()]):
            compat.render_frame(main)
        for key, copy in self.keys.items():
            stitched.check(key, rendered(copy), optional=not reads.certainly_renders(main, copy))
        files = [{"kind": "image", **native.named(os.path.join(pictures, name), output)}
                 for name in sorted(os.listdir(pictures))]
        if not files:
            raise Unfinished("Blender wrote no picture")
        return {"files": files + outputs.collect(redirected, output)}

    def clear(self):
        for key in self.keys:
            stitched.detach(key)
        for copy in self.copies.values():
            bpy.data.scenes.remove(copy)
        for tree in self.trees:
            bpy.data.node_groups.remove(tree)


def rendered(scene):
    """(view layer, view) of everything that a render of the scene renders."""
    return [(layer.name, view) for layer in scene.view_layers if layer.use for view, _ in develop.views(scene)]
