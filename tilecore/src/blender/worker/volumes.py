"""Whether Cycles renders a volume: for sure, for sure not, or, as None, only rendering tells.

From 5.0 on a volume changes more than its own pixels: Cycles counts the samples of every pixel where there is one,
and, unless volumes are stepped through as before, guides paths through it by what neighbouring pixels found.
"""

import bpy

import objects


def are_counted(scene, layer):
    """Whether a volume has Cycles count the samples of every pixel of this view layer; None if that cannot be told."""
    if not hasattr(scene.cycles, "volume_biased"):
        return False
    if not possible(scene):
        return False
    everything = layer.use_sky and layer.use_solid and layer.use_volumes
    if not everything or any(overrides(layer)):
        return None
    return True if in_shader(scene.world) or any(certainly(thing) for thing in objects.certain(layer)) else None


def are_guided(scene):
    """Whether Cycles may guide scattering in a volume by what neighbouring pixels found."""
    return hasattr(scene.cycles, "volume_biased") and not scene.cycles.volume_biased and possible(scene)


def possible(scene):
    """Whether there may be a volume in the picture."""
    shaders = [scene.world, *(each for layer in scene.view_layers for each in overrides(layer))]
    return nodes_make_some() or any(in_shader(each) is not False for each in shaders) or any(
        thing.type == "VOLUME" or any(in_shader(slot.material) is not False for slot in thing.material_slots)
        for thing in objects.possible(scene))


def overrides(layer):
    """What a view layer has instead of the scene's own materials and world."""
    named = (getattr(layer, name, None) for name in ("material_override", "world_override"))
    return [each for each in named if each is not None]


def certainly(thing):
    """Whether an object that is rendered certainly brings a volume."""
    if thing.type not in {"MESH", "VOLUME"} or any(modifier.type == "NODES" for modifier in thing.modifiers):
        return False
    cycles = thing.cycles
    if cycles.use_camera_cull or cycles.use_distance_cull or thing.instance_type != "NONE" or thing.particle_systems:
        return False
    if not all((thing.visible_camera, thing.visible_diffuse, thing.visible_glossy, thing.visible_transmission,
                thing.visible_volume_scatter, thing.visible_shadow)):
        return False
    if thing.type == "VOLUME" and not thing.material_slots:
        return True
    return any(in_shader(slot.material) for slot in thing.material_slots)


def nodes_make_some():
    """Whether any geometry nodes of the file could make a volume: of their own, by a material, by an object."""
    kinds = {node.bl_idname.removeprefix("GeometryNode") for tree in bpy.data.node_groups
             if tree.bl_idname == "GeometryNodeTree" for node in tree.nodes}
    if any("Volume" in kind or ("Grid" in kind and kind != "MeshGrid") for kind in kinds):
        return True
    # Which material or object it is may come from the modifier, or from another node.
    return bool(kinds & {"SetMaterial", "ReplaceMaterial", "ObjectInfo", "CollectionInfo"}) and (
        any(thing.type == "VOLUME" for thing in bpy.data.objects)
        or any(in_shader(material) is not False for material in bpy.data.materials))


def in_shader(owner):
    """Whether the shader of a material or a world has a volume."""
    tree = owner.node_tree if owner is not None and getattr(owner, "use_nodes", True) else None
    if tree is None:
        return False
    output = tree.get_output_node("CYCLES")
    if output is None or "Volume" not in output.inputs:
        return False
    links = [link for link in output.inputs["Volume"].links if not link.is_muted]
    if not links:
        return False
    # What is grouped, passed on or muted may come to nothing.
    plain = all(link.from_node.type.startswith(("VOLUME", "PRINCIPLED_VOLUME")) and not link.from_node.mute
                for link in links)
    return True if plain else None
