"""Files on the node, all of them below its cache directory.

    store/ab/abcd...           content by SHA-256, written once, shared by all jobs
    store/ab/abcd....RUN.part  content that is still arriving
    trees/LAYOUT/...           a scene's files as links into the store, laid out as on the controller
    spool/JOB/TILE             finished tiles, until the controller has them
    run/HOST-ID/               one running worker's own directory (kept by the shell that started it)
"""

import errno
import hashlib
import os
import re
import shutil
import time

from wire import Refused

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z")
CHUNK = 1 << 20
WEEK = 7 * 86400


def digest_of(path):
    h = hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        while True:
            block = f.read(CHUNK)
            if not block:
                return h.hexdigest()
            h.update(block)


def checked(pattern, value, what):
    if not isinstance(value, str) or not pattern.match(value):
        raise Refused("bad_request", f"not a {what}: {value!r}"[:200])
    return value


class Store:
    def __init__(self, root, run, wire):
        self.root = root
        self.wire = wire
        self.run_name = checked(TOKEN, run, "run name")
        self.open_parts = {}
        self.verified = set()
        for folder in ("store", "trees", "spool"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)

    # Content

    def path_of(self, digest):
        return os.path.join(self.root, "store", digest[:2], digest)

    def whole(self, digest, size):
        """Whether the store has it, unharmed: a disk that lost a bit must cost an upload, not a wrong picture."""
        path = self.path_of(digest)
        try:
            if os.path.getsize(path) != size:
                os.unlink(path)
                return False
            if digest not in self.verified:
                if digest_of(path) != digest:
                    os.unlink(path)
                    return False
                self.verified.add(digest)
            os.utime(path)  # Last use, for cleaning by age.
            return True
        except FileNotFoundError:
            return False

    def have(self, request):
        """For each file: -1 when it is here, else how many of its bytes are, to go on from there."""
        answer = []
        for digest, size in request["files"]:
            checked(DIGEST, digest, "SHA-256")
            answer.append(-1 if self.whole(digest, size) else self.claim(digest, size))
        return {"have": answer, "free": self.free()}

    def claim(self, digest, size):
        """Takes over what an earlier run left of this file; renaming lets only one run have it."""
        folder = os.path.dirname(self.path_of(digest))
        os.makedirs(folder, exist_ok=True)
        mine = self.part(digest)
        if digest in self.open_parts:
            return self.open_parts[digest].tell()
        for name in os.listdir(folder):
            if name.startswith(digest + ".") and name.endswith(".part"):
                path = os.path.join(folder, name)
                try:
                    idle = time.time() - os.path.getmtime(path)
                    if idle > 30 and path != mine:
                        os.rename(path, mine)
                        break
                except OSError:
                    continue
        try:
            held = os.path.getsize(mine)
        except FileNotFoundError:
            return 0
        if held > size:
            os.unlink(mine)
            return 0
        return held

    def part(self, digest):
        return f"{self.path_of(digest)}.{self.run_name}.part"

    def put(self, request, payload):
        digest = checked(DIGEST, request["sha256"], "SHA-256")
        size, offset = int(request["size"]), int(request["offset"])
        f = self.open_parts.get(digest)
        if f is None:
            os.makedirs(os.path.dirname(self.path_of(digest)), exist_ok=True)
            fd = os.open(self.part(digest), os.O_RDWR | os.O_CREAT, 0o600)
            f = self.open_parts[digest] = os.fdopen(fd, "r+b", buffering=0)
        f.seek(offset)
        view = memoryview(payload)
        while view:
            view = view[f.write(view):]
        if offset + len(payload) < size:
            return {"got": offset + len(payload)}
        f.truncate(size)
        os.fsync(f.fileno())
        f.close()
        del self.open_parts[digest]
        part = self.part(digest)
        if digest_of(part) != digest:
            os.unlink(part)
            raise Refused("corrupt", "the file arrived damaged")
        os.chmod(part, 0o400)
        os.replace(part, self.path_of(digest))
        self.verified.add(digest)
        return {"got": size}

    # A scene's files, laid out as they were

    def lay_out(self, layout, files):
        """Links `files`, a list of [path parts, digest], below trees/`layout`; answers with that directory."""
        root = os.path.join(self.root, "trees", checked(DIGEST, layout, "layout"))
        os.makedirs(root, exist_ok=True)
        os.utime(root)
        for parts, digest in files:
            for part in parts:
                if part in ("", ".", "..") or "/" in part or "\0" in part or (os.sep != "/" and os.sep in part):
                    raise Refused("bad_request", f"not a name for a file: {part!r}"[:200])
            source = self.path_of(checked(DIGEST, digest, "SHA-256"))
            target = os.path.join(root, *parts)
            if self.same(source, target):
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            fresh = f"{target}.{self.run_name}.new"
            try:
                os.link(source, fresh)
            except OSError as e:
                if e.errno in NO_SPACE or not os.path.exists(source):
                    raise
                shutil.copyfile(source, fresh)
            os.replace(fresh, target)
        return root

    @staticmethod
    def same(a, b):
        try:
            return os.path.samefile(a, b)
        except OSError:
            return False

    # Finished tiles

    def spool_dir(self, job):
        path = os.path.join(self.root, "spool", checked(TOKEN, job, "job"))
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
            shutil.rmtree(self.spool_dir(job), ignore_errors=True)
            return {}
        for name in request["names"]:
            try:
                os.unlink(self.tile_path(job, name))
            except FileNotFoundError:
                pass
        return {}

    # Room

    def free(self):
        return shutil.disk_usage(self.root).free

    def disk(self, request):
        size, count = 0, 0
        for folder in ("store", "trees", "spool"):
            for path, _, names in os.walk(os.path.join(self.root, folder)):
                for name in names:
                    try:
                        info = os.lstat(os.path.join(path, name))
                    except OSError:
                        continue
                    if folder != "trees" or info.st_nlink == 1:
                        size += info.st_size
                        count += 1
        return {"bytes": size, "files": count, "free": self.free(), "path": self.root}

    def tidy(self, request):
        """Removes what was not used for `days`, then the longest unused until at most `bytes` are left."""
        now = time.time()
        oldest = now - float(request.get("days", 7)) * 86400
        keep = float(request.get("bytes", float("inf")) if request.get("bytes") is not None else float("inf"))
        removed = 0
        for folder in ("trees", "spool"):
            base = os.path.join(self.root, folder)
            for name in os.listdir(base):
                path = os.path.join(base, name)
                if os.path.getmtime(path) < oldest or keep == 0:
                    removed += sum(os.lstat(os.path.join(p, n)).st_size for p, _, ns in os.walk(path) for n in ns
                                   if os.lstat(os.path.join(p, n)).st_nlink == 1)
                    shutil.rmtree(path, ignore_errors=True)
        files = []
        for path, _, names in os.walk(os.path.join(self.root, "store")):
            for name in names:
                full = os.path.join(path, name)
                try:
                    info = os.lstat(full)
                except OSError:
                    continue
                files.append((info.st_mtime, info.st_size, full))
        files.sort()
        left = sum(size for _, size, _ in files)
        for used, size, full in files:
            if now - used < 60 and full.endswith(".part"):
                continue  # Another controller is sending it right now.
            if used < oldest or left > keep:
                try:
                    os.unlink(full)
                except OSError:
                    continue
                left -= size
                removed += size
        return {"removed": removed, "left": left}
