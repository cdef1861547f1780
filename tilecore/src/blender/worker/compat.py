"""Everything that differs between Blender 3.4 and 5.x and that the worker has to know."""

import bpy

#: Formats that hold a picture sequence; a still of them is written as PNG.
MOVIES = {"FFMPEG", "AVI_JPEG", "AVI_RAW"}


def engine_is_cycles(scene):
    return scene.render.engine == "CYCLES"


def engine_name(identifier):
    """What the user reads in Blender's own menu."""
    return {
        "BLENDER_EEVEE": "EEVEE",
        "BLENDER_EEVEE_NEXT": "EEVEE",
        "BLENDER_WORKBENCH": "Workbench",
        "CYCLES": "Cycles",
    }.get(identifier, identifier)


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
