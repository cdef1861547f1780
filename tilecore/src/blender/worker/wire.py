"""Messages between the controller and the worker: one line of JSON each, raw bytes after it where it says so."""

import json
import threading

LIMIT = 64 << 20


class Refused(Exception):
    """A request that cannot be carried out; `code` is for the controller, the text for people. `wanted` is a name
    that there is not, `names` are those that there are."""

    def __init__(self, code, text, wanted=None, names=()):
        super().__init__(text)
        self.code, self.wanted, self.names = code, wanted, list(names)


class Wire:
    def __init__(self, source, sink):
        self.source = source
        self.sink = sink
        self.lock = threading.Lock()
        self.space = bytearray(1 << 20)

    def receive(self):
        """The next request and its payload, which is gone with the next call; (None, None) at the end of the input."""
        line = self.source.readline(LIMIT)
        if not line.endswith(b"\n"):
            return None, None
        request = json.loads(line)
        size = int(request.get("bytes", 0))
        if not 0 <= size <= LIMIT:
            raise ValueError("payload too large")
        if size > len(self.space):
            self.space = bytearray(size)
        # The same memory every time: fresh memory costs more than filling it.
        payload = memoryview(self.space)[:size]
        if self.source.readinto(payload) != size:
            return None, None
        return request, payload

    def send(self, message, payload=b""):
        if payload:
            message["bytes"] = len(payload)
        line = json.dumps(message, ensure_ascii=True, allow_nan=False).encode() + b"\n"
        with self.lock:
            self.write(line)
            if payload:
                self.write(payload)

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self.sink.write(view):]

    def reply(self, request, result):
        self.send({"id": request.get("id"), "ok": result})

    def fail(self, request, code, text, wanted=None, names=()):
        error = {"code": code, "text": str(text)[:4000]}
        if wanted is not None:
            error |= {"wanted": wanted, "names": names[:1000]}
        self.send({"id": request.get("id"), "error": error})
