"""Through which camera a scene is seen: its own, those that its timeline markers bring in, or one that is asked for."""

import bpy

import identity
from wire import Refused


def bound(scene):
    """[frame, camera] of every marker that brings in a camera, as Blender heeds them."""
    markers = [marker for marker in scene.timeline_markers if marker.camera and not marker.camera.hide_render]
    return sorted([marker.frame, identity.key(marker.camera, scene.objects)] for marker in markers)


def of(scene):
    """What the scene's cameras are called."""
    return [identity.key(thing, scene.objects) for thing in scene.objects if thing.type == "CAMERA"]


def choose(scene, name):
    """Makes this camera the one for all frames."""
    camera = identity.find(name, scene.objects)
    if camera is None or camera.type != "CAMERA":
        names = of(scene)
        raise Refused("no_camera", f"the scene {scene.name!r} has no camera {name!r}; it has "
                      + (", ".join(map(repr, names)) or "none"), name, names)
    for marker in scene.timeline_markers:
        marker.camera = None
    scene.camera = camera


def stand_in(scene):
    """Gives a scene without a camera one, for a render that nobody sees."""
    name = "tilectl camera"
    scene.camera = bpy.data.objects.get((name, None)) or bpy.data.objects.new(name, bpy.data.cameras.new(name))


class Own:
    """What a scene has of its own before anything is asked of it."""

    def __init__(self, scene):
        render = scene.render
        self.camera = scene.camera
        self.markers = [marker.camera for marker in scene.timeline_markers]
        self.size = render.resolution_x, render.resolution_y, render.resolution_percentage

    def put_back(self, scene):
        render = scene.render
        if scene.camera != self.camera:
            scene.camera = self.camera
        for marker, camera in zip(scene.timeline_markers, self.markers):
            if marker.camera != camera:
                marker.camera = camera
        size = render.resolution_x, render.resolution_y, render.resolution_percentage
        if size != self.size:
            render.resolution_x, render.resolution_y, render.resolution_percentage = self.size
