"""Simulations that are not baked: their state at a frame hangs on which frames were gone through before it.

What `blender -a` makes of them takes every frame in turn, from the first one on.
"""

import os

import bpy

import objects


#: What of this is a single frame's own: wherever a Blender comes from, it makes the same of it. All else takes a step
#: with a frame that follows the one before, or with every time that a frame is gone to, and a worker goes there more
#: often than `blender -f`.
STEADY = ("the particles",)


def unsteady(found):
    """Which of what is `unbaked` cannot be rendered even as a single frame."""
    return [each for each in found if not each.startswith(STEADY)]


def unbaked(scene):
    """What in the scene is simulated while it renders, in words a user finds again in Blender."""
    return sorted(set(found(scene)))


def found(scene):
    world = scene.rigidbody_world
    if world is not None and world.enabled and len(getattr(world.collection, "objects", ())) \
            and not is_kept(world.point_cache):
        yield f"the rigid bodies of the scene {scene.name!r}"
    for thing in objects.involved(scene):
        for modifier in thing.modifiers:
            if modifier.show_render:
                yield from (f"{what} of {thing.name!r}" for what in simulated(thing, modifier))


def simulated(thing, modifier):
    """What this modifier simulates without having it baked."""
    kind = modifier.type
    if kind == "CLOTH" and not is_kept(modifier.point_cache):
        yield "the cloth"
    elif kind == "SOFT_BODY" and not is_kept(modifier.point_cache):
        yield "the soft body"
    elif kind == "PARTICLE_SYSTEM" and particles_move(modifier.particle_system):
        yield "the hair dynamics" if modifier.particle_system.settings.type == "HAIR" else "the particles"
    elif kind == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
        surfaces = modifier.canvas_settings.canvas_surfaces
        if any(surface.is_active and surface.surface_format != "IMAGE" and not is_kept(surface.point_cache)
               for surface in surfaces):
            yield "the dynamic paint"
    elif kind == "FLUID" and modifier.fluid_type == "DOMAIN" and not fluid_is_kept(modifier.domain_settings):
        yield "the fluid"
    elif kind == "NODES" and modifier.node_group is not None and zones(modifier.node_group) \
            and not zones_are_kept(modifier):
        yield "the simulation zone"


def has_solver(scene):
    """Whether something in the scene is made by a solver that Blender runs or reads the files of: fluids."""
    return any(modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN" and modifier.show_render
               for thing in objects.involved(scene) for modifier in thing.modifiers)


def is_kept(cache):
    """Whether the states of all frames are there already."""
    return cache is None or cache.is_baked or cache.use_external


def particles_move(system):
    """Whether where particles are is simulated: not for hair at rest, and not for what has no physics."""
    settings = system.settings
    if settings.type == "HAIR":
        return bool(system.use_hair_dynamics) and system.cloth is not None and not is_kept(system.point_cache)
    return settings.physics_type != "NO" and not is_kept(system.point_cache)


def fluid_is_kept(domain):
    if domain.cache_type == "REPLAY":
        return False
    return domain.has_cache_baked_data or domain.has_cache_baked_any


def zones(tree, seen=None):
    """Whether there is a simulation zone in a tree or in a group in it."""
    seen = set() if seen is None else seen
    if tree is None or tree in seen:
        return False
    seen.add(tree)
    return any(node.bl_idname == "GeometryNodeSimulationOutput"
               or hasattr(node, "node_tree") and zones(node.node_tree, seen) for node in tree.nodes)


def zones_are_kept(modifier):
    """Whether what the zones make is baked. Blender names the nodes that can be baked, and says of none whether it is:
    the folder of a bake does, or that there is something packed."""
    bakes = [bake for bake in getattr(modifier, "bakes", ())
             if bake.node is not None and bake.node.bl_idname == "GeometryNodeSimulationOutput"]
    return bool(bakes) and all(lies_in_folder(modifier, bake) or is_packed(modifier, bake) for bake in bakes)


def lies_in_folder(modifier, bake):
    if bake.use_custom_path:
        folder = bake.directory
    else:
        folder = modifier.bake_directory and os.path.join(modifier.bake_directory, str(bake.bake_id))
    if not folder:
        return False
    meta = os.path.join(bpy.path.abspath(folder, library=modifier.id_data.library), "meta")
    return os.path.isdir(meta) and bool(os.listdir(meta))


#: Below this no folder can be made.
NOWHERE = os.path.join(os.devnull, "bake")


def is_packed(modifier, bake):
    """Whether the .blend itself holds a bake. No property tells, so a copy of the object is to unpack it to where nothing
    can be written: that fails where there is something, and does nothing at all where there is not."""
    if "geometry_node_bake_unpack_single" not in dir(bpy.ops.object):
        return False
    copy = modifier.id_data.copy()
    try:
        same = next(each for each in copy.modifiers[modifier.name].bakes if each.bake_id == bake.bake_id)
        same.use_custom_path, same.directory = True, NOWHERE
        result = bpy.ops.object.geometry_node_bake_unpack_single(
            session_uid=copy.session_uid, modifier_name=modifier.name, bake_id=bake.bake_id, method="WRITE_ORIGINAL")
    except RuntimeError:
        return True
    finally:
        bpy.data.objects.remove(copy)
    return "FINISHED" in result
