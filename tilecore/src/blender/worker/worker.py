"""The warm Blender worker: reads requests from standard input, answers on a descriptor of its own.

Runs inside Blender (`-P worker.py`) or in a Python that has `bpy`. A message is one line of JSON; where its
`bytes` is set, that many raw bytes follow. Requests carry an `id`, every reply repeats it. File transfers are
handled on threads of their own, so they go on while Cycles renders (the interpreter lock is released then); all
that touches the scene runs on the main thread, in order.
"""

import fcntl
import json
import os
import queue
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import store  # noqa: E402
import unread  # noqa: E402
from wire import Refused, Wire  # noqa: E402

PROTOCOL = 1
#: The controller says something every 15 s. After so many of these spans in silence it is gone: a connection does not
#: say that the machine at its other end, or a link on the way, is no longer there.
SPAN, SPANS = 15, 5


def stop_now(code=0):
    """Ends the process at once, in mid-tile too: nothing that matters is left half written."""
    os._exit(code)


class Worker:
    def __init__(self, wire, files):
        self.wire = wire
        self.files = files
        self.jobs = queue.Queue()
        self.transfers = queue.Queue()
        self.scene = None
        self.heard = False

    # Reading: every request is read here, so that the end of the input is noticed in mid-tile.

    def read(self):
        try:
            while True:
                request, payload = self.wire.receive()
                self.heard = True
                command = request.get("cmd") if request else "stop"
                if command == "stop":
                    self.tidy_up()
                    stop_now()
                elif command == "ping":
                    self.wire.reply(request, {"time": time.time(), "cpu": time.process_time()})
                elif command == "cancel":
                    self.cancel(request)
                elif command in TRANSFERS:
                    if command == "put":
                        # Written on this thread: what is slow to write must slow down who sends it.
                        self.answer(request, self.files.put, payload)
                    else:
                        self.transfers.put(request)
                else:
                    self.jobs.put(request)
        except Exception:
            traceback.print_exc()
            stop_now(70)

    def watch(self):
        """Ends the worker when nothing was heard for long. Spans are counted, not seconds: while Blender lets no other
        thread run, nothing can be heard, and that must not count."""
        quiet = 0
        while quiet < SPANS:
            self.heard = False
            time.sleep(SPAN)
            quiet = 0 if self.heard else quiet + 1
        stop_now(71)

    def tidy_up(self):
        """What was asked for last, usually to forget a job's spool, still gets a moment."""
        until = time.monotonic() + 1
        while self.transfers.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)
        # A tile that was given up may have ended after that.
        self.files.forget_again()

    def cancel(self, request):
        target = request.get("target")
        with self.jobs.mutex:
            waiting = [r for r in self.jobs.queue if r.get("id") == target]
            for r in waiting:
                self.jobs.queue.remove(r)
        for r in waiting:
            self.wire.fail(r, "cancelled", "given up before it began")
        began = bool(not waiting and self.scene and self.scene.give_up(target))
        self.wire.reply(request, {"cancelled": bool(waiting) or began})

    def transfer(self):
        while True:
            request = self.transfers.get()
            self.answer(request, getattr(self.files, request["cmd"]))
            self.transfers.task_done()

    def answer(self, request, function, *more):
        try:
            self.wire.reply(request, function(request, *more))
        except Refused as e:
            self.wire.fail(request, e.code, str(e), e.wanted, e.names)
        except OSError as e:
            code = "no_space" if e.errno in store.NO_SPACE else "io"
            self.wire.fail(request, code, f"{e.strerror or e}: {e.filename or self.files.root}")
        except (BrokenPipeError, KeyboardInterrupt):
            stop_now()
        except Exception as e:
            traceback.print_exc()
            self.wire.fail(request, "fault", f"the worker could not carry out {request.get('cmd')!r} ({unread.place(e)})")

    # The main thread: whatever touches Blender's data.

    def main(self):
        import stage

        self.scene = stage.Stage(self.wire, self.files)
        self.wire.send({"event": "hello", "protocol": PROTOCOL, **self.scene.hello(), "cache": self.files.root})
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.transfer, daemon=True).start()
        threading.Thread(target=self.watch, daemon=True).start()
        while True:
            request = self.jobs.get()
            command = str(request.get("cmd"))
            function = getattr(self.scene, "do_" + command, None)
            if function is None:
                self.wire.fail(request, "unknown", f"this worker does not know the request {command!r}")
                continue
            if command not in RENDERS:
                self.scene.resync.forget()
            self.answer(request, function)


RENDERS = ("setup", "render", "probe")
TRANSFERS = ("put", "have", "get", "drop", "spool", "disk", "tidy")


def main():
    out = int(os.environ.get("TILECTL_OUT", "1"))
    try:
        # A pipe holds 64 kB; with more, sender and receiver need not take turns so often. Linux only.
        fcntl.fcntl(0, getattr(fcntl, "F_SETPIPE_SZ", 1031), 1 << 20)
    except OSError:
        pass
    cache = os.environ["TILECTL_CACHE"]
    run = os.environ["TILECTL_RUN"]
    wire = Wire(os.fdopen(os.dup(0), "rb", buffering=1 << 16), os.fdopen(out, "wb", buffering=0))
    try:
        Worker(wire, store.Store(cache, run, wire)).main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        stop_now(70)


main()
