"""Everything that differs between Blender 3.4 and 5.x and that the worker has to know."""

import ctypes

import bpy

#: Formats that hold a picture sequence; a still of them is written as PNG.
MOVIES = {"FFMPEG", "AVI_JPEG", "AVI_RAW"}


def engine_is_cycles(scene):
    return scene.render.engine == "CYCLES"


#: Engines that are part of Blender and draw on the graphics card, in any version.
RASTERIZERS = {"BLENDER_EEVEE": "EEVEE", "BLENDER_EEVEE_NEXT": "EEVEE", "BLENDER_WORKBENCH": "Workbench"}


def engine_name(identifier):
    """What the user reads in Blender's own menu."""
    for engine in bpy.types.RenderEngine.__subclasses__():
        if getattr(engine, "bl_idname", None) == identifier:
            return engine.bl_label
    return RASTERIZERS.get(identifier, identifier or "an unknown engine")


def sampling(scene):
    """(owner, property) of the samples that a render of the scene takes; None where its engine has no such number."""
    if engine_is_cycles(scene):
        return scene.cycles, "samples"
    if RASTERIZERS.get(scene.render.engine) == "EEVEE":
        return scene.eevee, "taa_render_samples"
    return None


def samples(scene):
    """Samples per pixel; 0 where the engine has no such number."""
    place = sampling(scene)
    return int(getattr(*place)) if place else 0


def set_samples(scene, number):
    place = sampling(scene)
    if place:
        setattr(*place, number)


def cycles_build():
    """The capabilities Cycles was built with, as `_cycles` states them; empty when there is no Cycles."""
    try:
        import _cycles
    except ImportError:
        return {}
    return {name: bool(getattr(_cycles, name)) for name in dir(_cycles) if name.startswith("with_")}


def has_denoiser():
    """Whether this Blender can denoise a finished frame: Debian's 3.4 is built without OpenImageDenoise."""
    return cycles_build().get("with_openimagedenoise", False)


# The compositor: before 5.0 a tree inside the scene with a Composite node, from 5.0 a node group with an output.


def compositor_is_a_group():
    return "compositing_node_group" in bpy.types.Scene.bl_rna.properties


def compositor(scene):
    """The scene's compositor tree, whether or not it is switched on; None when there is none."""
    if compositor_is_a_group():
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def active_compositor(scene):
    """The tree that a render of the scene runs through, or None."""
    tree = compositor(scene)
    if tree is None or not scene.render.use_compositing or not len(tree.nodes):
        return None
    return tree


