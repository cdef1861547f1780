"""Which files a scene refers to, and pointing it at where they are on this node.

Every reference is listed as it stands in the .blend (`path`), with the .blend it stands in (`in`, as the controller
knows it) and the files that the asked frames take (`files`). The controller decides what they are on its file system.
"""

import posixpath
import traceback

import bpy

import geometry_nodes
import libraries
import names
import project
from references import MAY, MUST, NOT, ORIGINAL, Reference, animates_frames, reachable, set_to, tree_of
from usd_files import CHANGED, USD, UsdFiles

FLUID_FOLDERS = ["config", "data", "noise", "mesh", "particles", "guiding"]
FLUID_ENDINGS = [".uni", ".vdb", ".raw", ".gz", ".obj"]


class Walk:
    """One pass over the open file, for the given scenes and frames."""

    def __init__(self, tree, scenes, frames):
        self.tree = tree
        self.scenes = scenes
        self.frames = frames
        self.used = reachable(scenes)
        self.found = []
        self.notes = []
        #: What refers to files that this worker cannot name, each in words.
        self.unknown = []
        self.usd = UsdFiles(tree)

    def need(self, owner):
        return MUST if owner in self.used else NOT

    def add(self, what, owner, *args, **more):
        self.found.append(Reference(what, self.blend_of(owner), *args, **more))

    def here(self, path):
        """A path on this node as the controller knows it."""
        return path[len(self.tree):] if path.startswith(self.tree + "/") else path

    def blend_of(self, owner):
        """The .blend whose folder `//` means for this data-block."""
        library = owner.library
        # Blender keeps the paths of all libraries relative to the open file.
        return self.here(bpy.data.filepath if library is None
                         else names.absolute(library.filepath, bpy.data.filepath))

    def all(self):
        self.attempt("the libraries", self.libraries)
        self.data()
        self.attempt("the list that Blender itself keeps", self.left_over)
        return self.found

    def attempt(self, what, read, *args):
        """Reads the files of one thing. An exception must not keep the others from being listed: what was not read is
        said by name."""
        try:
            read(*args)
        except Exception as e:
            traceback.print_exc()
            self.unknown.append(f"the files of {what} cannot be listed ({type(e).__name__}: {e})")

    def each(self, things, read):
        """Reads the files of each data-block."""
        for thing in things:
            self.attempt(f"{thing.bl_rna.name.lower()} {thing.name!r}", read, thing)

    def data(self):
        """All references but those to libraries."""
        self.attempt("the images", self.images)
        self.each(bpy.data.volumes, self.volume)
        self.each(bpy.data.cache_files, self.cache_file)
        self.attempt("the movie clips", self.clips)
        self.each(bpy.data.fonts, self.font)
        self.each(bpy.data.cameras, self.camera)
        self.each([thing for thing in bpy.data.objects if thing in self.used], self.modifiers)
        self.each(self.used, self.nodes)
        self.each([scene for scene in bpy.data.scenes if scene in self.used], self.scene)
        # These do not show in the picture: a sound is not seen, a text is kept in the .blend itself.
        self.each([*bpy.data.sounds, *bpy.data.texts], self.unseen)

    def font(self, font):
        if font.filepath and font.filepath != "<builtin>" and font.packed_file is None:
            self.add(f"font {font.name!r}", font, font.filepath, self.need(font), set_to(font, "filepath"))

    def camera(self, camera):
        if getattr(camera, "custom_mode", "") == "EXTERNAL" and camera.type == "CUSTOM":
            self.add(f"camera {camera.name!r}", camera, camera.custom_filepath, self.need(camera),
                     set_to(camera, "custom_filepath"))

    def nodes(self, owner):
        tree = tree_of(owner)
        for node in tree.nodes if tree is not None else ():
            self.node(owner, node)

    def scene(self, scene):
        if scene.rigidbody_world:
            self.point_cache(f"rigid body world of {scene.name!r}", scene, scene.rigidbody_world.point_cache)
        self.strips(scene)

    def unseen(self, thing):
        if thing.filepath:
            self.add(f"{thing.name!r}", thing, thing.filepath, NOT)

    def libraries(self):
        needed = set()
        for owner in self.used:
            library = owner.library
            while library is not None and library not in needed:
                needed.add(library)
                library = library.parent
        for library in bpy.data.libraries:
            reference = self.library(library, MUST if library in needed else MAY)
            if reference is not None:
                self.found.append(reference)

    def library(self, library, need):
        """The reference to a library. It stands in the file that links it, yet Blender shows it from the main file."""
        if libraries.held_here(library):
            return None
        if libraries.of_blender(names.absolute(library.filepath, bpy.data.filepath)):
            return None
        return Reference(f"library {library.name!r}", self.here(bpy.data.filepath), library.filepath, need,
                         lambda place: libraries.redirect(library, place))

    # Images, and everything with frames

    def images(self):
        numbers = self.image_numbers()
        self.each(bpy.data.images, lambda image: self.image(image, *numbers.get(image, (set(), False))))

    def image(self, image, taken, animated):
        """`taken` are the numbers of its files that the frames take, `animated` says whether nobody can know them."""
        raw = image.filepath
        if not raw or image.source in ("GENERATED", "VIEWER") or image.packed_file is not None or len(image.packed_files):
            return
        what, need, point = f"image {image.name!r}", self.need(image), set_to(image, "filepath")
        if image.source == "TILED":
            tiles = [tile.number for tile in image.tiles]
            self.add(what, image, raw, need, point, lambda p: [names.tile_path(p, t) for t in tiles])
        elif image.source == "SEQUENCE":
            # Used only where no frame is asked for (a background picture): nothing of it is rendered.
            self.add(what, image, raw, need if taken or animated else NOT, point,
                     lambda p: [] if animated else [names.with_number(p, n) for n in sorted(taken)], like=animated)
        else:
            self.add(what, image, raw, need, point)
        if image.use_multiview and image.views_format == "INDIVIDUAL":
            self.views(what, image, raw)

    def views(self, what, image, raw):
        suffixes = [view.file_suffix for scene in self.scenes for view in scene.render.views]
        stem, dot, ending = raw.rpartition(".")
        stem = next((stem[:-len(s)] for s in suffixes if s and stem.endswith(s)), stem)
        self.add(what, image, raw, MAY, None, lambda _: [stem + s + dot + ending for s in suffixes])

    def image_numbers(self):
        """Image sequence -> (the numbers of its files that the frames take, whether nobody can know them)."""
        numbers = {}

        def take(image, user, animated):
            if image is None or image.source != "SEQUENCE":
                return
            taken, unknown = numbers.get(image, (set(), False))
            for frame in self.frames if user is not None else ():
                taken.add(names.image_number(frame, user.frame_start, user.frame_duration, user.frame_offset,
                                             user.use_cyclic))
            numbers[image] = taken, unknown or animated or user is None

        for owner in self.used:
            tree = tree_of(owner)
            if isinstance(owner, bpy.types.ImageTexture):
                take(owner.image, owner.image_user, animates_frames(owner))
            if tree is None:
                continue
            animated = animates_frames(owner, tree)
            for node in tree.nodes:
                image = getattr(node, "image", None)
                if isinstance(image, bpy.types.Image):
                    # A compositor's image node is its own image user; geometry nodes compute the frame.
                    user = getattr(node, "image_user", None) or (node if hasattr(node, "frame_duration") else None)
                    take(image, user, animated)
                for socket in node.inputs:
                    if socket.type == "IMAGE":
                        take(getattr(socket, "default_value", None), None, True)
        for thing in bpy.data.objects:
            for modifier in thing.modifiers if thing in self.used else ():
                for _, each in geometry_nodes.inputs(modifier) if modifier.type == "NODES" else ():
                    if isinstance(each.value, bpy.types.Image):
                        take(each.value, None, True)
        return numbers

    def volume(self, volume):
        if not volume.filepath or volume.packed_file is not None:
            return
        files = None
        if volume.is_sequence:
            taken = {names.volume_number(frame, volume.frame_start, volume.frame_duration, volume.frame_offset,
                                         volume.sequence_mode) for frame in self.frames}
            files = lambda p: [names.with_number(p, n) for n in sorted(taken - {None})]  # noqa: E731
        self.add(f"volume {volume.name!r}", volume, volume.filepath, self.need(volume), set_to(volume, "filepath"),
                 files, like=volume.is_sequence and animates_frames(volume))

    def cache_file(self, cache):
        what, need = f"cache file {cache.name!r}", self.need(cache)
        files = None
        if cache.is_sequence:
            # Motion blur looks at the frames beside.
            frames = sorted({n for f in self.frames for n in (f - 1, f, f + 1)})
            self.add(what, cache, cache.filepath, MAY if need == MUST else NOT, None, lambda p: [names.with_number(p, n) for n in frames])
            files = lambda p: [names.with_number(p, n) for n in self.frames]  # noqa: E731
        self.add(what, cache, cache.filepath, need, set_to(cache, "filepath"), files)
        for layer in getattr(cache, "layers", ()):
            self.add(what, cache, layer.filepath, need, set_to(layer, "filepath"))
        if need == MUST and self.usd.wanted and cache.filepath.lower().endswith(USD):
            path = self.here(names.absolute(cache.filepath, self.blend_of(cache)))
            found, notes = self.usd.follow(what, path, cache.is_sequence)
            self.found += found
            self.notes += notes

    def clips(self):
        shown = {node.clip for owner in self.used if tree_of(owner) is not None for node in tree_of(owner).nodes
                 if getattr(node, "clip", None) is not None}
        shown |= {strip.clip for scene in self.scenes for strip in all_strips(scene) if strip.type == "MOVIECLIP"}
        for clip in bpy.data.movieclips:
            # Tracking alone needs at most its size, which the .blend remembers.
            need = NOT if clip not in self.used else MUST if clip in shown else MAY
            sequence = clip.source == "SEQUENCE"
            self.add(f"movie clip {clip.name!r}", clip, clip.filepath, need, set_to(clip, "filepath"),
                     (lambda p: []) if sequence else None, like=sequence)

    # Objects

    def modifiers(self, thing):
        for modifier in thing.modifiers:
            what = f"{modifier.name!r} of object {thing.name!r}"
            kind = modifier.type
            if kind == "MESH_CACHE":
                self.add(what, thing, modifier.filepath, MUST, set_to(modifier, "filepath"))
            elif kind == "MULTIRES" and modifier.is_external:
                self.add(what, thing, modifier.filepath, MUST, set_to(modifier, "filepath"))
            elif kind == "OCEAN":
                self.ocean(what, thing, modifier)
            elif kind in ("CLOTH", "SOFT_BODY"):
                self.point_cache(what, thing, modifier.point_cache)
            elif kind == "DYNAMIC_PAINT" and modifier.canvas_settings:
                for surface in modifier.canvas_settings.canvas_surfaces:
                    self.point_cache(what, thing, surface.point_cache)
            elif kind == "FLUID" and modifier.fluid_type == "DOMAIN":
                domain = modifier.domain_settings
                baked = any(getattr(domain, f"has_cache_baked_{p}", False) for p in ("any", "data", "mesh"))
                self.add(what, thing, domain.cache_directory, MUST if baked else MAY,
                         set_to(domain, "cache_directory"), lambda _: [], below=(FLUID_FOLDERS, FLUID_ENDINGS))
            elif kind == "NODES":
                self.bakes(what, thing, modifier)
        for system in thing.particle_systems:
            self.point_cache(f"particles {system.name!r} of object {thing.name!r}", thing, system.point_cache)

    def ocean(self, what, thing, modifier):
        if not modifier.is_cached:
            self.add(what, thing, modifier.filepath, NOT)
            return
        frames = [min(max(f, modifier.frame_start), modifier.frame_end) for f in self.frames]
        folder = modifier.filepath.rstrip("/\\")

        def named(kind):
            return lambda _: [f"{folder}/{kind}_{frame:04d}.exr" for frame in frames]

        self.add(what, thing, modifier.filepath, MUST, set_to(modifier, "filepath"), named("disp"))
        for kind in ("normal", "foam", "spray", "spray_inverse"):
            self.add(what, thing, modifier.filepath, MAY, None, named(kind))

    def point_cache(self, what, owner, cache):
        for each in list(cache.point_caches) or [cache]:
            if each.use_external:
                self.add(what, owner, each.filepath, MUST, set_to(each, "filepath"), lambda _: [],
                         below=([""], [".bphys"]))
            elif each.use_disk_cache:
                self.add(what, owner, beside(self.blend_of(owner)), MUST if each.is_baked else MAY, None, lambda _: [],
                         below=([""], [".bphys"]))

    def bakes(self, what, thing, modifier):
        for holder, attribute in [(modifier, "simulation_bake_directory"), (modifier, "bake_directory"),
                                  *((bake, "directory") for bake in getattr(modifier, "bakes", ()))]:
            folder = project.expanded(getattr(holder, attribute, ""), self.here)
            if folder:
                self.add(what, thing, folder, MAY, set_to(holder, attribute), lambda _: [], below=(None, [".json", ".blob"]))
        if getattr(modifier, "bakes", ()):
            self.add(what, thing, beside(self.blend_of(thing)), MAY, None, lambda _: [], below=(None, [".json", ".blob"]))
        for item, each in geometry_nodes.inputs(modifier):
            if getattr(item, "subtype", "") == "FILE_PATH" and isinstance(each.value, str):
                # Where nodes import it, those ask for it.
                self.add(what, thing, each.value, MAY, set_to(each, "value"))

    # Nodes

    def node(self, owner, node):
        what = f"node {node.name!r} of {owner.name!r}"
        kind = node.bl_idname
        if kind == "ShaderNodeTexIES":
            if node.mode == "EXTERNAL" and node.filepath:
                self.add(what, owner, node.filepath, MUST, set_to(node, "filepath"))
        elif kind == "ShaderNodeScript":
            if node.mode == "EXTERNAL" and node.filepath:
                osl = any(getattr(getattr(s, "cycles", None), "shading_system", False) for s in self.scenes)
                self.add(what, owner, node.filepath, MUST if osl else NOT, set_to(node, "filepath"))
                if osl:
                    self.add(what, owner, posixpath.dirname(node.filepath.replace("\\", "/")) + "/", MAY, None,
                             lambda _: [], below=([""], [".h", ".oslh"]))
        for socket in node.inputs:
            if kind.startswith("GeometryNodeImport") and socket.type == "STRING":
                self.imported(what, owner, node, socket)
            elif socket.bl_idname == "NodeSocketStringFilePath" and not socket.is_linked and socket.default_value:
                self.add(what, owner, socket.default_value, MAY, set_to(socket, "default_value"))

    def imported(self, what, owner, node, socket):
        """The files that a node imports: those that constant texts name, wherever they stand."""
        if socket.name != "Path" or not any(output.is_linked for output in node.outputs):
            return
        modifiers = [each for thing in bpy.data.objects for each in thing.modifiers if each.type == "NODES"]
        try:
            found = geometry_nodes.texts(socket, tree_of(owner), modifiers, list(bpy.data.node_groups))
        except geometry_nodes.Computed:
            self.unknown.append(f"the {what} computes the name of the file it imports")
            return
        for text in found:
            if text.value:
                self.add(what, owner, text.value, MUST, text.point)

    # The sequencer

    def strips(self, scene):
        if not scene.render.use_sequencer:
            return
        strips = all_strips(scene)
        for strip in strips:
            if strip.type not in ("IMAGE", "MOVIE"):
                continue
            shown = [f for f in self.frames if strip.frame_final_start <= f < strip.frame_final_end]
            need = MUST if shown and not strip.mute else NOT
            what = f"strip {strip.name!r} of {scene.name!r}"
            if strip.type == "MOVIE":
                self.add(what, scene, strip.filepath, need, set_to(strip, "filepath"))
                continue
            retimed = any(other.type == "SPEED" for other in strips) or len(getattr(strip, "retiming_keys", ()))
            elements = list(strip.elements) if retimed else [strip.strip_elem_from_frame(f) for f in shown]
            wanted = sorted({e.filename for e in elements if e})
            self.add(what, scene, strip.directory, need, set_to(strip, "directory"),
                     lambda p: [posixpath.join(p, name) for name in wanted])
            self.add(what, scene, strip.directory, NOT, None,
                     lambda p: [posixpath.join(p, element.filename) for element in strip.elements])

    def left_over(self):
        """What Blender itself lists and none of the above did: taken along when it is there."""
        blend = self.here(bpy.data.filepath)
        known = {names.absolute(path, r.blend) for r in self.found for path in (r.raw, *r.files)}
        for path in bpy.utils.blend_paths(absolute=True, packed=False, local=False):
            path = self.here(names.absolute(path, bpy.data.filepath))
            # Blender's own brushes are wherever Blender is.
            if path.startswith("/") and path not in known and "/datafiles/assets/" not in path:
                known.add(path)
                self.found.append(Reference("another file", blend, path, MAY))


