"""Renders small frames of the open file in place, as its user's own Blender makes them, for a proof.

    blender -b FILE.blend -P reference.py -- REQUEST.json ANSWER.json

The request has `pictures`, each with `scene`, `camera`, `frame`, `threads`, `device`, `format`, `passes`, the `folder` that its
files go to, and under `scenes` what is asked of each scene (see `native.Asked`); the answer has `pictures`, each with
`files` as `native.render` lists them, and the `environment` (see `environment.fingerprint`), or `error`.
Ends with its standard input: nobody waits any more.
"""

import json
import os
import sys
import threading
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bpy  # noqa: E402

import cameras  # noqa: E402
import devices  # noqa: E402
import environment  # noqa: E402
import handlers  # noqa: E402
import identity  # noqa: E402
import native  # noqa: E402
from wire import Refused  # noqa: E402


def watch():
    """Ends Blender, in mid-render too, when whoever started it is gone."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def reference(request):
    name = request.get("scene")
    scene = identity.found(name, bpy.data.scenes, "scene") if name else bpy.context.scene
    if bpy.context.window is not None and bpy.context.window.scene != scene:
        bpy.context.window.scene = scene
    own = cameras.Own(scene)
    try:
        if request.get("camera"):
            cameras.choose(scene, request["camera"])
        if request.get("threads"):
            scene.render.threads_mode, scene.render.threads = "FIXED", request["threads"]
        devices.choose(scene, request.get("device") or "CPU")
        output = os.path.join(request["folder"], "reference")
        with native.Asked(request["scenes"]):
            return native.render(scene, request["frame"], output, request.get("format"), repeatable=True,
                                 passes=bool(request.get("passes")))
    finally:
        own.put_back(scene)


def main():
    asked, answered = sys.argv[sys.argv.index("--") + 1:]
    threading.Thread(target=watch, daemon=True).start()
    with open(asked, encoding="utf-8") as f:
        request = json.load(f)
    # What is asked for changes settings, which `blender -f` does not.
    handlers.take_out()
    try:
        answer = {"pictures": [reference(picture) for picture in request["pictures"]],
                  "environment": {**environment.fingerprint(), "startup": environment.startup()}}
    except (Refused, RuntimeError, OSError) as e:
        answer = {"error": str(e).strip().removeprefix("Error: ").strip()}
    except Exception as e:
        traceback.print_exc()
        answer = {"error": f"{type(e).__name__}: {e}"}
    with open(answered + ".part", "w", encoding="utf-8") as f:
        json.dump(answer, f)
    os.replace(answered + ".part", answered)
    sys.stdout.flush()
    # Some builds of `bpy` hang or complain at length when they end.
    os._exit(0)


main()
