"""References to files as they stand in a .blend, and which data-blocks the picture depends on."""

import bpy

import names

#: A file that Blender would miss; one that is used when it is there; one that does not matter for the pixels.
MUST, MAY, NOT = "must", "may", "not"
#: What a scene holds on to without rendering it.
NOT_RENDERED = (bpy.types.Brush, bpy.types.Palette, bpy.types.PaintCurve, bpy.types.Screen, bpy.types.WindowManager,
                bpy.types.WorkSpace)


class Reference:
    """One place in a .blend where the name of a file or directory stands."""

    def __init__(self, what, blend, raw, need, point=None, files=None, like=False, below=None):
        self.what = what
        #: The .blend it stands in, as the controller knows it.
        self.blend = blend
        self.now = raw
        #: What its author wrote, also after `remap`.
        self.raw = ORIGINAL.get((blend, raw), raw)
        self.need = need
        #: Writes something else in its place.
        self.point = point
        self.files = [self.raw] if files is None else files(self.raw)
        #: Files with any number in place of the one in the name, or between these two: which, only the render knows.
        self.like = like
        #: For a directory: which folders in it (None: all, however deep), and how the names of its files end.
        self.below = below

    def listed(self):
        entry = {"what": self.what, "in": names.to_wire(self.blend), "path": names.to_wire(self.raw),
                 "need": self.need, "files": [names.to_wire(f) for f in self.files]}
        if self.like:
            ends = self.like if isinstance(self.like, tuple) else names.split_number(self.raw)[::2]
            entry["like"] = [names.to_wire(part) for part in ends]
        if self.below:
            entry["folders"], entry["endings"] = self.below
        return entry


#: What stood there before `remap`: (in which .blend, what stands there now) -> what the author wrote.
ORIGINAL = {}


def set_to(thing, attribute):
    return lambda value: setattr(thing, attribute, value)


def reachable(scenes):
    """Every data-block that rendering these scenes may touch."""
    uses = {}
    for used, users in bpy.data.user_map().items():
        for user in users:
            uses.setdefault(user, []).append(used)
    seen, waiting = set(scenes), list(scenes)
    while waiting:
        user = waiting.pop()
        for used in uses.get(user, ()):
            if used not in seen and not isinstance(used, NOT_RENDERED) and not only_drawn(user, used):
                seen.add(used)
                waiting.append(used)
    return seen


def only_drawn(user, used):
    """Whether it is a picture to work by: behind a camera's view, or held up by an empty."""
    if isinstance(user, bpy.types.Camera):
        return isinstance(used, (bpy.types.Image, bpy.types.MovieClip))
    return isinstance(user, bpy.types.Object) and user.type == "EMPTY" and user.data == used


def tree_of(owner):
    if isinstance(owner, bpy.types.NodeTree):
        return owner
    # From 5.0 on a scene's compositor is a node group like any other.
    return getattr(owner, "node_tree", None)


def curves(owner):
    """The animation curves and drivers of a data-block."""
    data = getattr(owner, "animation_data", None)
    if data is None:
        return []
    found = list(data.drivers)
    for action in [data.action] + [strip.action for track in data.nla_tracks for strip in track.strips]:
        if action is None:
            continue
        if hasattr(action, "layers") and not hasattr(action, "fcurves"):
            found += [c for layer in action.layers for strip in layer.strips for bag in strip.channelbags for c in bag.fcurves]
        else:
            found += action.fcurves
    return found


def animates_frames(owner, tree=None):
    """Whether frame numbers of image users are animated: then only the render knows which file is read."""
    return any(curve.data_path.rpartition(".")[2].startswith("frame_")
               for thing in (owner, tree) if thing is not None for curve in curves(thing))