def all_strips(scene):
    editor = scene.sequence_editor
    if editor is None:
        return []
    # Renamed in 4.4.
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def beside(blend):
    """Where Blender keeps simulations of a .blend that are baked to disk without a directory of their own."""
    stem = posixpath.basename(blend)
    return "//blendcache_" + (stem[:-6] if stem.lower().endswith(".blend") else stem)


def listing(tree, scene, frames):
    """Everything that rendering `scene` at `frames` reads."""
    walk = Walk(tree, [scene], frames)
    return {"files": [reference.listed() for reference in walk.all()], "notes": walk.notes,
            "unknown": walk.unknown}


def remap(tree, changes):
    """Points references elsewhere: each change is [which .blend, what stands there, where it is below `tree`]."""
    ORIGINAL.clear()
    CHANGED.clear()
    libraries.find_blenders_own()
    libraries.keep_held_below(tree)
    point(tree, changes)
    renew_views()


def renew_views():
    """Images with a file per view remember where each file was, by an absolute path that scripts cannot see: has Blender
    derive those names again where it finds none of them."""
    for image in list(bpy.data.images):
        if not image.use_multiview or image.views_format != "INDIVIDUAL" or image.source == "GENERATED":
            continue
        if not image.filepath or len(image.packed_files) or image.size[0]:
            continue
        render, path, source = bpy.context.scene.render, image.filepath, image.source
        several = render.use_multiview
        # Blender derives them for pictures that it can read, in scenes with several views; a change of source empties
        # the path.
        render.use_multiview = True
        try:
            image.source = "GENERATED"
            image.filepath = path
            image.views_format = "STEREO_3D"
            image.views_format = "INDIVIDUAL"
            image.source = source
        finally:
            render.use_multiview = several


def point(tree, changes):
    """Writes each changed place into the references it is for."""
    places = {}
    for blend, raw, parts in changes:
        place = posixpath.join(tree, *(names.from_wire(part) for part in parts))
        places[names.from_wire(blend), names.from_wire(raw)] = place
    if not places:
        return

    def apply(reference):
        place = places.get((reference.blend, reference.raw))
        if place is None or reference.point is None or reference.now == place:
            return False
        ORIGINAL[reference.blend, place] = reference.raw
        reference.point(place)
        return True

    # A library brings others when it is found, and a reload makes new data-blocks: one at a time.
    for _ in range(1000):
        walk = Walk(tree, list(bpy.data.scenes), [])
        linked = [walk.library(library, MUST) for library in bpy.data.libraries]
        if not any(apply(reference) for reference in linked if reference is not None):
            break
    walk = Walk(tree, list(bpy.data.scenes), [])
    walk.usd.wanted = any(blend.lower().endswith(USD) for blend, _ in places)
    walk.data()
    for reference in walk.found:
        apply(reference)
