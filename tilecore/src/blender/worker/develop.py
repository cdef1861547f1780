"""Makes of a stitched frame what Cycles itself would have made of it: denoised, at the scene's exposure (F5, F6)."""

import os

import compat
import counts
import film
import reads
import stitched
import tiles

#: Which guides Cycles gives the denoiser.
GUIDES = {"RGB": (), "RGB_ALBEDO": ("Albedo",), "RGB_ALBEDO_NORMAL": ("Albedo", "Normal")}


def develop(scene, bare, frame, folder):
    """Adds to `frame` the files that replace Combined and the noisy image. `bare` is a copy of the scene that may be
    changed; what was filmed only the scene itself tells."""
    own = tiles.settings(scene)
    denoised = [layer.name for index, layer in enumerate(scene.view_layers)
                if layer.use and tiles.denoises(own, index)]
    if not denoised:
        return
    films = {layer.name: film.of(scene, layer, own) for layer in scene.view_layers}
    for layer in bare.view_layers:
        taken = frame.header.texts.get(f"cycles.{layer.name}.samples")
        if layer.use and taken not in (None, str(film.asked(bare, layer))):
            raise RuntimeError(f"the frame has {taken} samples in {layer.name}, the scene asks for "
                               f"{film.asked(bare, layer)}")
    exposure = tiles.tile_exposure(scene, own)
    darkroom = Darkroom(bare, frame, folder)
    try:
        for layer in [layer.name for layer in bare.view_layers if layer.use]:
            developed = films[layer]
            if layer in denoised:
                frame.denoised.update(darkroom.run(layer, lambda tree, source: through_denoiser(
                    tree, source, developed, exposure, darkroom.settings)))
            if exposure != developed.exposure:
                frame.noisy.update(darkroom.run(layer, lambda tree, source: exposed(
                    tree, source, developed, exposure)))
    finally:
        darkroom.close()


def through_denoiser(tree, source, developed, exposure, settings):
    """The nodes that scale, denoise and scale as Cycles does."""
    node = compat.denoise_node(tree, settings["prefilter"], settings["quality"])
    tree.links.new(compat.times(tree, source.outputs["Image"], developed.before(exposure)), node.inputs["Image"])
    for guide in settings["guides"]:
        tree.links.new(source.outputs[f"Denoising {guide}"], node.inputs[guide])
    picture = node.outputs[0]
    if not developed.counted:
        return compat.times(tree, picture, developed.scale)
    count = source.outputs[film.COUNT]
    share = compat.calculate(tree, "DIVIDE", 1.0, count)
    if developed.exposure != 1.0:
        share = compat.calculate(tree, "MULTIPLY", share, developed.exposure)
    return compat.times(tree, compat.times(tree, picture, count), share)


def exposed(tree, source, developed, exposure):
    """The nodes that bring the noisy picture to the scene's exposure."""
    picture = compat.times(tree, source.outputs["Image"], developed.before(exposure))
    return compat.times(tree, picture, developed.exposure if developed.counted else developed.scale)


class Darkroom:
    """A copy of the scene whose compositor is made anew for every product."""

    def __init__(self, scene, frame, folder):
        self.scene, self.folder, self.number = scene, folder, 0
        cycles, render = scene.cycles, scene.render
        self.settings = {"prefilter": cycles.denoising_prefilter, "guides": GUIDES[cycles.denoising_input_passes],
                         "quality": getattr(cycles, "denoising_quality", "HIGH")}
        cycles.use_denoising = False
        for layer in scene.view_layers:
            layer.cycles.denoising_store_passes = True
            layer.cycles.pass_debug_sample_count = True
        render.use_compositing, render.use_sequencer, render.use_stamp = True, False, False
        render.dither_intensity = 0.0
        # The region alone, as Cycles denoises it.
        render.use_crop_to_border = True
        compat.set_format(render.image_settings, "OPEN_EXR", "RGBA", "32")
        render.image_settings.exr_codec = "NONE"
        render.image_settings.views_format = "INDIVIDUAL"
        compat.exact_compositor(render)
        self.key = "develop"
        passes = {"Combined", "Denoising Normal", "Denoising Albedo"}
        if counts.channels(frame.header):
            passes.add(film.COUNT)
        self.frame = stitched.Frame(frame.path, only=passes, counted=True)
        stitched.attach(scene, self.key, self.frame)

    def run(self, name, nodes):
        """Renders one view layer through some nodes; returns the files by (view layer, view)."""
        for layer in self.scene.view_layers:
            layer.use = layer.name == name
        self.frame.used.clear()
        tree, output = compat.fresh_compositor(self.scene)
        try:
            source = tree.nodes.new("CompositorNodeRLayers")
            source.scene, source.layer = self.scene, name
            output(nodes(tree, source))
            stem = os.path.join(self.folder, f"developed-{self.number}")
            self.number += 1
            self.scene.render.filepath = stem + ".exr"
            self.scene.render.use_file_extension = False
            compat.render_still(self.scene)
            stitched.check(self.key, [(name, view) for view, _ in views(self.scene)])
            return {(name, view): f"{stem}{suffix}.exr" for view, suffix in views(self.scene)}
        finally:
            compat.drop_compositor(self.scene, tree)

    def close(self):
        stitched.detach(self.key)


def views(scene):
    """(name, suffix of its files) of every view."""
    if not scene.render.use_multiview:
        return [("", "")]
    return [(view.name, view.file_suffix) for view in reads.active_views(scene)]