def fresh_compositor(scene):
    """An empty tree as the scene's compositor and the function that makes a socket its output."""
    if compositor_is_a_group():
        tree = bpy.data.node_groups.new("tilectl", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        output = tree.nodes.new("NodeGroupOutput")
        scene.compositing_node_group = tree
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        output = tree.nodes.new("CompositorNodeComposite")
        if hasattr(output, "use_alpha"):
            output.use_alpha = True
    return tree, lambda socket: tree.links.new(socket, output.inputs[0])


def drop_compositor(scene, tree):
    """Removes what `fresh_compositor` made."""
    if compositor_is_a_group():
        scene.compositing_node_group = None
        bpy.data.node_groups.remove(tree)


def nodes_of(tree, seen=None):
    """Every node of a tree and of the groups in it."""
    seen = set() if seen is None else seen
    if tree is None or tree.as_pointer() in seen:
        return
    seen.add(tree.as_pointer())
    for node in tree.nodes:
        yield node
        if node.type == "GROUP":
            yield from nodes_of(node.node_tree, seen)


def denoise_node(tree, prefilter, quality):
    """A Denoise node that does what Cycles does with these settings."""
    node = tree.nodes.new("CompositorNodeDenoise")
    if hasattr(node, "prefilter"):
        node.use_hdr = True
        node.prefilter = prefilter
        if hasattr(node, "quality"):
            node.quality = quality
    else:
        titles = {"NONE": "None", "FAST": "Fast", "ACCURATE": "Accurate",
                  "HIGH": "High", "BALANCED": "Balanced"}
        node.inputs["HDR"].default_value = True
        node.inputs["Prefilter"].default_value = titles[prefilter]
        node.inputs["Quality"].default_value = titles.get(quality, "Fast")
    return node


def times(tree, color, factor):
    """A colour times a factor, a socket or a number: one float32 product per channel, alpha untouched."""
    if compositor_is_a_group():
        node = tree.nodes.new("ShaderNodeMix")
        node.data_type, node.blend_type = "RGBA", "MULTIPLY"
        node.clamp_factor = node.clamp_result = False
        amount = next(s for s in node.inputs if s.type == "VALUE")
        first, second = [s for s in node.inputs if s.type == "RGBA"]
        product = next(s for s in node.outputs if s.type == "RGBA")
    else:
        node = tree.nodes.new("CompositorNodeMixRGB")
        node.blend_type, node.use_alpha, node.use_clamp = "MULTIPLY", False, False
        amount, first, second = node.inputs
        product = node.outputs[0]
    amount.default_value = 1.0
    tree.links.new(color, first)
    if hasattr(factor, "is_output"):
        tree.links.new(factor, second)
    else:
        second.default_value = (factor, factor, factor, 1.0)
    return product


def calculate(tree, operation, a, b):
    """The result of a Math node; `a` and `b` are sockets or numbers."""
    node = tree.nodes.new("ShaderNodeMath" if compositor_is_a_group() else "CompositorNodeMath")
    node.operation, node.use_clamp = operation, False
    for socket, value in zip(node.inputs, (a, b)):
        if hasattr(value, "is_output"):
            tree.links.new(value, socket)
        else:
            socket.default_value = value
    return node.outputs[0]


def denoise_node_has_quality():
    return compositor_is_a_group() or "quality" in bpy.types.CompositorNodeDenoise.bl_rna.properties


# Image formats


def set_format(image_settings, fmt, color_mode=None, depth=None):
    """Chooses a file format; from 5.0 on the kind of medium comes first. Mode and depth are kept where they fit."""
    color_mode = color_mode or image_settings.color_mode
    depth = depth or image_settings.color_depth
    if hasattr(image_settings, "media_type"):
        image_settings.media_type = (
            "MULTI_LAYER_IMAGE" if fmt == "OPEN_EXR_MULTILAYER" else "VIDEO" if fmt in MOVIES else "IMAGE")
    image_settings.file_format = fmt
    for name, value in (("color_mode", color_mode), ("color_depth", depth)):
        try:
            setattr(image_settings, name, value)
        except TypeError:
            pass  # the format has no such mode or depth and Blender has chosen its own


def set_tile_exr(image_settings):
    """32-bit multilayer EXR in one part, all views in it, without loss."""
    set_format(image_settings, "OPEN_EXR_MULTILAYER", "RGBA", "32")
    image_settings.exr_codec = "ZIP"
    image_settings.views_format = "MULTIVIEW"
    for name, value in (("use_preview", False), ("use_exr_interleave", True),
                        ("color_management", "FOLLOW_SCENE")):
        if hasattr(image_settings, name):
            setattr(image_settings, name, value)


# File Output nodes: before 5.0 a folder and slots, from 5.0 a folder, a file name and items.


def output_folder(node):
    """The name of the property that holds a File Output node's folder."""
    return "directory" if hasattr(node, "directory") else "base_path"


def output_paths(node):
    """(holder, property) of every other path of a File Output node that is joined to its folder."""
    if hasattr(node, "file_output_items"):
        yield node, "file_name"
        for item in node.file_output_items:
            if not node_is_multilayer(node):
                yield item, "name"
    elif not node_is_multilayer(node):
        for slot in node.file_slots:
            yield slot, "path"


def node_is_multilayer(node):
    return node.format.file_format == "OPEN_EXR_MULTILAYER"


# The sequencer


def strips(scene):
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(editor.strips if hasattr(editor, "strips") else editor.sequences)


def strips_in(meta):
    return list(meta.strips if hasattr(meta, "strips") else meta.sequences)


def strip_is_muted(scene, strip, channels=None):
    if strip.mute:
        return True
    channels = scene.sequence_editor.channels if channels is None else channels
    index = strip.channel
    return index < len(channels) and channels[index].mute


# Rendering


def exact_compositor(render):
    """Whole precision on the CPU, whatever the scene says."""
    for name, value in (("compositor_device", "CPU"), ("compositor_precision", "FULL"),
                        ("compositor_denoise_device", "CPU")):
        if hasattr(render, name):
            setattr(render, name, value)


def may_lose_views():
    """Whether a render result probably finds no channels of views in a file that says it has views: 5.0 to 5.2."""
    return (5, 0, 0) <= bpy.app.version < (5, 3, 0)


def passes_are_arrays(render_pass):
    """Whether Blender copies all values of a pass at once. Before 4.0 it counts pixels, not values, and would write
    beyond the end of what it is given."""
    return bpy.app.version >= (4, 0, 0) or render_pass.channels == 1


class OldPass(ctypes.Structure):
    """How a pass of a render result begins in the memory of Blender 3.4 to 3.6 (`RE_pipeline.h`)."""

    _fields_ = [("next", ctypes.c_void_p), ("prev", ctypes.c_void_p), ("channels", ctypes.c_int),
                ("name", ctypes.c_char * 64), ("chan_id", ctypes.c_char * 8), ("rect", ctypes.c_void_p),
                ("rectx", ctypes.c_int), ("recty", ctypes.c_int)]


def memory_of(render_pass):
    """(address, bytes) of the values of a pass, before 4.0. What does not look like the pass is not touched."""
    old = OldPass.from_address(render_pass.as_pointer())
    pixels = len(render_pass.rect)
    if (old.channels, old.name, old.chan_id) != (render_pass.channels, render_pass.name.encode(),
                                                 render_pass.channel_id.encode()) \
            or old.rectx * old.recty != pixels or not old.rect:
        raise RuntimeError(f"the values of the pass {render_pass.name!r} are not where this Blender should have them")
    return old.rect, 4 * pixels * old.channels


def render_still(scene):
    """Renders a scene into the file that its settings name."""
    # The operator takes the frame from the scene of the context, and a scene that is named from any library.
    with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        bpy.ops.render.render(write_still=True)


def render_frame(scene):
    """Renders a scene as `blender -f` does; the frame's number may be appended to names of files."""
    if "frame_start" not in bpy.ops.render.render.get_rna_type().properties:
        return render_still(scene)
    frame = scene.frame_current
    with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        bpy.ops.render.render(animation=True, frame_start=frame, frame_end=frame)


def own_groups(tree):
    """Copies the groups in a tree that a finish changes nodes in; returns the copies."""
    copies = []
    for node in tree.nodes:
        if node.type != "GROUP" or node.node_tree is None:
            continue
        kinds = {inner.type for inner in nodes_of(node.node_tree)}
        if kinds & {"R_LAYERS", "CRYPTOMATTE_V2", "OUTPUT_FILE"}:
            node.node_tree = node.node_tree.copy()
            copies.append(node.node_tree)
            copies += own_groups(node.node_tree)
    return copies


def set_node_scene(node, scene):
    """Changes the scene of a node that reads a render and keeps the view layer it reads."""
    layer = getattr(node, "layer", None)
    node.scene = scene
    if layer:
        node.layer = layer


class same_name:
    """Lets a copy bear the name of its original for a while: names are burned in and written into metadata."""

    def __init__(self, original, copy):
        self.original, self.copy, self.name = original, copy, original.name

    def __enter__(self):
        if self.original.library is None and self.original != self.copy:
            self.original.name = self.name + "~"
            self.copy.name = self.name

    def __exit__(self, *_):
        if self.original.library is None and self.original != self.copy:
            self.copy.name = self.name + "~~"
            self.original.name = self.name


# Scenes


#: Whether Cycles keeps the sampling pattern of the last view layer with the scene; it depends on that layer's samples.
KEEPS_PATTERN = bpy.app.version >= (4, 3, 0)
