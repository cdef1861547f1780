"""What else than the .blend and its files decides what this Blender's pixels are."""

import hashlib
import os
import platform
import subprocess

import bpy

import colour
from arrival import digest_of

#: What Cycles asks of a processor before it uses its AVX2 kernel; the last names are those of other systems.
AVX2 = ("avx2", "avx", "f16c", "fma", "bmi1", "bmi2", "sse4_1")
#: Variables that reach into Cycles and its denoiser.
PREFIXES = ("CYCLES_", "OIDN_")


def fingerprint():
    """As the controller compares it (`environment.rs`). `shown` is not asked for again: it means a default scene."""
    source, number = colour.used()
    return {"colour": number, "colour_from": source, "cpu": cpu(), "variables": variables()}


def at_start():
    return {**fingerprint(), "shown": colour.shown(), "startup": startup(),
            "ignored_ocio": os.environ.get("TILECTL_OCIO_THERE", "")}


def cpu():
    """The kernel that Cycles takes on this processor: each computes a little otherwise (F9)."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return machine
    flags = processor_flags()
    if flags is None:
        return "x86-64"
    off = [level for level in ("SSE2", "SSE3", "SSE41", "SSE42", "AVX", "AVX2") if f"CYCLES_CPU_NO_{level}" in os.environ]
    if not off and flags.issuperset(AVX2):
        return "x86-64 with AVX2"
    if off in ([], ["AVX2"]) and "avx" in flags and bpy.app.version < (4, 2, 0):
        return "x86-64 with AVX"
    if not set(off) - {"AVX", "AVX2"} and "sse4_2" in flags:
        return "x86-64 with SSE4.2"
    return "x86-64 with " + (f"less than {off[0]}" if off else "less than SSE4.2")


def processor_flags():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith("flags"):
                    return set(line.partition(":")[2].split())
    except OSError:
        pass
    try:
        asked = ["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"]
        said = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    names = {"avx1.0": "avx", "sse4.1": "sse4_1", "sse4.2": "sse4_2"}
    return {names.get(flag, flag) for flag in said.decode("ascii", "replace").lower().split()}


def variables():
    return {name: value for name, value in sorted(os.environ.items())
            if name.startswith(PREFIXES) and not name.startswith("CYCLES_CPU_NO_")}


def startup():
    """The scripts that Blender runs when it starts, as a number: a site can have some of its own."""
    found = []
    for folder in bpy.utils.script_paths(subdir="startup"):
        for path, below, files in os.walk(folder):
            below[:] = sorted(name for name in below if name != "__pycache__")
            for name in files:
                if name.endswith(".py"):
                    file = os.path.join(path, name)
                    found.append((os.path.relpath(file, folder), digest_of(file)))
    return hashlib.sha256(repr(sorted(found)).encode("utf-8", "surrogateescape")).hexdigest()
