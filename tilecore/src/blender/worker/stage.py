"""What happens to the scene: open, look, set up a picture, render a tile, probe, finish. Main thread only."""

import os
import shutil
import signal
import sys
import threading
import time

import bpy

import cameras
import colour
import compat
import counts
import devices
import empty
import environment
import extent
import files_of_scene
import finish
import handlers
import identity
import names
import native
import needs
import png_text
import progress
import project
import reads
import resync
import scripted
import store
import texture_cache
import tiles
import timing
import unread
from locks import Held
from trees import Trees
from wire import Refused


#: No job has more frames.
MOST_FRAMES = 100000


class Stage:
    def __init__(self, wire, files):
        self.wire = wire
        self.files = files
        self.picture = None
        self.own = {}
        self.path = None
        #: The path of the .blend where it was made.
        self.blend = None
        #: What is to be said about its scripts.
        self.remark = None
        self.tree = None
        #: Whether cached textures came with the scene.
        self.cached = False
        self.rendering = None
        self.unwanted = None
        #: Whether scripts in the file may run.
        self.scripts = False
        self.breaks = 0
        self.resync = resync.Resync()
        self.log = progress.Log(os.environ.get("TILECTL_LOG"))
        #: The tree of a colour configuration that was sent: Blender reads from it as long as it runs.
        self.colour = Held()
        if os.environ.get("TILECTL_COLOUR"):
            self.colour.take(os.environ["TILECTL_COLOUR"])
            self.colour.share()

    def hello(self):
        build = bpy.app.build_hash
        return {
            "version": bpy.app.version_string,
            "hash": build.decode("ascii", "replace") if isinstance(build, bytes) else str(build),
            "blender": bpy.app.binary_path or sys.executable,
            "cores": os.cpu_count() or 1,
            "memory": devices.memory(),
            "oidn": bool(needs.has_denoiser()),
            "free": self.files.free(),
            "time": time.time(),
            "host": os.uname().nodename if hasattr(os, "uname") else "",
            "system": sys.platform,
            "environment": environment.at_start(),
        }

    def do_restart(self, request):
        """Begins anew, in this same process, with the colour configuration that was sent: Blender reads it only when it
        starts. The next hello is the answer."""
        if "files" in request:
            trees = Trees(self.files)
            os.environ["TILECTL_COLOUR"] = trees.lay_out(request["layout"], request["files"])
            os.environ["OCIO"] = trees.place(os.environ["TILECTL_COLOUR"], request["main"])
        else:
            os.environ["OCIO"] = request["built_in"]
        for name, value in request["variables"]:
            os.environ[store.checked(store.TOKEN, name, "variable")] = str(value)
        own = bool(bpy.app.binary_path)
        program = bpy.app.binary_path if own else sys.executable
        shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
        os.execv(program, [program, *(sys.argv if own else sys.orig_argv)[1:]])

    # Opening and looking

    def do_open(self, request):
        """Lays the files out and opens the scene; scripts in it stay off unless asked for."""
        self.tree = self.files.trees.lay_out(request["layout"], request["files"])
        path = self.files.trees.place(self.tree, request["main"])
        self.picture = None
        self.own = {}
        texture_cache.choose(self.texture_folder(request))
        self.cached = any(len(entry) > 2 for entry in request["files"])
        started = time.perf_counter()
        self.scripts = bool(request.get("scripts"))
        self.log.begin(None)
        self.load(path, request)
        lacked = colour.lacked(self.log.said())
        self.log.end()
        project.check(self.tree)
        files_of_scene.remap(self.tree, request.get("remap", []))
        self.path = path
        self.blend = "/" + "/".join(self.files.trees.parts(request["main"]))
        return {"seconds": time.perf_counter() - started, "environment": environment.fingerprint(), "lacked": lacked}

    def texture_folder(self, request):
        """The folder of the artist's preferences for cached textures: absolute ones are mirrored like all paths."""
        if request.get("texture_folder"):
            return self.files.trees.place(self.tree, request["texture_folder"])
        return names.from_wire(request.get("texture_beside") or "")

    def load(self, path, request):
        before = handlers.known()
        try:
            bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=bool(request.get("scripts")))
        except RuntimeError as e:
            # Blender repeats the path on this node, which says nothing to the user.
            reason = str(e).strip().replace(path, os.path.basename(path)).rpartition("': ")[2]
            raise Refused("unreadable", reason.removeprefix("Error: ").strip())
        if not bpy.data.filepath:
            raise Refused("unreadable", "Blender did not open the file")
        handlers.take_out()
        self.remark = handlers.remark(before)

    def do_devices(self, request):
        """The devices here, and why the one that is to be tried does not work."""
        asked = request.get("try")
        if asked in ("AUTO", "GPU"):
            kind, _, faults = devices.best()
            fault = "; ".join(faults) or "there is no graphics card that this Blender can use"
            return {"devices": devices.listing(), "device": kind or "CPU",
                    "fault": fault if kind is None and asked == "GPU" else None}
        if asked == "SCENE":
            asked = "CPU"
        return {"devices": devices.listing(), "device": asked, "fault": devices.trial(asked)}

    def do_device(self, _):
        """The best kind of graphics card that works here, if any does."""
        kind, names, faults = devices.best()
        return {"device": kind, "names": names, "faults": faults}

    def do_files(self, request):
        """Every file that rendering these frames of these scenes reads, as it stands in the .blend. Without frames:
        those of the scene, with the ends and the step that an object gives; the current one where they are "current"."""
        scenes = [self.scene_of({"scene": name}) for name in request.get("scenes") or [None]]
        listed = {"files": [], "notes": [], "unknown": [], "texture_cache": texture_cache.version_wanted(),
                  "projects": project.known()}
        for scene in scenes:
            asked = request.get("frames")
            if asked == "current":
                asked = [scene.frame_current]
            if asked is None or isinstance(asked, dict):
                first, last, step = ((asked or {}).get(end) for end in ("first", "last", "step"))
                asked = list(range(scene.frame_start if first is None else first,
                                   (scene.frame_end if last is None else last) + 1,
                                   max(1, scene.frame_step if step is None else step)))[:MOST_FRAMES]
            found = files_of_scene.listing(self.tree, scene, asked)
            for key in ("files", "notes", "unknown"):
                listed[key] += [entry for entry in found[key] if entry not in listed[key]]
        return listed

    def do_look(self, request):
        """Everything that the controller has to know about one scene of the file."""
        picture = request.get("picture") or {}
        scene = self.scene_of(picture)
        r = scene.render
        cycles = getattr(scene, "cycles", None)
        image = r.image_settings
        facts = {
            "scene": identity.key(scene, bpy.data.scenes),
            "camera": identity.key(scene.camera, scene.objects) if scene.camera else None,
            "cameras": cameras.of(scene),
            "bound": cameras.bound(scene),
            "engine": r.engine,
            "gpu": compat.engine_is_cycles(scene) and cycles is not None and cycles.device == "GPU",
            "resolution": [r.resolution_x, r.resolution_y],
            "percentage": r.resolution_percentage,
            "frame": scene.frame_current,
            "frames": [scene.frame_start, scene.frame_end, scene.frame_step],
            "samples": compat.samples(scene),
            "seed": int(cycles.seed) if cycles else 0,
            "border": self.border_of(r),
            "path": project.expanded(r.filepath, self.here),
            "format": image.file_format,
            "views": [view.file_suffix for view in reads.active_views(scene)] if r.use_multiview else [],
        }
        # What it needs hangs on what is asked of it.
        tiles.remember(scene)
        own = self.own_of(scene)
        self.adjust(scene, picture)
        if picture.get("frame") is not None and picture["frame"] != scene.frame_current:
            scene.frame_set(picture["frame"])
        try:
            facts["needs"] = needs.needs(scene, passes=bool(picture.get("passes")))
            facts["needs"]["notes"] += [self.remark] if self.remark else []
            facts["needs"]["whole"] = facts["needs"].get("whole") or texture_cache.bars_tiles(self.cached)
        finally:
            own.put_back(scene)
            if facts["samples"]:
                compat.set_samples(scene, facts["samples"])
        off = None if self.scripts else unread.Parts().read("the scripts", scripted.note, None)
        if off:
            facts["needs"]["notes"].append(off)
        return facts

    def here(self, path):
        """A path on this node as the controller knows it."""
        return path.removeprefix(self.tree) if self.tree and path.startswith(self.tree + "/") else path

    @staticmethod
    def border_of(r):
        if not r.use_border:
            return None
        return {"crop": r.use_crop_to_border,
                "min_x": r.border_min_x, "max_x": r.border_max_x, "min_y": r.border_min_y, "max_y": r.border_max_y}

    @staticmethod
    def scene_of(picture):
        name = picture.get("scene")
        if not name:
            return bpy.context.scene
        return identity.found(name, bpy.data.scenes, "scene")

    def own_of(self, scene):
        """What the scene had of its own when it was first seen."""
        return self.own.setdefault(identity.key(scene, bpy.data.scenes), cameras.Own(scene))

    # Setting up

    def do_setup(self, request):
        return self.set_up(request["picture"])

    def set_up(self, picture, finishing=False):
        """Makes `picture` what is rendered next, and reads back what came of it. Does nothing when it already is. What
        is only finished may do without a camera."""
        if picture == self.picture:
            return self.effective
        self.picture = None
        scene = self.scene_of(picture)
        r = scene.render
        if bpy.context.window is not None and bpy.context.window.scene != scene:
            bpy.context.window.scene = scene
        tiles.remember(scene)
        own = self.own_of(scene)
        own.put_back(scene)
        self.adjust(scene, picture)
        if picture.get("threads"):
            r.threads_mode, r.threads = "FIXED", picture["threads"]
        else:
            r.threads_mode = "AUTO"
        devices.choose(scene, picture.get("device") or "CPU")
        self.resync.keep(scene, picture)
        scene.frame_set(picture["frame"])
        if picture.get("camera"):
            cameras.choose(scene, picture["camera"])
        if scene.camera is None and not finishing:
            if not reads.is_unseen(scene, tiles.settings(scene)):
                raise Refused("no_camera", f"the scene {scene.name!r} has no camera to render through")
            cameras.stand_in(scene)
        tiles.configure(scene, picture["format"], picture.get("whole", False))
        self.effective = self.read_back(scene)
        self.picture = picture
        return self.effective

    @staticmethod
    def adjust(scene, picture):
        """Gives the scene the size, samples and seed that are asked for."""
        r, cycles = scene.render, getattr(scene, "cycles", None)
        if picture.get("resolution"):
            r.resolution_x, r.resolution_y = picture["resolution"]
        if picture.get("percentage"):
            r.resolution_percentage = picture["percentage"]
        if picture.get("samples"):
            compat.set_samples(scene, picture["samples"])
        if cycles and picture.get("seed") is not None:
            cycles.seed = picture["seed"]

    @staticmethod
    def read_back(scene):
        r = scene.render
        cycles = getattr(scene, "cycles", None)
        return {
            "scene": identity.key(scene, bpy.data.scenes),
            "camera": identity.key(scene.camera, scene.objects) if scene.camera else None,
            "frame": scene.frame_current,
            "resolution": [r.resolution_x, r.resolution_y],
            "percentage": r.resolution_percentage,
            "samples": compat.samples(scene),
            "seed": int(cycles.seed) if cycles else 0,
            "engine": r.engine,
            "device": devices.of(scene),
        }

    # Rendering

    def do_render(self, request):
        """One tile into the spool: written under another name, hashed, renamed, reported."""
        effective = self.set_up(request["picture"])
        scene = self.scene_of(request["picture"])
        name = store.checked(store.TOKEN, request["name"], "tile name")
        folder = self.files.spool_dir(request["job"])
        draft = os.path.join(folder, f"{name}.{self.files.run_name}.draft")
        watch = counts.Watch(scene)
        try:
            seconds = self.render(scene, request["border"], draft, request)
            if bpy.app.version < (4, 0, 0):
                watch.feed(self.log.said())
            if self.unwanted == request["id"]:
                raise Refused("cancelled", "given up")
            if not os.path.exists(draft):
                self.resync.forget()
                raise Refused("no_image", "Blender wrote no image: " + (self.log.tail(300) or "no reason given"))
            watch.seal(draft)
            if self.blend and request["picture"]["format"] == "png":
                png_text.name_blend(draft, self.blend)
            size, digest = os.path.getsize(draft), store.digest_of(draft)
            with open(draft, "rb") as f:
                os.fsync(f.fileno())
            os.replace(draft, os.path.join(folder, name))
        except counts.NotTold as e:
            raise Refused("failed", str(e))
        finally:
            watch.close()
            try:
                os.unlink(draft)
            except OSError:
                pass
        return {"name": name, "bytes": size, "sha256": digest, "seconds": seconds,
                "sync": min(timing.sync_seconds(os.path.join(folder, name)), seconds), "effective": effective}

    def render(self, scene, border, path, request):
        r = scene.render
        if border is None:
            r.use_border = r.use_crop_to_border = False
        else:
            r.use_border = r.use_crop_to_border = True
            r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y = border
        r.filepath = path
        r.use_file_extension = False
        if hasattr(r, "use_overwrite"):
            r.use_overwrite, r.use_placeholder = True, False
        self.log.begin(
            lambda done, of: self.wire.send({"event": "progress", "id": request["id"], "done": done, "of": of}),
            lambda words: self.wire.send({"event": "stage", "id": request["id"], "words": words}))
        self.rendering = request["id"]
        self.resync.begin(scene, self.picture)
        started = time.perf_counter()
        try:
            if self.picture["format"] == "exr" and empty.is_empty(scene):
                empty.write(path, *self.extent(scene))
            else:
                compat.render_still(scene)
        except RuntimeError as e:
            raise Refused("render", str(e).strip().removeprefix("Error: ").strip())
        finally:
            self.rendering = None
            self.log.end()
        seconds = time.perf_counter() - started
        if self.unwanted != request["id"]:
            self.resync.done(scene, self.picture)
        return seconds

    @staticmethod
    def extent(scene):
        """Width and height of what is rendered."""
        part = extent.region(scene, {"render": {name: getattr(scene.render, name) for name in tiles.RENDER
                                                if hasattr(scene.render, name)}})
        return part["rect"][2:] if part else extent.size(scene)

    def do_finish(self, request):
        """The final picture of the stitched frames, and whatever else the scene writes, into the spool."""
        for source in request.get("sources", []):
            self.set_up(source)
        self.set_up(request["picture"], finishing=True)
        scene = self.scene_of(request["picture"])
        frames = {name: self.files.path_of(store.checked(store.DIGEST, digest, "SHA-256"))
                  for name, digest in request["stitched"]}
        folder = self.files.spool_dir(request["job"])
        output = os.path.join(folder, f"final.{self.files.run_name}.draft")
        try:
            made = finish.finish(scene, frames, output, request.get("format"), folder,
                                 request["picture"].get("whole", False), self.blend,
                                 request["picture"].get("passes", False), bool(request.get("repeatable")))["files"]
        except finish.Unfinished as e:
            raise Refused("unfinished", str(e))
        finally:
            self.picture = None
            # A stitched frame is as large as all tiles together, and no other job has the same one.
            for _, digest in request["stitched"]:
                self.files.drop_content(digest)
        return {"files": self.spooled(folder, made, "final")}

    def spooled(self, folder, made, kind):
        """Gives what a finish made its names in the spool."""
        answer = []
        for number, file in enumerate(made):
            name = f"{kind}-{number}.{self.files.run_name}.out"
            path = os.path.join(folder, name)
            os.replace(file["path"], path)
            answer.append({"name": name, "bytes": os.path.getsize(path), "sha256": store.digest_of(path),
                           "suffix": file.get("view_suffix"), "target": file.get("target")})
        return answer

    def do_native(self, request):
        """The whole frame as Blender by itself makes it of the open file, and whatever else the scene writes, into the
        spool: nothing is cut and nothing handed over. `scenes` says what is asked of each scene."""
        picture = request["picture"]
        scene = self.scene_of(picture)
        if bpy.context.window is not None and bpy.context.window.scene != scene:
            bpy.context.window.scene = scene
        self.picture = None
        self.resync.forget()
        own = self.own_of(scene)
        own.put_back(scene)
        tiles.restore(scene)
        # What is kept from frame to frame is not known to be as new.
        scene.render.use_persistent_data = False
        r = scene.render
        if picture.get("threads"):
            r.threads_mode, r.threads = "FIXED", picture["threads"]
        else:
            r.threads_mode = "AUTO"
        devices.choose(scene, picture.get("device") or "CPU")
        if picture.get("camera"):
            cameras.choose(scene, picture["camera"])
        folder = self.files.spool_dir(request["job"])
        output = os.path.join(folder, f"native.{self.files.run_name}.draft")
        self.log.begin(lambda done, of: self.wire.send(
            {"event": "progress", "id": request["id"], "done": done, "of": of}))
        try:
            with native.Asked(request.get("scenes") or []):
                made = native.render(scene, picture["frame"], output, request.get("format"),
                                     bool(request.get("repeatable")), bool(picture.get("passes")))["files"]
        except RuntimeError as e:
            raise Refused("render", str(e).strip().removeprefix("Error: ").strip())
        finally:
            self.log.end()
            own.put_back(scene)
        for file in made:
            # Where it was made the .blend has another path than here.
            if self.blend is not None:
                png_text.name_blend(file["path"], self.blend)
        return {"files": self.spooled(folder, made, "native")}

    def do_probe(self, request):
        """Times small renders: each of `patches` has a border and a number of samples."""
        answer = []
        self.set_up(request["picture"])
        scene = self.scene_of(request["picture"])
        cycles = getattr(scene, "cycles", None)
        samples = cycles.samples if cycles else 0
        path = os.path.join(self.files.spool_dir(request["job"]), f"probe.{self.files.run_name}.draft")
        deadline = time.perf_counter() + float(request.get("seconds", 60))
        try:
            for patch in request["patches"]:
                if cycles:
                    cycles.samples = patch["samples"]
                answer.append(self.render(scene, patch["border"], path, request))
                if time.perf_counter() > deadline:
                    break
        finally:
            if cycles:
                cycles.samples = samples
            try:
                os.unlink(path)
            except OSError:
                pass
        return {"seconds": answer}

    def give_up(self, target):
        """Breaks off the running render without ending Blender; Blender takes one such break in its life."""
        # As a Python module Blender has no such break: the signal would reach Python.
        if target is None or self.rendering != target or self.breaks or not bpy.app.binary_path:
            return False
        self.breaks += 1
        self.unwanted = target
        os.kill(os.getpid(), signal.SIGINT)
        return True
