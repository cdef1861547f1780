"""Speaks the worker's protocol in Blender's place, renders nothing, and does one thing wrong: the first argument says
what. Used where a node must misbehave in a way that no real Blender does at the right moment."""

import hashlib
import json
import os
import struct
import sys
import time
import zlib

WRONG = sys.argv[1]
STEERING = "\x1b]0;title\x07\x9b31m\u202e" if WRONG == "steers" else ""
SCENE, CAMERA = "Scene" + STEERING, "Camera" + STEERING
SIZE = [64, 48]
FLOATS = WRONG.startswith("finish ")
PICTURE = None
spool = {}
requests, answers = os.fdopen(0, "rb"), os.fdopen(4, "wb", buffering=0)


def send(message, payload=b""):
    if payload:
        message["bytes"] = len(payload)
    view = memoryview(json.dumps(message).encode() + b"\n" + payload)
    while view:
        view = view[answers.write(view):]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height):
    rows = b"".join(b"\0" + b"\x80\x10\x20" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exr(width, height):
    def attribute(name, kind, data):
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(data)) + data
    channels = b"".join(b"ViewLayer.Combined." + c + b"\0" + struct.pack("<iBBBBii", 2, 0, 0, 0, 0, 1, 1)
                        for c in (b"A", b"B", b"G", b"R")) + b"\0"
    box = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    head = struct.pack("<II", 20000630, 2 | 0x400)
    for name, kind, data in (
            (b"channels", b"chlist", channels), (b"compression", b"compression", b"\0"),
            (b"dataWindow", b"box2i", box), (b"displayWindow", b"box2i", box),
            (b"lineOrder", b"lineOrder", b"\0"), (b"pixelAspectRatio", b"float", struct.pack("<f", 1)),
            (b"screenWindowCenter", b"v2f", struct.pack("<ff", 0, 0)),
            (b"screenWindowWidth", b"float", struct.pack("<f", 1))):
        head += attribute(name, kind, data)
    head += b"\0"
    row = struct.pack("<f", 0.5) * (4 * width)
    lines = [struct.pack("<ii", y, len(row)) + row for y in range(height)]
    first = len(head) + 8 * height
    table = b"".join(struct.pack("<Q", first + y * len(lines[0])) for y in range(height))
    return head + table + b"".join(lines)


def effective(picture):
    return {"scene": SCENE, "camera": CAMERA, "frame": picture["frame"], "resolution": SIZE, "percentage": 100,
            "samples": 16, "seed": 0, "engine": "CYCLES", "device": "CPU"}


def look():
    needs = {"tile_format": "exr" if FLOATS else "png", "format": "PNG", "pictures": []}
    if WRONG == "names the scene often":
        needs |= {"tile_format": "exr", "pictures": [{"scene": SCENE}] * 3000}
    return {"scene": SCENE, "camera": CAMERA, "cameras": [CAMERA], "engine": "CYCLES",
            "resolution": SIZE, "percentage": 100, "frame": 1, "frames": [1, 1, 1], "samples": 16, "seed": 0,
            "border": None, "path": "//", "format": "PNG", "views": ["_L", "_R"],
            "needs": needs}


def render(request):
    width, height = map(int, request["name"].split("-")[3].removesuffix(".tile").split("x"))
    tile = exr(width, height) if FLOATS else png(width, height)
    if WRONG == "cuts tiles short":
        tile = tile[:-20]
    spool[request["name"]] = tile
    time.sleep(0.5 if WRONG == "is slow" else 0.02)
    size = 60 << 30 if WRONG == "promises endless tiles" else len(tile)
    return {"name": request["name"], "bytes": size, "sha256": hashlib.sha256(tile).hexdigest(), "seconds": 0.02,
            "sync": 0.015, "effective": effective(request["picture"])}


def finish():
    made = {
        "finish empty": [],
        "finish garbage": [("", b"")],
        "finish strange view": [("_L", png(*SIZE)), ("0", png(*SIZE))],
        "finish twice": [("", png(*SIZE)), ("", png(*SIZE))],
        "finish well": [("", png(*SIZE))],
        "finish views": [("_L", png(*SIZE)), ("_R", png(*SIZE))],
    }[WRONG]
    files = []
    for number, (suffix, data) in enumerate(made):
        spool[str(number)] = data
        files.append({"name": str(number), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
                      "target": None, "suffix": suffix})
    return {"files": files}


def probed(patches):
    return [0.2, 0.1, 0.1] + [0.3] * (patches - 3)


def answer(request, payload):
    command, number = request["cmd"], request["id"]
    if command == "put" and WRONG == "reads nothing":
        time.sleep(1000)
    if command == "put" and WRONG == "receives slowly":
        time.sleep(12)
    if command == "open" and WRONG == "never opens":
        return
    if command == "open" and WRONG == "opens late":
        time.sleep(40)
    if command == "probe" and WRONG == "cannot be measured":
        send({"id": number, "error": {"code": "failed", "text": "no"}})
        return
    if command == "get":
        data = spool[request["name"]]
        if WRONG == "sends nothing for ever":
            while True:
                send({"event": "data", "of": number, "offset": 0})
                time.sleep(0.01)
        if WRONG == "keeps its tiles":
            return
        if WRONG == "damages tiles":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if data:
            send({"event": "data", "of": number, "offset": 0}, data)
    said = {
        "ping": lambda: {"time": time.time()},
        "have": lambda: {"have": [0] * len(request["files"]), "free": 1 << 40},
        "files": lambda: {"files": json.loads(os.environ.get("LISTED", "[]")), "notes": []},
        "look": look,
        "setup": lambda: effective(request["picture"]),
        "spool": lambda: {"tiles": []},
        "probe": lambda: {"seconds": [s * (25 if WRONG == "is slow" else 1) for s in probed(len(request["patches"]))]},
        "render": lambda: render(request),
        "finish": finish,
    }.get(command, dict)()
    send({"id": number, "ok": said})


if WRONG == "speaks endlessly":
    while True:
        send({"event": "nothing"})
        time.sleep(0.05)
if WRONG in ("comes late", "receives slowly"):
    time.sleep(3)
send({"event": "hello", "protocol": 1, "version": "3.4.1" + STEERING, "hash": "0" * 12, "blender": "/b", "cores": 1,
      "memory": 1, "oidn": False, "free": 1 << 40, "time": time.time(), "host": "h", "system": "Linux", "cache": "/c"})
while line := requests.readline():
    asked = json.loads(line)
    answer(asked, requests.read(asked.get("bytes", 0)))
