"""Which objects are in a picture, as far as that can be told before it is rendered."""

import bpy

import references


def possible(scene):
    """Every object that may be in the picture: of the scene and its background, and what these are instances of."""
    seen, waiting = set(), []
    while scene is not None and scene not in seen:
        seen.add(scene)
        waiting += (thing for thing in scene.objects if not is_hidden(thing))
        scene = scene.background_set
    while waiting:
        thing = waiting.pop()
        if thing not in seen:
            seen.add(thing)
            yield thing
            waiting += instances(thing, seen)


def involved(scene):
    """Every object that the picture may depend on: what may be in it, and what that refers to, hidden or not, such as
    the cage of a deformation."""
    uses = {}
    for used, users in bpy.data.user_map().items():
        for user in users:
            uses.setdefault(user, []).append(used)
    seen, waiting = set(), list(possible(scene))
    if scene.world is not None:
        waiting.append(scene.world)
    while waiting:
        each = waiting.pop()
        if each in seen or isinstance(each, bpy.types.Scene):
            continue
        seen.add(each)
        waiting += uses.get(each, ())
        if isinstance(each, bpy.types.Object):
            yield each


def instances(thing, seen):
    """What an object may show instances of, or materials; of a collection only the first time."""
    collections = [thing.instance_collection] if thing.instance_type == "COLLECTION" else []
    if thing.instance_type in {"VERTS", "FACES"}:
        yield from thing.children
    for system in thing.particle_systems:
        if system.settings.render_type == "OBJECT" and system.settings.instance_object is not None:
            yield system.settings.instance_object
        elif system.settings.render_type == "COLLECTION":
            collections.append(system.settings.instance_collection)
    for collection in collections:
        if collection is not None and collection not in seen:
            seen.add(collection)
            yield from (each for each in collection.all_objects if not is_hidden(each))
    # A cutter brings its materials along, hidden or not: from 5.2 on by default.
    for modifier in thing.modifiers:
        if modifier.type == "BOOLEAN":
            yield from [modifier.object] if modifier.object is not None else []
            yield from modifier.collection.all_objects if modifier.collection is not None else []


def is_hidden(thing):
    """Whether an object is switched off for renders, at every frame."""
    return thing.hide_render and not any(curve.data_path == "hide_render" for curve in references.curves(thing))


def certain(layer):
    """Objects that are certainly rendered in a view layer."""
    waiting, seen = [layer.layer_collection], set()
    while waiting:
        each = waiting.pop()
        if each.exclude or each.collection.hide_render:
            continue
        waiting += each.children
        for thing in each.collection.objects:
            if thing not in seen and not thing.hide_render:
                seen.add(thing)
                yield thing
