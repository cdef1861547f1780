"""Files on the node, all of them below its cache directory.

    store/ab/abcd...           content by SHA-256, written once, shared by all jobs
    store/ab/abcd....RUN.part  content that is still arriving; who receives it holds a lock on it
    stamps/ab              what that content looked like when it was last known to be right
    trees/LAYOUT/...           a scene's files as links into the store, laid out as on the controller
    trees/LAYOUT.lock          held by every worker that has the scene open
    spool/JOB/TILE             finished tiles, until the controller has them
    spool/JOB.lock             held by every worker of the job
    run/HOST-ID/               one running worker's own directory (kept by the shell that started it)

Several workers, also of several controllers, share all of this, and any of them may be killed at any moment.
"""

import hashlib
import os
import random
import shutil
import stat
import threading
import time

import room
from arrival import CHUNK, Arrival, Seals, Stamps, digest_of, look, seal_of
from locks import Held
from names import DIGEST, TOKEN, checked
from trees import NO_SPACE, Trees
from wire import Refused

__all__ = ["DIGEST", "NO_SPACE", "TOKEN", "Store", "checked", "digest_of"]
#: How much of what nobody wrote to is read again at a start, picked at random, bytes: bits rot without a time stamp.
SAMPLE = int(os.environ.get("TILECTL_REREAD", 128 << 20))
#: The time of last use need not be more exact, seconds.
USE = 3600
#: A larger file is looked at twice before it is read for having changed: another worker may be linking it just now.
LARGE = 16 << 20


def sample(files):
    """Digests of files to read again: at random, SAMPLE bytes of them on average at most."""
    left, picked = SAMPLE, set()
    for digest, size in random.sample(files, len(files)):
        if size > left and random.random() * size > left:
            break
        picked.add(digest)
        left -= size
        if left <= 0:
            break
    return picked


