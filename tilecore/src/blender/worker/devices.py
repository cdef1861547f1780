"""What Cycles can compute on here, and choosing it."""

import os
import subprocess
import sys

import bpy

from wire import Refused


#: Kinds of graphics card, the best first.
KINDS = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")
#: How long trying one may take, seconds: the first time, kernels are compiled for it.
TRIAL = 300
#: What the last line of a trial begins with.
MARK = "tilectl-trial: "
#: What `best` has found; cards do not come and go while Blender runs.
found = None


def preferences():
    addon = bpy.context.preferences.addons.get("cycles")
    return addon.preferences if addon else None


def of_type(kind):
    """The devices of one kind; asking for a kind that this build lacks gives none."""
    prefs = preferences()
    if prefs is None:
        return []
    try:
        prefs.compute_device_type = kind
        prefs.get_devices_for_type(kind) if hasattr(prefs, "get_devices_for_type") else prefs.get_devices()
    except (TypeError, ValueError):
        return []
    return [d for d in prefs.devices if d.type == kind]


def listing():
    """Names of the devices of every kind."""
    kinds = {kind: [d.name for d in of_type(kind)] for kind in KINDS}
    return {"CPU": ["CPU"], **{k: v for k, v in kinds.items() if v}}


def choose(scene, kind):
    cycles = getattr(scene, "cycles", None)
    if cycles is None:
        return
    prefs = preferences()
    if kind == "CPU":
        if prefs is not None:
            prefs.compute_device_type = "NONE"
        cycles.device = "CPU"
        return
    found = of_type(kind)
    if not found:
        raise Refused("no_device", f"no {kind} device is usable by this Blender here")
    for device in prefs.devices:
        device.use = device.type == kind
    cycles.device = "GPU"


def of(scene):
    cycles = getattr(scene, "cycles", None)
    if cycles is None or cycles.device == "CPU":
        return "CPU"
    prefs = preferences()
    return prefs.compute_device_type if prefs else "CPU"


def best():
    """The best kind of graphics card that works here or None, the names of its devices, and why others do not work."""
    global found
    if found is None:
        faults = []
        found = None, [], faults
        for kind in KINDS:
            names = [d.name for d in of_type(kind)]
            fault = tried_elsewhere(kind) if names else None
            if names and fault is None:
                found = kind, names, faults
                break
            if fault is not None:
                faults.append(f"{kind}: {fault}")
    return found


def tried_elsewhere(kind):
    """Renders a few pixels in a Blender of its own: what a driver does to that does nothing to this one or its scene.
    Answers with what went wrong, or None."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device_trial.py")
    program = bpy.app.binary_path
    words = [program, "-b", "--factory-startup", "-noaudio", "-P", script, "--"] if program else [sys.executable, script]
    try:
        ended = subprocess.run([*words, kind], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=TRIAL, check=False)
    except subprocess.TimeoutExpired:
        return f"it rendered nothing in {TRIAL} s"
    except OSError as e:
        return f"it could not be tried: {e.strerror or e}"
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    last = next((line[len(MARK):] for line in reversed(lines) if line.startswith(MARK)), None)
    if last is None:
        return "Blender crashed while it was tried" if ended.returncode else "it could not be tried"
    return None if last == "works" else last


def trial(kind):
    """Renders a few pixels on a device; answers with what went wrong, or None."""
    if kind is None:
        return None
    scene = bpy.context.scene
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = 8
    render.resolution_percentage = 100
    render.use_compositing = render.use_sequencer = False
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    try:
        choose(scene, kind)
        bpy.ops.render.render()
    except (Refused, RuntimeError) as e:
        return str(e).strip()
    return None


def memory():
    """Bytes of memory that programs can have, or None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            for line in f:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