class Store:
    def __init__(self, root, run, wire):
        self.root = os.path.abspath(root)
        self.wire = wire
        self.run_name = checked(TOKEN, run, "run name")
        self.arriving = {}
        self.spools, self.spool_lock = Held(), threading.Lock()
        #: Jobs that were forgotten: what comes later goes too.
        self.forgotten = set()
        for folder in ("store", "trees", "spool"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        self.stamps = Stamps(self.root)
        self.seals = Seals(self.stamps)
        self.trees = Trees(self)

    # Content

    def path_of(self, digest):
        return os.path.join(self.root, "store", digest[:2], digest)

    def whole(self, digest, size, again=False):
        """Whether the store has it, unharmed: a disk that lost a bit must cost an upload, not a wrong picture."""
        path = self.path_of(digest)
        try:
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode) or info.st_size != size:
                os.unlink(path)
                return False
            if not self.stamps.trusted(digest, info) and size > LARGE:
                time.sleep(0.05)
                info = os.lstat(path)
            if again or not self.stamps.trusted(digest, info):
                if digest_of(path) != digest:
                    os.unlink(path)
                    return False
                self.right(path, digest, info)
            if abs(time.time() - info.st_atime) > USE:
                # Last use, for cleaning by age; the time of last change stays.
                with self.stamps.lock:
                    info = os.lstat(path)
                    if self.stamps.trusted(digest, info):
                        os.utime(path, ns=(time.time_ns(), info.st_mtime_ns))
                        self.stamps.still(digest, info, path)
            return True
        except FileNotFoundError:
            return False

    def right(self, path, digest, info):
        """Its content was read, or has just arrived, and is what it should be."""
        self.stamps.seen[digest] = look(info)
        self.seals.add(path, digest)

    def sealed(self, digest):
        """Sees to it that a file that is here has the time of last change that it keeps from now on."""
        path = self.path_of(digest)
        for _ in range(10):
            if os.lstat(path).st_mtime_ns == seal_of(digest):
                return
            self.whole(digest, os.lstat(path).st_size)
            self.seals.seal(path, digest)
        raise Refused("corrupt", "a file in the cache is changed by somebody else")

    def have(self, request):
        """For each file: -1 when it is here, else how many of its bytes are, to go on from there."""
        files = [(checked(DIGEST, digest, "SHA-256"), int(size)) for digest, size in request["files"]]
        again = sample([(digest, size) for digest, size in files if digest not in self.stamps.seen])
        answer = [-1 if self.whole(digest, size, digest in again) else self.claim(digest, size)
                  for digest, size in files]
        return {"have": answer, "free": self.free()}

    def claim(self, digest, size):
        """How much of this file is here, of this run or of one that is gone."""
        arrival = self.arriving.get(digest)
        if arrival is None:
            folder, mine = os.path.dirname(self.path_of(digest)), self.part(digest)
            os.makedirs(folder, exist_ok=True)
            for name in sorted(os.listdir(folder)):
                if name.startswith(digest + ".") and name.endswith(".part"):
                    arrival = Arrival.taken_over(os.path.join(folder, name), mine)
                    if arrival is not None:
                        self.arriving[digest] = arrival
                        break
            else:
                return 0
        if arrival.at > size:
            arrival.start_over()
        return arrival.at

    def part(self, digest):
        return f"{self.path_of(digest)}.{self.run_name}.part"

    def put(self, request, payload):
        """Takes the next piece of a file, or several small files at once."""
        if "batch" in request:
            return self.put_many(request["batch"], payload)
        digest = checked(DIGEST, request["sha256"], "SHA-256")
        size, offset = int(request["size"]), int(request["offset"])
        arrival = self.arriving.get(digest)
        if arrival is None and offset == 0:
            os.makedirs(os.path.dirname(self.path_of(digest)), exist_ok=True)
            arrival = self.arriving[digest] = Arrival.fresh(self.part(digest))
        if arrival is None or arrival.at != offset or offset + len(payload) > size:
            raise Refused("bad_request", "this piece of a file does not follow on the one before")
        try:
            arrival.write(payload)
            if arrival.at == size:
                self.keep(arrival, digest)
        except Exception:
            # The next try looks at what is on disk, not at what should be.
            self.forget(digest)
            raise
        return {"got": offset + len(payload)}

    def keep(self, arrival, digest):
        """The file is complete: into the store with it."""
        if arrival.hash.hexdigest() != digest:
            os.unlink(arrival.path)
            raise Refused("corrupt", "the file arrived damaged")
        os.fchmod(arrival.fd, 0o400)
        path = self.path_of(digest)
        os.replace(arrival.path, path)
        self.right(path, digest, os.fstat(arrival.fd))
        self.forget(digest)

    def forget(self, digest):
        arrival = self.arriving.pop(digest, None)
        if arrival is not None:
            arrival.close()

    def put_many(self, batch, payload):
        view, at = memoryview(payload), 0
        for digest, size in batch:
            checked(DIGEST, digest, "SHA-256")
            content = view[at:at + int(size)]
            at += int(size)
            if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
                raise Refused("corrupt", "a file arrived damaged")
            os.makedirs(os.path.dirname(self.path_of(digest)), exist_ok=True)
            self.forget(digest)
            arrival = self.arriving[digest] = Arrival.fresh(self.part(digest))
            try:
                arrival.write(content)
                self.keep(arrival, digest)
            finally:
                self.forget(digest)
        return {"got": at}

    def drop_content(self, digest):
        """Forgets a file that nobody will ask for again."""
        self.stamps.seen.pop(digest, None)
        try:
            os.unlink(self.path_of(digest))
        except FileNotFoundError:
            pass

    # Finished tiles

    def spool_dir(self, job):
        path = os.path.join(self.root, "spool", checked(TOKEN, job, "job"))
        with self.spool_lock:
            while self.spools.path != path:
                self.spools.take(path)
                self.spools.share()
            os.makedirs(path, exist_ok=True)
        return path

    def tile_path(self, job, name):
        return os.path.join(self.spool_dir(job), checked(TOKEN, name, "tile name"))

    def spool(self, request):
        """Every finished tile of the job that is still here, with its hash."""
        folder = self.spool_dir(request["job"])
        tiles = []
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(".tile") and os.path.isfile(path):
                tiles.append({"name": name, "bytes": os.path.getsize(path), "sha256": digest_of(path)})
        return {"tiles": tiles}

    def get(self, request):
        """Sends a spooled file in pieces; the last one has `last` set."""
        path = self.tile_path(request["job"], request["name"])
        offset = int(request.get("offset", 0))
        with open(path, "rb", buffering=0) as f:
            size = os.fstat(f.fileno()).st_size
            f.seek(offset)
            while True:
                block = f.read(CHUNK)
                offset += len(block)
                last = offset >= size or not block
                self.wire.send({"event": "data", "of": request["id"], "offset": offset - len(block), "last": last}, block)
                if last:
                    return {"size": size}

    def drop(self, request):
        """Forgets spooled tiles that the controller has, or the whole job."""
        job = request["job"]
        if request.get("all"):
            self.forgotten.add(job)
            path = self.spool_dir(job)
            shutil.rmtree(path, ignore_errors=True)
            try:
                os.unlink(path + ".lock")
            except FileNotFoundError:
                pass
            return {}
        for name in request["names"]:
            try:
                os.unlink(self.tile_path(job, name))
            except FileNotFoundError:
                pass
        return {}

    def forget_again(self):
        """Removes what came into the spools of forgotten jobs since."""
        for job in list(self.forgotten):
            self.drop({"job": job, "all": True})

    # Room

    def free(self):
        return room.free(self.root)

    def disk(self, request):
        return room.disk(self.root)

    def tidy(self, request):
        return room.tidy(self.root, float(request.get("days", 30)), request.get("keep"))
